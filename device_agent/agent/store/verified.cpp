#include "agent/store/verified.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>
#include <utility>

#include "agent/crypto/sha256.h"
#include "agent/files/files.h"
#include "agent/files/unique_fd.h"

namespace dx {
namespace {

// A hundred thousand contents, the most that a bundle holds, are 13 MB.
constexpr std::size_t kMaxBytes = std::size_t{32} << 20;

// The text of a file that only we (or root) can have written; empty otherwise.
std::string read_own(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (!file.valid() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return "";
  if (status.st_uid != ::geteuid() && status.st_uid != 0) return "";
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) return "";
  return read_file(path, kMaxBytes).value_or("");
}

}  // namespace

Verified::Verified(const WorkFolder& work) : work_(work) {
  std::istringstream lines(read_own(work_.verified()));
  std::string sha256;
  Look look;
  // A line that is cut short or damaged ends the list: what follows is hashed again.
  while (lines >> sha256 >> look.size >> look.changed_ns >> look.inode && is_sha256(sha256)) {
    looks_[sha256] = look;
  }
}

Verified::Look Verified::look_of(const struct stat& status) {
  constexpr std::int64_t kSecond = 1000000000;
  return {static_cast<std::uint64_t>(status.st_size),
          std::int64_t{status.st_mtim.tv_sec} * kSecond + std::int64_t{status.st_mtim.tv_nsec},
          static_cast<std::uint64_t>(status.st_ino)};
}

bool Verified::holds(const std::string& sha256, const struct stat& status) const {
  const auto found = looks_.find(sha256);
  return found != looks_.end() && found->second == look_of(status);
}

void Verified::put(const std::string& sha256, const struct stat& status) {
  if (holds(sha256, status)) return;
  looks_[sha256] = look_of(status);
  is_changed_ = true;
}

void Verified::forget(const std::string& sha256) {
  is_changed_ = looks_.erase(sha256) > 0 || is_changed_;
}

void Verified::save() {
  if (!std::exchange(is_changed_, false)) return;
  std::string text;
  for (const auto& [sha256, look] : looks_) {
    struct stat status{};
    if (::stat(work_.content(sha256).c_str(), &status) != 0) continue;  // It went since.
    text += sha256 + ' ' + std::to_string(look.size) + ' ' + std::to_string(look.changed_ns) + ' ' +
            std::to_string(look.inode) + '\n';
  }
  // Of no content's name: what a kill leaves there goes with the dead parts of the next push.
  const std::string temporary =
      work_.incoming() + "/verified." + std::to_string(::getpid()) + ".part";
  static_cast<void>(std::remove(temporary.c_str()));
  UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file.valid()) return;
  const bool kept = write_fully(file.get(), text) == 0 &&
                    std::rename(temporary.c_str(), work_.verified().c_str()) == 0;
  if (!kept) static_cast<void>(std::remove(temporary.c_str()));
}

}  // namespace dx
