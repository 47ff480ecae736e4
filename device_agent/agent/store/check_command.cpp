#include "agent/store/check_command.h"

#include <fcntl.h>

#include <chrono>
#include <cstdint>
#include <cstdio>

#include "agent/crypto/sha256.h"
#include "agent/files/files.h"
#include "agent/files/unique_fd.h"
#include "agent/store/check.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kTellTime{1};

// Says once a second how far it is; goes on as long as somebody reads that.
class Teller {
 public:
  bool add(std::uint64_t bytes) {
    bytes_ += bytes;
    if (Clock::now() - told_at_ < kTellTime) return true;
    told_at_ = Clock::now();
    std::printf("checking %llu\n", static_cast<unsigned long long>(bytes_));
    return std::fflush(stdout) == 0;
  }

  std::uint64_t bytes() const { return bytes_; }

 private:
  std::uint64_t bytes_ = 0;
  Clock::time_point told_at_ = Clock::now();
};

}  // namespace

int check_store(const CommandLine& line) {
  const WorkFolder work{line.work};
  Verified verified(work);
  Teller teller;
  const auto tell = [&teller](std::uint64_t bytes) { return teller.add(bytes); };
  std::size_t count = 0;
  for (const std::string& name : list_folder(work.store())) {
    if (!is_sha256(name)) continue;
    const auto found = check_content(work, name, verified, Thoroughness::kFull, tell);
    if (found.state == ContentState::kStopped) return 1;
    if (found.state == ContentState::kMissing) continue;  // Another push made room meanwhile.
    ++count;
    if (found.state == ContentState::kGood) continue;
    if (found.state == ContentState::kUntrusted) {
      std::printf("untrusted %s %s\n", name.c_str(), found.text.c_str());
      continue;
    }
    remove_content(work, name, verified);
    std::printf("damaged %s %s\n", name.c_str(), found.text.c_str());
  }
  verified.save();
  std::printf("checked %zu %llu\n", count, static_cast<unsigned long long>(teller.bytes()));
  return std::fflush(stdout) == 0 ? 0 : 1;
}

int check_self(const CommandLine& line, const char* program) {
  const UniqueFd file(::open(program, O_RDONLY | O_CLOEXEC));
  const auto go_on = [](std::uint64_t) { return true; };
  return file.valid() && hash_file(file.get(), true, go_on) == line.self_sha256 ? 0 : 1;
}

}  // namespace dx
