// Who may use the board now, and who is next.
//
// Whoever wants the board alone is one of those who live in the board's lease folder
// (lease_folder.h), and waits until nobody there has the board or asked before. A lock ends with
// its process, so a session that died has given the board back, and no date is asked.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/session/lease_folder.h"

namespace dx {

// Where the runs of a board meet: the folder of all its users, and that of a work folder for those
// who cannot use the first.
struct LeasePlaces {
  // Opens what is there. `shared` may be the same as `own`: then only the work folder's runs meet.
  LeasePlaces(const std::string& shared, const std::string& own);

  // All who live but the one called `except`, in their order: the first has the board.
  std::vector<LeaseEntry> living(const std::string& except = "") const;
  std::optional<LeaseEntry> find(const std::string& id) const;

  std::optional<LeaseFolder> shared;
  std::optional<LeaseFolder> own;
  std::string why_not_shared;  // empty where it is in use, and where none is wanted
};

class Lease {
 public:
  // Joins those who want the board: in the shared folder where that can be trusted and written to,
  // else in that of the work folder. REQUIRES: this process has no other lease.
  static Result<Lease> queue(const std::string& shared, const std::string& own,
                             const std::string& text);

  Lease(Lease&& other) noexcept = default;
  Lease& operator=(Lease&&) = delete;
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  // Gives the board back.
  ~Lease();

  // Takes the board if it is our turn; else who is first. Never waits.
  Result<std::optional<LeaseEntry>> take();

  // Why only runs of this work folder are seen; empty where all of the board are.
  const std::string& why_not_shared() const { return places_.why_not_shared; }

 private:
  Lease(LeasePlaces places, bool in_shared, LeaseEntry entry, UniqueFd file);

  LeasePlaces places_;
  bool in_shared_;
  LeaseEntry entry_;
  UniqueFd file_;
};

// "ID PID SECONDS USER TEXT", as it is told to the host; USER is "-" where it is this process's.
std::string lease_line(const LeaseEntry& entry);

}  // namespace dx
