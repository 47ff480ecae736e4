#include "agent/session/session_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>
#include <utility>

#include "agent/files/files.h"
#include "agent/store/trust.h"

namespace dx {
namespace {

constexpr int kAttempts = 100;

Failure cannot(const std::string& what, int error) {
  return {FailureCode::kInternal,
          "cannot " + what + ": " + errno_text(error) +
              "; choose a work folder that this user may write to",
          Phase::kUnspecified};
}

std::string lock_path(const std::string& folder) { return folder + "/lock"; }

// A folder without a lock is half made or half removed: dead too, because makers and removers hold
// the lock of sessions/.
bool is_dead(const std::string& folder) {
  const UniqueFd lock(::open(lock_path(folder).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!lock.valid()) return errno == ENOENT;
  return ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
}

void remove_dead(const std::string& sessions) {
  for (const std::string& name : list_folder(sessions)) {
    const std::string folder = sessions + "/" + name;
    // What cannot be removed is tried again at the next start.
    if (is_dead(folder)) static_cast<void>(remove_tree(folder));
  }
}

Result<std::string> make_folder(const std::string& sessions) {
  const std::string start =
      sessions + "/" + std::to_string(std::time(nullptr)) + "-" + std::to_string(::getpid()) + "-";
  for (int i = 0; i < kAttempts; ++i) {
    std::string folder = start + std::to_string(i);
    if (::mkdir(folder.c_str(), 0700) == 0) return folder;
    if (errno != EEXIST) return cannot("make " + folder, errno);
  }
  return cannot("make a folder in " + sessions, EEXIST);
}

}  // namespace

SessionFolder::SessionFolder(std::string path, UniqueFd lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

SessionFolder::~SessionFolder() {
  // Moved-from objects have no lock. What stays behind is removed at the next start.
  if (lock_.valid()) static_cast<void>(remove_tree(path_));
}

Result<SessionFolder> SessionFolder::create(const WorkFolder& work) {
  const std::string sessions = work.sessions();
  if (const int error = make_folders(sessions); error != 0)
    return cannot("make " + sessions, error);
  auto reason = why_untrusted(work);
  if (!reason) reason = why_untrusted(sessions);
  if (reason) {
    return Failure{FailureCode::kInternal, "the work folder cannot be trusted: " + *reason,
                   Phase::kUnspecified};
  }
  const UniqueFd all(::open(sessions.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!all.valid()) return cannot("open " + sessions, errno);
  // Where a file system has no locks, nothing is ever taken for dead.
  const bool alone = ::flock(all.get(), LOCK_EX) == 0;
  if (alone) remove_dead(sessions);
  auto folder = make_folder(sessions);
  if (!folder) return folder.failure();
  const std::string path = lock_path(folder.value());
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return cannot("make " + path, errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && alone) return cannot("lock " + path, errno);
  return SessionFolder(std::move(folder).value(), std::move(lock));
}

}  // namespace dx
