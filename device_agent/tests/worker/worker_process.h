// The real worker, spoken to over its control socket.
#pragma once

#include <doctest/doctest.h>
#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "common/messages.h"
#include "tests/worker/socket_pair.h"

namespace dx::test {

class WorkerProcess {
 public:
  WorkerProcess();
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  int socket() const { return sockets_.left(); }
  void close_socket() { sockets_.close_left(); }

  template <class T>
  void send(const T& message) {
    REQUIRE(send_message(socket(), message));
  }

  // The next message, whatever it is.
  Frame next();

  // The next message of this kind; signs of life before it are passed over.
  template <class T>
  T expect() {
    Frame frame = next();
    while (frame.kind == static_cast<std::uint16_t>(MessageKind::kPhaseChange) &&
           T::kKind != MessageKind::kPhaseChange) {
      frame = next();
    }
    Result<T> message = decode<T>(frame);
    REQUIRE_MESSAGE(message.ok(), (message.ok() ? std::string() : message.failure().message));
    return std::move(message).value();
  }

  // Waits for the end and returns the exit code, or minus the signal.
  int wait();
  void kill_now();

 private:
  SocketPair sockets_;
  pid_t pid_ = -1;
};

// What a program printed and how it ended.
struct Output {
  std::string text;
  int exit_code = 0;
};

// Runs the worker with these arguments; standard error is not looked at.
Output run_worker(const std::vector<std::string>& arguments);

}  // namespace dx::test
