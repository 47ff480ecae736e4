#include "agent/worker/worker_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>
#include <utility>

#include "agent/device/sysfiles.h"
#include "agent/files/files.h"

extern char** environ;

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLongestDeath{5};
constexpr int kControlFd = 3;
constexpr int kSocketBufferBytes = 1 << 20;
constexpr int kBusyAttempts = 200;
constexpr rlim_t kMaxLogBytes = rlim_t{64} << 20;

Failure cannot(const std::string& what, int error) {
  return {FailureCode::kInternal, "cannot " + what + ": " + errno_text(error), Phase::kSpawn};
}

// The two halves of a spawn that must be destroyed.
struct SpawnPlan {
  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
  bool has_files = false;
  bool has_attributes = false;

  SpawnPlan() = default;
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    if (has_files) ::posix_spawn_file_actions_destroy(&files);
    if (has_attributes) ::posix_spawnattr_destroy(&attributes);
  }

  // 0 or an errno.
  int prepare(int socket, const std::string& log_path) {
    int error = ::posix_spawn_file_actions_init(&files);
    has_files = error == 0;
    if (error == 0) error = ::posix_spawnattr_init(&attributes);
    has_attributes = has_files && error == 0;
    const auto step = [&error](int result) { error = error == 0 ? result : error; };
    if (!has_attributes) return error;
    step(::posix_spawn_file_actions_addopen(&files, 1, log_path.c_str(),
                                            O_WRONLY | O_CREAT | O_APPEND, 0600));
    // Nobody reads it; a chroot may lack /dev/null.
    step(::posix_spawn_file_actions_addopen(&files, 0, log_path.c_str(), O_RDONLY, 0));
    step(::posix_spawn_file_actions_adddup2(&files, 1, 2));
    step(::posix_spawn_file_actions_adddup2(&files, socket, kControlFd));
    // A group of its own: a terminal's Ctrl-C reaches only the agent, and a kill reaches whatever
    // the launcher started. Signals that we ignore are not ignored there.
    sigset_t none;
    sigset_t defaults;
    ::sigemptyset(&none);
    ::sigemptyset(&defaults);
    ::sigaddset(&defaults, SIGPIPE);
    step(::posix_spawnattr_setpgroup(&attributes, 0));
    step(::posix_spawnattr_setsigmask(&attributes, &none));
    step(::posix_spawnattr_setsigdefault(&attributes, &defaults));
    step(::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    return error;
  }
};

// 0 or an errno. A push that brought the same worker at the same time may have renamed its copy
// into place and be about to close it; for that moment the kernel refuses to start it.
int spawn_when_free(pid_t& pid, const SpawnPlan& plan, char* const* arguments) {
  for (int attempt = 0;; ++attempt) {
    const int error =
        ::posix_spawnp(&pid, arguments[0], &plan.files, &plan.attributes, arguments, environ);
    if (error != ETXTBSY || attempt == kBusyAttempts) return error;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

// Both ends far from the low descriptors that the child's own take.
int make_sockets(UniqueFd& ours, UniqueFd& theirs) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return errno;
  ours.reset(ends[0]);
  const UniqueFd low(ends[1]);
  theirs.reset(::fcntl(low.get(), F_DUPFD_CLOEXEC, 10));
  if (!theirs.valid()) return errno;
  for (const int end : {ours.get(), theirs.get()}) {
    // Larger buffers mean fewer turns; the kernel gives what it allows.
    static_cast<void>(
        ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &kSocketBufferBytes, sizeof kSocketBufferBytes));
  }
  return 0;
}

// Second to what the agent watches itself: a worker that logs without end must not fill the disk,
// and where the board runs out of memory the kernel is to take the worker, not the agent.
void limit(pid_t pid) {
  const rlimit log_size{kMaxLogBytes, kMaxLogBytes};
  static_cast<void>(::prlimit(pid, RLIMIT_FSIZE, &log_size, nullptr));
  const std::string path = "/proc/" + std::to_string(pid) + "/oom_score_adj";
  const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.valid()) static_cast<void>(write_fully(file.get(), "500"));
}

