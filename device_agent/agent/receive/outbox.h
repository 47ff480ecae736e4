// Lines for the host that never stop us from reading: a host that writes all its data before it
// reads would otherwise wait for us while we wait for it.
#pragma once

#include <string>
#include <string_view>

namespace dx {

class Outbox {
 public:
  // REQUIRES: `fd` stays open as long as the outbox lives.
  explicit Outbox(int fd) : fd_(fd) {}

  // Adds a line and writes as much as goes without waiting.
  void put(std::string_view line);

  // Writes everything, waiting at most ten seconds for each piece. False where the host is gone.
  bool flush();

  // True once a write failed: nobody reads any more.
  bool broken() const { return broken_; }

 private:
  // Writes one piece if there is room within the time; false where there is not.
  bool write_piece(int timeout_ms);

  int fd_;
  std::string pending_;
  bool broken_ = false;
};

}  // namespace dx
