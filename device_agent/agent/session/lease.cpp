#include "agent/session/lease.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "agent/files/files.h"
#include "agent/worker/log_tail.h"

namespace dx {
namespace {

constexpr std::size_t kMaxEntryBytes = 4096;
constexpr std::size_t kMaxTextBytes = 512;
// Any user of the board may take a number, and remove that of a dead process of another.
constexpr mode_t kFolderMode = 0777;
constexpr mode_t kEntryMode = 0644;
// Opened by all of a folder while one takes a number; no number itself.
constexpr const char* kMutex = "mutex";

Failure cannot(const std::string& what, int error) {
  return {FailureCode::kInternal,
          "cannot " + what + " for the lease of this board: " + errno_text(error),
          Phase::kUnspecified};
}

// Goes on while the board sleeps, and knows nothing of the date.
std::uint64_t uptime_seconds() {
  struct timespec now{};
  return ::clock_gettime(CLOCK_BOOTTIME, &now) == 0 ? static_cast<std::uint64_t>(now.tv_sec) : 0;
}

std::string one_line(const std::string& text) {
  std::string line = clean_utf8(text, kMaxTextBytes);
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  return line;
}

std::string path_of(const std::string& folder, std::uint64_t number) {
  return folder + "/" + std::to_string(number);
}

std::uint64_t number_of(const std::string& name) {
  const bool digits = !name.empty() && std::all_of(name.begin(), name.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::strtoull(name.c_str(), nullptr, 10) : 0;
}

std::vector<std::uint64_t> numbers_in(const std::string& folder) {
  std::vector<std::uint64_t> numbers;
  for (const std::string& name : list_folder(folder)) {
    if (const std::uint64_t number = number_of(name); number > 0) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// False where no process holds the lock any more, or the file is gone.
bool is_living(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file.valid()) return errno != ENOENT;
  return ::flock(file.get(), LOCK_SH | LOCK_NB) != 0;
}

LeaseEntry read_entry(const std::string& folder, std::uint64_t number) {
  LeaseEntry entry;
  entry.number = number;
  const std::string text = read_file(path_of(folder, number), kMaxEntryBytes).value_or("");
  char* rest = nullptr;
  entry.pid = static_cast<pid_t>(std::strtol(text.c_str(), &rest, 10));
  const std::uint64_t since = std::strtoull(rest, &rest, 10);
  const std::uint64_t now = uptime_seconds();
  entry.seconds = now > since ? now - since : 0;
  entry.text = one_line(*rest == ' ' ? rest + 1 : rest);
  while (!entry.text.empty() && entry.text.back() == ' ') entry.text.pop_back();
  return entry;
}

// 0 or errno. A folder that another user made is as good.
int make_shared_folder(const std::string& folder) {
  if (::mkdir(folder.c_str(), kFolderMode) == 0) {
    return ::chmod(folder.c_str(), kFolderMode) == 0 ? 0 : errno;
  }
  if (errno != EEXIST) return errno;
  struct stat status{};
  if (::lstat(folder.c_str(), &status) != 0) return errno;
  return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
}

// Waits for the lock; 0 or errno.
int lock_exclusively(int fd) {
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

// Holds the folder's mutex; invalid with errno where it cannot be had.
UniqueFd locked_mutex(const std::string& folder) {
  const std::string path = folder + "/" + kMutex;
  UniqueFd mutex(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kEntryMode));
  if (!mutex.valid()) return mutex;
  // Whatever this user's umask is; a mutex of another user is readable already.
  static_cast<void>(::fchmod(mutex.get(), kEntryMode));
  if (const int error = lock_exclusively(mutex.get()); error != 0) {
    mutex.reset();
    errno = error;
  }
  return mutex;
}

// A locked file with the next number.
UniqueFd take_number(const std::string& folder, const std::string& text, std::uint64_t& number) {
  const UniqueFd mutex = locked_mutex(folder);
  if (!mutex.valid()) return {};
  const auto taken = numbers_in(folder);
  number = taken.empty() ? 1 : taken.back() + 1;
  UniqueFd file(::open(path_of(folder, number).c_str(),
                       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kEntryMode));
  if (!file.valid()) return {};
  const std::string line = std::to_string(::getpid()) + " " + std::to_string(uptime_seconds()) +
                           " " + one_line(text) + "\n";
  static_cast<void>(::fchmod(file.get(), kEntryMode));
  // Waits a moment where somebody looks whether it is locked.
  int error = lock_exclusively(file.get());
  if (error == 0) error = write_fully(file.get(), line);
  if (error == 0) return file;
  static_cast<void>(::unlink(path_of(folder, number).c_str()));
  errno = error;
  return {};
}

}  // namespace

Lease::Lease(std::string folder, std::uint64_t number, UniqueFd lock)
    : folder_(std::move(folder)), number_(number), lock_(std::move(lock)) {}

Lease::~Lease() {
  // Moved-from objects have no lock. A file that stays is unlocked with its process.
  if (lock_.valid()) static_cast<void>(::unlink(path_of(folder_, number_).c_str()));
}

Result<Lease> Lease::queue(const std::string& folder, const std::string& fallback,
                           const std::string& text) {
  std::string chosen = folder;
  if (make_shared_folder(chosen) != 0) {
    chosen = fallback;
    if (const int error = make_folders(chosen); error != 0) return cannot("make " + chosen, error);
  }
  std::uint64_t number = 0;
  UniqueFd lock = take_number(chosen, text, number);
  if (!lock.valid()) return cannot("write in " + chosen, errno);
  return Lease(std::move(chosen), number, std::move(lock));
}

std::optional<LeaseEntry> Lease::holder() const {
  for (const std::uint64_t number : numbers_in(folder_)) {
    if (number >= number_) break;
    const std::string path = path_of(folder_, number);
    if (is_living(path)) return read_entry(folder_, number);
    static_cast<void>(::unlink(path.c_str()));
  }
  return std::nullopt;
}

std::vector<LeaseEntry> lease_entries(const std::string& folder) {
  std::vector<LeaseEntry> entries;
  for (const std::uint64_t number : numbers_in(folder)) {
    if (is_living(path_of(folder, number))) entries.push_back(read_entry(folder, number));
  }
  return entries;
}

std::string lease_line(const LeaseEntry& entry) {
  return std::to_string(entry.pid) + " " + std::to_string(entry.seconds) + " " + entry.text;
}

}  // namespace dx
