#include "agent/store/trust.h"

#include <sys/stat.h>
#include <unistd.h>

namespace dx {
namespace {

// Android's own: `system` owns /data, `shell` the folder that a shell user may write to.
constexpr uid_t kAndroidSystem = 1000;
constexpr uid_t kAndroidShell = 2000;

bool is_own(uid_t id) {
  if (id == 0 || id == ::geteuid()) return true;
  const bool system = id == kAndroidSystem || id == kAndroidShell;
  return system && ::access("/system/build.prop", F_OK) == 0;
}

// A user's own group has the user's number on most systems, and nobody else in it.
std::optional<std::string> distrust(const struct stat& status, bool may_be_sticky) {
  if (!is_own(status.st_uid)) return "belongs to the user " + std::to_string(status.st_uid);
  const bool sticky = S_ISDIR(status.st_mode) && (status.st_mode & S_ISVTX) != 0;
  if (S_ISLNK(status.st_mode) || (sticky && may_be_sticky)) return std::nullopt;
  if ((status.st_mode & S_IWOTH) != 0) return "may be written by every user";
  if ((status.st_mode & S_IWGRP) == 0 || is_own(status.st_gid)) return std::nullopt;
  return "may be written by the group " + std::to_string(status.st_gid);
}

std::optional<std::string> look(const std::string& path, bool may_be_sticky) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  auto reason = distrust(status, may_be_sticky);
  if (!reason && S_ISLNK(status.st_mode) && ::stat(path.c_str(), &status) == 0) {
    reason = distrust(status, may_be_sticky);
  }
  if (!reason) return std::nullopt;
  return path + " " + *reason;
}

}  // namespace

std::optional<std::string> why_untrusted(const std::string& path) { return look(path, false); }

std::optional<std::string> why_untrusted(const WorkFolder& work) { return look(work.path, true); }

}  // namespace dx
