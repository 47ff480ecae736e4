// Who may use the board now, and who is next.
//
// Whoever wants the board to itself lays a file with the next number into one folder and keeps it
// locked for as long as it lives; the lowest number that is locked has the board. A lock ends with
// its process, so a session that died has given the board back, and no clock is asked.
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
  std::uint64_t number = 0;
  pid_t pid = 0;
  std::uint64_t seconds = 0;  // since it asked, by the board's own uptime
  std::string text;           // who it is and what for, one line
};

class Lease {
 public:
  // Takes the next number. `folder` is made where it is missing, for every user of the board;
  // where that cannot be (no /tmp), `fallback` serves instead.
  static Result<Lease> queue(const std::string& folder, const std::string& fallback,
                             const std::string& text);

  Lease(Lease&& other) noexcept = default;
  Lease& operator=(Lease&&) = delete;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  // Gives the board back.
  ~Lease();

  // Who has the board; nobody when it is ours. Removes what the dead left before us.
  std::optional<LeaseEntry> holder() const;

 private:
  Lease(std::string folder, std::uint64_t number, UniqueFd lock);

  std::string folder_;
  std::uint64_t number_;
  UniqueFd lock_;
};

// All who live, in their order: the first has the board.
std::vector<LeaseEntry> lease_entries(const std::string& folder);

// "PID SECONDS TEXT", as it is told to the host.
std::string lease_line(const LeaseEntry& entry);

}  // namespace dx
