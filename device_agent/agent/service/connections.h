// The connections to the agent's port: few at once, and those of strangers go first.
#pragma once

#include <grpcpp/server_builder.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/files/unique_fd.h"
#include "common/result.h"

namespace dx {

// gRPC takes as many connections as there are descriptors, and stops listening when there are no
// more. So they are accepted here: at most kMost are open. For the next one the oldest of those
// that have not shown the session's token is ended, once it had kGrace to do so; until then the
// next one waits in the kernel's queue.
class Connections {
 public:
  static constexpr std::size_t kMost = 24;
  static constexpr std::chrono::milliseconds kGrace{500};

  // Listens on a free port of 127.0.0.1.
  static Result<std::unique_ptr<Connections>> listen();

  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;
  ~Connections() { stop(); }

  int port() const { return port_; }

  // Hands connections on from now on, in a thread of its own. REQUIRES: called once, and stop()
  // before the server ends.
  void start(std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor);
  void stop();

  // The connection of this peer, in gRPC's words ("ipv4:127.0.0.1:40000"), has shown the token.
  void trust(const std::string& peer);

 private:
  using Clock = std::chrono::steady_clock;

  // The descriptor is gRPC's, which closes it; by the inode it is told from a later one.
  struct Open {
    int fd;
    ino_t inode;
    std::uint16_t port;
    Clock::time_point since;
    bool trusted;
    bool ending;
  };

  Connections(UniqueFd listener, int port, UniqueFd read_end, UniqueFd write_end);

  struct Count {
    std::size_t all = 0;
    std::size_t strangers = 0;
    std::size_t closed = 0;  // since it was counted last
  };

  void run();
  void accept_one();
  Count count_open();
  void end_a_stranger();

  UniqueFd listener_;
  const int port_;
  UniqueFd read_end_;
  UniqueFd write_end_;
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor_;
  std::thread thread_;
  std::mutex mutex_;        // of what follows
  std::vector<Open> open_;  // the oldest first
};

}  // namespace dx
