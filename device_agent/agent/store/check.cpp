#include "agent/store/check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "agent/crypto/sha256.h"
#include "agent/files/files.h"
#include "agent/files/unique_fd.h"
#include "agent/store/trust.h"

namespace dx {
namespace {

constexpr std::size_t kReadStep = std::size_t{1} << 18;

}  // namespace

std::string hash_file(int fd, bool from_disk, const HashProgress& progress) {
  // What the kernel keeps of the file in memory would hide what the disk made of it. Refused, or
  // without effect, it costs only that.
  if (from_disk) static_cast<void>(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
  std::vector<char> buffer(kReadStep);
  Sha256 hash;
  off_t offset = 0;
  while (true) {
    const ssize_t got = ::pread(fd, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return "";
    if (got == 0) return hash.hex_digest();
    hash.update(buffer.data(), static_cast<std::size_t>(got));
    offset += got;
    if (!progress(static_cast<std::uint64_t>(got))) return "";
  }
}

ContentFinding check_content(const WorkFolder& work, const std::string& sha256, Verified& verified,
                             Thoroughness thoroughness, const HashProgress& progress) {
  const std::string path = work.content(sha256);
  if (auto reason = why_untrusted(path)) return {ContentState::kUntrusted, *reason};
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file.valid() && errno == ENOENT) return {ContentState::kMissing, ""};
  if (!file.valid()) return {ContentState::kDamaged, "it cannot be read: " + errno_text(errno)};
  struct stat status{};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return {ContentState::kDamaged, "it is not a file"};
  }
  const bool quick = thoroughness == Thoroughness::kQuick;
  if (quick && verified.holds(sha256, status)) return {ContentState::kGood, ""};
  bool stopped = false;
  const auto tell = [&](std::uint64_t bytes) {
    stopped = !progress(bytes);
    return !stopped;
  };
  const std::string found = hash_file(file.get(), !quick, tell);
  if (stopped) return {ContentState::kStopped, ""};
  if (found.empty()) return {ContentState::kDamaged, "it cannot be read: " + errno_text(errno)};
  if (found != sha256) return {ContentState::kDamaged, "its sha256 is " + found};
  verified.put(sha256, status);
  return {ContentState::kGood, ""};
}

void remove_content(const WorkFolder& work, const std::string& sha256, Verified& verified) {
  static_cast<void>(remove_tree(work.content(sha256)));
  verified.forget(sha256);
}

}  // namespace dx
