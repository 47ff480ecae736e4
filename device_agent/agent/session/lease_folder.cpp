#include "agent/session/lease_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "agent/build_info.h"
#include "agent/files/files.h"
#include "agent/worker/log_tail.h"

namespace dx {
namespace {

using Lock = LeaseFolder::Lock;

constexpr std::string_view kPrefix = "deployx-edge-lease-";
constexpr std::size_t kIdDigits = 16;
// What the kernel shows of a process's name has room for so much of the id.
constexpr std::string_view kProcessPrefix = "dx-agent-";
constexpr std::size_t kProcessDigits = 6;
// Readable by all, as only who can open a file can ask for its lock; writable by its owner.
constexpr mode_t kHalfMade = 0600;
constexpr mode_t kEntryMode = 0644;
constexpr std::size_t kMaxEntryBytes = 4096;
constexpr std::size_t kMaxTextBytes = 512;
constexpr std::size_t kMaxStatusBytes = 4096;
// So many runs of one user are looked at: a million files of somebody must not hold up the others.
constexpr unsigned kMostOfOneUser = 256;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Listing = std::unique_ptr<DIR, CloseFolder>;

Failure cannot(const std::string& what) {
  return {FailureCode::kInternal, what, Phase::kUnspecified};
}

// On Android the user of all who come by adb, who turns into root and back by `adb root`.
bool is_android_shell(std::uint32_t user_or_group) {
  constexpr std::uint32_t kShell = 2000;
  static const bool android = std::string_view(build_info().target_id).rfind("android", 0) == 0;
  return android && user_or_group == kShell;
}

// Root may do everything anyway.
bool is_trusted(uid_t user) { return user == 0 || user == ::geteuid() || is_android_shell(user); }

// Whether nobody but root and the owner is taken to be in the folder's group.
bool is_trusted_group(const struct stat& folder) {
  const bool own = folder.st_uid == ::geteuid() && folder.st_gid == ::getegid();
  return folder.st_gid == 0 || own || is_android_shell(folder.st_gid);
}

// Why the folder cannot be trusted; empty where it can be.
std::string distrust(const struct stat& folder) {
  if (!is_trusted(folder.st_uid)) {
    const std::string us = ::geteuid() == 0 ? "" : " or " + user_name(::geteuid());
    return "belongs to the user " + user_name(folder.st_uid) + ", expected root" + us;
  }
  const bool others = (folder.st_mode & S_IWOTH) != 0 ||
                      ((folder.st_mode & S_IWGRP) != 0 && !is_trusted_group(folder));
  if (others && (folder.st_mode & S_ISVTX) == 0) {
    return "lets other users remove what is not theirs (it is not sticky)";
  }
  return "";
}

struct flock lock_of(Lock which, short type) {
  struct flock lock{};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(which);
  lock.l_len = 1;
  return lock;
}

// The process that keeps the file locked for writing: only who may write to it can do so, and the
// kernel knows who did. Locks of other kinds (flock, and those that no process owns) are not ours.
std::optional<pid_t> lock_holder(int fd, Lock which) {
  struct flock lock = lock_of(which, F_RDLCK);
  if (::fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0) {
    return std::nullopt;
  }
  return lock.l_pid;
}

std::string process_name(const std::string& id) {
  return std::string(kProcessPrefix) + id.substr(0, kProcessDigits);
}

// The rest of the line that starts with `label`.
std::string_view value_of(std::string_view status, std::string_view label) {
  const std::size_t start =
      status.rfind(label, 0) == 0 ? 0 : status.find("\n" + std::string(label)) + 1;
  if (start == 0 && status.rfind(label, 0) != 0) return {};
  const std::string_view rest = status.substr(start + label.size());
  return rest.substr(0, rest.find('\n'));
}

// The second of the four numbers: the user as whom a process makes files.
std::optional<uid_t> effective_user(std::string_view numbers) {
  const std::size_t start = numbers.find('\t');
  uid_t user = 0;
  if (start == std::string_view::npos) return std::nullopt;
  const char* first = numbers.data() + start + 1;
  const auto parsed = std::from_chars(first, numbers.data() + numbers.size(), user);
  return parsed.ec == std::errc() ? std::optional<uid_t>(user) : std::nullopt;
}

// Whether the lock's process is the agent of this run. Where the board hides other users'
// processes (hidepid), that there is one must do: `known` stays false, and nobody ends it.
bool is_agent_of(LeaseEntry& entry) {
  const auto status =
      read_file("/proc/" + std::to_string(entry.pid) + "/status", kMaxStatusBytes).value_or("");
  if (status.empty()) return ::kill(entry.pid, 0) != 0 && errno == EPERM;
  entry.known = value_of(status, "Name:\t") == process_name(entry.id) &&
                effective_user(value_of(status, "Uid:\t")) == entry.user;
  return entry.known;
}

std::string one_line(const std::string& text) {
  std::string line = clean_utf8(text, kMaxTextBytes);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

// "ASKED_NS TEXT", which is what its owner wants to be known. Nobody has asked in the future.
void read_words(int fd, LeaseEntry& entry) {
  char bytes[kMaxEntryBytes];
  const ssize_t got = ::pread(fd, bytes, sizeof bytes, 0);
  const std::string_view words(bytes, got > 0 ? static_cast<std::size_t>(got) : 0);
  const std::uint64_t now = uptime_ns();
  const char* end = words.data() + words.size();
  const auto parsed = std::from_chars(words.data(), end, entry.asked_ns);
  if (parsed.ec != std::errc() || entry.asked_ns > now) entry.asked_ns = now;
  const char* text = parsed.ptr != end && *parsed.ptr == ' ' ? parsed.ptr + 1 : parsed.ptr;
  entry.text = one_line(std::string(text, end));
}

// The one who keeps this file locked, where there is one.
std::optional<LeaseEntry> look_at(int folder, const std::string& name) {
  // Not blocking: neither a writer that never comes nor an owner who holds up who opens his file.
  const UniqueFd file(
      ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat status{};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return std::nullopt;
  // Root can read what others cannot; all users must see the same runs.
  if (!S_ISREG(status.st_mode) || (status.st_mode & 0777) != kEntryMode) return std::nullopt;
  const auto holder = lock_holder(file.get(), Lock::kLives);
  if (!holder) return std::nullopt;
  LeaseEntry entry;
  entry.id = name.substr(kPrefix.size());
  entry.pid = *holder;
  entry.user = status.st_uid;
  if (!is_agent_of(entry)) return std::nullopt;
  entry.has_board = lock_holder(file.get(), Lock::kHasBoard) == holder;
  read_words(file.get(), entry);
  return entry;
}

std::string name_of(const std::string& id) { return std::string(kPrefix) + id; }

bool is_entry(std::string_view name) {
  return name.size() == kPrefix.size() + kIdDigits && name.substr(0, kPrefix.size()) == kPrefix &&
         name.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

// Calls `visit(name, status)` for each regular file that is called as an entry is. Nothing else is
// opened: to open a device may do something.
template <class Visit>
void for_each_entry(int folder, Visit visit) {
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const Listing listing(fd >= 0 ? ::fdopendir(fd) : nullptr);
  if (!listing && fd >= 0) ::close(fd);
  if (!listing) return;
  while (const dirent* found = ::readdir(listing.get())) {
    if (!is_entry(found->d_name)) continue;
    struct stat status{};
    if (::fstatat(folder, found->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISREG(status.st_mode)) visit(std::string(found->d_name), status);
  }
}

}  // namespace

std::uint64_t LeaseEntry::seconds() const {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const std::uint64_t now = uptime_ns();
  return now > asked_ns ? (now - asked_ns) / kSecond : 0;
}

bool LeaseEntry::is_before(const LeaseEntry& other) const {
  if (has_board != other.has_board) return has_board;
  return asked_ns != other.asked_ns ? asked_ns < other.asked_ns : id < other.id;
}

Result<LeaseFolder> LeaseFolder::open(const std::string& path) {
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (!folder.valid() || ::fstat(folder.get(), &status) != 0) {
    return cannot(path + " cannot be opened: " + errno_text(errno));
  }
  const std::string reason = distrust(status);
  if (!reason.empty()) return cannot(path + " " + reason);
  return LeaseFolder(std::move(folder));
}

std::vector<LeaseEntry> LeaseFolder::living(const std::string& except) const {
  std::vector<LeaseEntry> entries;
  std::map<uid_t, unsigned> counts;
  for_each_entry(folder_.get(), [&](const std::string& name, const struct stat& status) {
    // What this process has locked it must not open: closing it would end the lock.
    if (name == name_of(except)) return;
    if (status.st_uid != ::geteuid() && ++counts[status.st_uid] > kMostOfOneUser) return;
    if (auto entry = look_at(folder_.get(), name)) entries.push_back(std::move(*entry));
  });
  return entries;
}

Result<UniqueFd> LeaseFolder::add(const LeaseEntry& entry) const {
  const std::string name = name_of(entry.id);
  UniqueFd file(::openat(folder_.get(), name.c_str(),
                         O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kHalfMade));
  if (!file.valid()) return cannot("no file can be made: " + errno_text(errno));
  static_cast<void>(::prctl(PR_SET_NAME, process_name(entry.id).c_str(), 0, 0, 0));
  const std::string words = std::to_string(entry.asked_ns) + " " + one_line(entry.text) + "\n";
  int error = take_lock(file.get(), Lock::kLives);
  if (error == 0) error = write_fully(file.get(), words);
  // From here on others see it, whole and locked, whatever this user's umask is.
  if (error == 0 && ::fchmod(file.get(), kEntryMode) != 0) error = errno;
  struct stat status{};
  if (error == 0 && ::fstat(file.get(), &status) != 0) error = errno;
  // A run that begins at this moment may have taken it for one of the dead (remove_dead).
  if (error == 0 && status.st_nlink == 0) error = EAGAIN;
  if (error == 0) return file;
  remove(entry.id);
  return cannot("no file can be written: " + errno_text(error));
}

void LeaseFolder::remove(const std::string& id) const {
  // What stays behind is not locked any more, and goes with this user's next run.
  static_cast<void>(::unlinkat(folder_.get(), name_of(id).c_str(), 0));
}

void LeaseFolder::remove_dead() const {
  for_each_entry(folder_.get(), [&](const std::string& name, const struct stat& status) {
    if (status.st_uid != ::geteuid()) return;
    const UniqueFd file(
        ::openat(folder_.get(), name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!file.valid() || take_lock(file.get(), Lock::kLives) != 0) return;
    static_cast<void>(::unlinkat(folder_.get(), name.c_str(), 0));
  });
}

int take_lock(int fd, Lock which) {
  struct flock lock = lock_of(which, F_WRLCK);
  if (::fcntl(fd, F_SETLK, &lock) == 0) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

void drop_lock(int fd, Lock which) {
  struct flock lock = lock_of(which, F_UNLCK);
  static_cast<void>(::fcntl(fd, F_SETLK, &lock));
}

std::uint64_t uptime_ns() {
  struct timespec now{};
  if (::clock_gettime(CLOCK_BOOTTIME, &now) != 0) return 0;
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

std::string user_name(uid_t user) {
  const struct passwd* entry = ::getpwuid(user);
  const std::string name = entry != nullptr && entry->pw_name != nullptr ? entry->pw_name : "";
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
  return plain && name != "-" ? name : std::to_string(user);
}

}  // namespace dx
