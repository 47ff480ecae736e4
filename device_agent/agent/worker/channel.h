// The agent's end of a worker's control socket: frames with a deadline, and a look at every tick
// whether the work is still wanted.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string_view>

#include "agent/files/unique_fd.h"
#include "common/wire.h"

namespace dx {

// Asked about ten times a second; true: give up.
using StopCheck = std::function<bool()>;

// One thread may send while another receives.
class Channel {
 public:
  explicit Channel(UniqueFd socket);

  enum class Sent { kDone, kClosed, kTimeout, kStopped };

  // Writes a whole frame; each byte that is taken starts `patience` anew. After kTimeout and
  // kStopped the stream is broken in mid-frame: the worker must end.
  Sent send(std::string_view frame, std::chrono::milliseconds patience, const StopCheck& stop);

  enum class Received { kFrame, kClosed, kTimeout, kStopped, kGarbage, kNoMemory };

  // Waits for the next whole frame. After kTimeout and kStopped it may be called again and goes on
  // where it was; after any other end the worker cannot be talked to any more.
  Received receive(Frame& frame, std::chrono::milliseconds patience, const StopCheck& stop);

 private:
  enum class Step { kWhole, kMore, kWait, kClosed, kGarbage, kNoMemory };
  bool make_room();
  Step read_header();
  Step read_body();

  UniqueFd socket_;
  char header_[kFrameHeaderBytes] = {};
  std::size_t have_ = 0;  // of the header, then of the body
  bool in_body_ = false;
  std::size_t body_size_ = 0;
  Frame frame_;
};

}  // namespace dx