std::optional<std::uint64_t> status_bytes(pid_t pid, std::string_view key) {
  const auto text = read_file("/proc/" + std::to_string(pid) + "/status", 8192);
  if (!text) return std::nullopt;
  for (const std::string_view line : lines_of(*text)) {
    if (line.substr(0, key.size()) != key) continue;
    const std::string number(trimmed(line.substr(key.size())));
    return std::uint64_t{std::strtoull(number.c_str(), nullptr, 10)} * 1024;
  }
  return std::nullopt;
}

}  // namespace

void keep_inherited_descriptors() {
  for (const std::string& name : list_folder("/proc/self/fd")) {
    const int fd = std::atoi(name.c_str());
    // The folder's own descriptor is gone by now; to mark it fails without harm.
    if (fd > STDERR_FILENO) static_cast<void>(::fcntl(fd, F_SETFD, FD_CLOEXEC));
  }
}

Result<WorkerProcess::Started> WorkerProcess::start(std::vector<std::string> command_line,
                                                    const std::string& log_path) {
  command_line.insert(command_line.end(), {"--control-fd", std::to_string(kControlFd)});
  UniqueFd ours;
  UniqueFd theirs;
  if (const int error = make_sockets(ours, theirs); error != 0) {
    return cannot("make a socket for the worker", error);
  }
  SpawnPlan plan;
  if (const int error = plan.prepare(theirs.get(), log_path); error != 0) {
    return cannot("prepare the worker's start", error);
  }
  std::vector<char*> arguments;
  for (std::string& word : command_line) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t pid = 0;
  const int error = spawn_when_free(pid, plan, arguments.data());
  if (error != 0) return cannot("start the worker " + command_line[0], error);
  limit(pid);
  return Started{std::shared_ptr<WorkerProcess>(new WorkerProcess(pid)), std::move(ours)};
}

WorkerProcess::~WorkerProcess() {
  static_cast<void>(wait_exit(std::chrono::milliseconds(0), KillReason::kUnwanted));
}

void WorkerProcess::kill(KillReason reason) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (exit_) return;
  if (reason_ == KillReason::kNone) reason_ = reason;
  // The group too: a launcher may have started the worker as a child. The process itself by its
  // own id, in case it is so young that it has no group yet.
  static_cast<void>(::kill(-pid_, SIGKILL));
  static_cast<void>(::kill(pid_, SIGKILL));
}

std::optional<WorkerExit> WorkerProcess::poll_exit() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (exit_) return exit_;
  int status = 0;
  const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return std::nullopt;
  WorkerExit found;
  if (ended == pid_) {
    found.signalled = WIFSIGNALED(status);
    found.code = found.signalled ? WTERMSIG(status) : WEXITSTATUS(status);
  }
  found.reason = reason_;
  exit_ = found;
  return exit_;
}

WorkerExit WorkerProcess::wait_exit(std::chrono::milliseconds patience, KillReason reason) {
  const Clock::time_point deadline = Clock::now() + patience;
  bool killed = false;
  std::chrono::milliseconds pause{1};
  while (true) {
    if (const auto found = poll_exit()) return *found;
    if (!killed && Clock::now() >= deadline) {
      kill(reason);
      killed = true;
    }
    // Even SIGKILL waits for a driver that hangs in the kernel; we do not.
    if (killed && Clock::now() >= deadline + kLongestDeath) return {true, SIGKILL, reason};
    std::this_thread::sleep_for(pause);
    if (pause.count() < 16) pause *= 2;
  }
}

std::optional<std::uint64_t> WorkerProcess::resident_bytes() const {
  return status_bytes(pid_, "VmRSS:");
}

std::optional<std::uint64_t> WorkerProcess::peak_bytes() const {
  return status_bytes(pid_, "VmHWM:");
}

}  // namespace dx
