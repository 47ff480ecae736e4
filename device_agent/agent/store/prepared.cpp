#include "agent/store/prepared.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "agent/crypto/sha256.h"
#include "agent/files/files.h"
#include "agent/files/unique_fd.h"
#include "agent/store/check.h"
#include "agent/store/trust.h"
#include "agent/store/uses.h"
#include "agent/store/verified.h"

namespace dx {
namespace {

bool go_on(std::uint64_t) { return true; }

Failure cannot(const std::string& what, int error) {
  return {FailureCode::kInternal,
          "cannot keep what was prepared: " + what + ": " + errno_text(error) +
              "; look at the disk of the work folder",
          Phase::kPrepare};
}

// Whether the file holds what its name says. Hashed only where it looks unlike the last time.
bool is_sound(const WorkFolder& work, const std::string& path, const std::string& sha256) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW));
  struct stat status{};
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
  Verified verified(work);
  const bool holds = verified.holds(sha256, status);
  if (!holds && hash_file(file.get(), false, go_on) != sha256) return false;
  set_use(path, next_use(work));
  if (::fstat(file.get(), &status) == 0) verified.put(sha256, status);
  verified.save();
  return true;
}

}  // namespace

std::string prepared_key(std::vector<std::pair<std::string, std::string>> facts) {
  std::sort(facts.begin(), facts.end());
  Sha256 hash;
  for (const auto& [name, value] : facts) {
    // With their lengths, so that no two lists are one text.
    for (const std::string& text : {name, value}) {
      hash.update(std::to_string(text.size()) + ":");
      hash.update(text);
    }
  }
  return hash.hex_digest();
}

std::optional<std::string> find_prepared(const WorkFolder& work, const std::string& key) {
  const std::string start = key + ".";
  for (const std::string& name : list_folder(work.prepared())) {
    if (name.compare(0, start.size(), start) != 0) continue;
    const std::string path = work.prepared() + "/" + name;
    if (why_untrusted(work) || why_untrusted(work.prepared()) || why_untrusted(path)) continue;
    if (is_sound(work, path, name.substr(start.size()))) return path;
    static_cast<void>(::unlink(path.c_str()));
  }
  return std::nullopt;
}

Status keep_prepared(const WorkFolder& work, const std::string& key, const std::string& path) {
  if (const int error = make_folders(work.prepared()); error != 0) {
    return cannot(work.prepared(), error);
  }
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return cannot(path, errno);
  if (::fsync(file.get()) != 0) return cannot(path, errno);
  const std::string sha256 = hash_file(file.get(), false, go_on);
  if (sha256.empty()) return cannot(path, errno);
  const std::string place = work.prepared() + "/" + key + "." + sha256;
  set_use(path, next_use(work));
  if (std::rename(path.c_str(), place.c_str()) != 0) return cannot(place, errno);
  // What was made before is no longer asked for.
  for (const std::string& name : list_folder(work.prepared())) {
    const bool is_older =
        name.compare(0, key.size() + 1, key + ".") == 0 && name != key + "." + sha256;
    if (is_older) static_cast<void>(::unlink((work.prepared() + "/" + name).c_str()));
  }
  static_cast<void>(sync_folder(work.prepared()));
  return {};
}

}  // namespace dx
