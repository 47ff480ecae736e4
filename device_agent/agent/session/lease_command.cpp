#include "agent/session/lease_command.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <thread>
#include <utility>
#include <vector>

#include "agent/files/files.h"
#include "agent/files/work_folder.h"
#include "agent/session/lease.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kExitFailed = 1;
constexpr std::chrono::milliseconds kLookAgain{20};
// In order, an agent ends its workers first; one that hangs is killed, and they end with it.
constexpr std::pair<int, std::chrono::seconds> kMeans[] = {{SIGTERM, std::chrono::seconds(12)},
                                                           {SIGKILL, std::chrono::seconds(5)}};

// The shared folder and the one that serves where that cannot be: both may hold sessions.
std::vector<LeaseEntry> entries_of(const CommandLine& line) {
  auto entries = lease_entries(line.lease_folder);
  const std::string own = WorkFolder{line.work}.lease();
  if (own == line.lease_folder) return entries;
  const auto more = lease_entries(own);
  entries.insert(entries.end(), more.begin(), more.end());
  return entries;
}

bool still_there(const CommandLine& line, const LeaseEntry& holder) {
  for (const LeaseEntry& entry : entries_of(line)) {
    if (entry.number == holder.number && entry.pid == holder.pid) return true;
  }
  return false;
}

int end_holder(const CommandLine& line, const LeaseEntry& holder) {
  for (const auto& [signal, patience] : kMeans) {
    if (holder.pid <= 1 || ::kill(holder.pid, signal) != 0) {
      if (errno == ESRCH) break;
      std::fprintf(stderr, "dx-agent: process %ld of '%s' cannot be ended: %s\n",
                   static_cast<long>(holder.pid), holder.text.c_str(), errno_text(errno).c_str());
      return kExitFailed;
    }
    const Clock::time_point deadline = Clock::now() + patience;
    while (still_there(line, holder) && Clock::now() < deadline) {
      std::this_thread::sleep_for(kLookAgain);
    }
    if (!still_there(line, holder)) break;
  }
  std::printf("ended %s\n", lease_line(holder).c_str());
  return std::fflush(stdout) == 0 ? 0 : kExitFailed;
}

}  // namespace

int show_lease(const CommandLine& line) {
  const auto entries = entries_of(line);
  if (line.end && !entries.empty()) return end_holder(line, entries.front());
  if (entries.empty()) std::printf("free\n");
  const char* word = "holder";
  for (const LeaseEntry& entry : entries) {
    std::printf("%s %s\n", word, lease_line(entry).c_str());
    word = "waiting";
  }
  return std::fflush(stdout) == 0 ? 0 : kExitFailed;
}

}  // namespace dx
