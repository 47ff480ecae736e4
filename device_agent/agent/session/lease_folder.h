// A folder in which the runs of a board, of all its users, take their turns.
//
// Each run has one file there, which it keeps locked for as long as it lives. Nothing in the folder
// is believed for what it says: who lives, as which process and which user, is asked of the kernel.
// So another user can put there whatever he likes and gets no more by it than a run of his own.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agent/files/unique_fd.h"
#include "common/result.h"

namespace dx {

// One who has the board or waits for it.
struct LeaseEntry {
  std::string id;              // random, of this run only
  pid_t pid = 0;               // of the process that holds the lock, as the kernel says
  uid_t user = 0;              // whose file it is, and whose process
  bool known = false;          // the process was seen to be the agent of this very run
  bool has_board = false;      // else it waits
  std::uint64_t asked_ns = 0;  // when, by the board's own uptime
  std::string text;            // who it is and what for, one line, by its own words

  std::uint64_t seconds() const;
  // Whose turn is first: whoever has the board, then the longest wait.
  bool is_before(const LeaseEntry& other) const;
};

class LeaseFolder {
 public:
  // What a run can lock of its file. Only who may write to the file can take these locks.
  enum class Lock : std::uint8_t { kLives = 0, kHasBoard = 1 };

  // Opens a folder in which no other user can remove or exchange what is ours: it belongs to root
  // or to us, and is sticky where others may write to it. What its name leads to later does not
  // matter any more.
  static Result<LeaseFolder> open(const std::string& path);

  // All who live but the one called `except`, in no order. Never waits for anybody.
  std::vector<LeaseEntry> living(const std::string& except) const;

  // A file for `entry`, locked as living. The name of this process is set to what others look for.
  // REQUIRES: this process holds no other lease.
  Result<UniqueFd> add(const LeaseEntry& entry) const;
  void remove(const std::string& id) const;
  // Removes what dead runs of this user left. REQUIRES: this process holds no lease.
  void remove_dead() const;

 private:
  explicit LeaseFolder(UniqueFd folder) : folder_(std::move(folder)) {}

  UniqueFd folder_;
};

// 0 or errno; EAGAIN where another process has it.
int take_lock(int fd, LeaseFolder::Lock which);
void drop_lock(int fd, LeaseFolder::Lock which);

// Goes on while the board sleeps, and knows nothing of the date.
std::uint64_t uptime_ns();

// The name of a user of the board, or the number where there is none that can be shown.
std::string user_name(uid_t user);

}  // namespace dx
