#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

// Two connected stream sockets, closed at the end.
class SocketPair {
 public:
  SocketPair() { REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets_) == 0); }
  ~SocketPair() {
    close_left();
    close_right();
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;

  int left() const { return sockets_[0]; }
  int right() const { return sockets_[1]; }
  void close_left() { close_one(sockets_[0]); }
  void close_right() { close_one(sockets_[1]); }

 private:
  static void close_one(int& socket) {
    if (socket >= 0) close(std::exchange(socket, -1));
  }
  int sockets_[2] = {-1, -1};
};
