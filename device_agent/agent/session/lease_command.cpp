#include "agent/session/lease_command.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <optional>
#include <thread>
#include <utility>

#include "agent/files/files.h"
#include "agent/files/unique_fd.h"
#include "agent/files/work_folder.h"
#include "agent/session/lease.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kExitFailed = 1;
// Whatever holds us up, also a file system of somebody else: the host waits 30 seconds.
constexpr unsigned kLongestSeconds = 28;
constexpr std::chrono::milliseconds kLookAgain{20};
// In order, an agent ends its workers first; one that hangs is killed, and they end with it.
constexpr std::pair<int, std::chrono::seconds> kMeans[] = {{SIGTERM, std::chrono::seconds(12)},
                                                           {SIGKILL, std::chrono::seconds(5)}};

// A process that stays the one meant also when it ends and another gets its number.
class Process {
 public:
  explicit Process(pid_t pid) : pid_(pid) {
#ifdef SYS_pidfd_open
    // Kernels before 5.3 have none.
    handle_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
#endif
  }

  // 0 or errno.
  int send(int signal) const {
#ifdef SYS_pidfd_send_signal
    if (handle_.valid()) {
      return ::syscall(SYS_pidfd_send_signal, handle_.get(), signal, nullptr, 0) == 0 ? 0 : errno;
    }
#endif
    return ::kill(pid_, signal) == 0 ? 0 : errno;
  }

 private:
  pid_t pid_;
  UniqueFd handle_;
};

int fail(const LeaseEntry& entry, const std::string& why) {
  std::fprintf(stderr, "dx-agent: process %ld of the user %s, '%s', %s\n",
               static_cast<long>(entry.pid), user_name(entry.user).c_str(), entry.text.c_str(),
               why.c_str());
  return kExitFailed;
}

int say(const std::string& line) {
  std::printf("%s\n", line.c_str());
  return std::fflush(stdout) == 0 ? 0 : kExitFailed;
}

bool lives_on(const LeasePlaces& places, const LeaseEntry& entry, std::chrono::seconds patience) {
  const Clock::time_point deadline = Clock::now() + patience;
  while (places.find(entry.id)) {
    if (Clock::now() >= deadline) return true;
    std::this_thread::sleep_for(kLookAgain);
  }
  return false;
}

int end_run(const LeasePlaces& places, const std::string& id) {
  const auto entry = places.find(id);
  if (!entry) return say("gone");
  const Process process(entry->pid);
  bool asked = false;
  for (const auto& [signal, patience] : kMeans) {
    // Looked at once more now that `process` cannot become another one.
    const auto now = places.find(id);
    if (!now) break;
    if (!now->known || now->pid != entry->pid) return fail(*now, "cannot be seen from here");
    const int error = process.send(signal);
    if (error == ESRCH) break;
    if (error == EPERM) return fail(*now, "can only be ended by that user or by root");
    if (error != 0) return fail(*now, "cannot be ended: " + errno_text(error));
    asked = true;
    if (!lives_on(places, *now, patience)) break;
  }
  if (places.find(id)) return fail(*entry, "does not end");
  return say(asked ? "ended " + lease_line(*entry) : "gone");
}

}  // namespace

int show_lease(const CommandLine& line) {
  ::alarm(kLongestSeconds);
  const LeasePlaces places(line.lease_folder, WorkFolder{line.work}.lease());
  if (!line.end.empty()) return end_run(places, line.end);
  const auto entries = places.living();
  if (entries.empty()) return say("free");
  const char* word = "holder ";
  for (const LeaseEntry& entry : entries) {
    if (const int code = say(word + lease_line(entry)); code != 0) return code;
    word = "waiting ";
  }
  return 0;
}

}  // namespace dx
