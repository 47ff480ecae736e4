#include "common/wire.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "common/messages.h"
#include "common/text.h"
#include "tests/worker/socket_pair.h"

using namespace dx;

namespace {

std::string encoded(const Samples& message) {
  Result<std::string> frame = encode(message);
  REQUIRE(frame);
  return frame.value();
}

}  // namespace

TEST_CASE("a frame is a little-endian length, a kind and the fields") {
  const std::string frame = encoded({{1, -2}});
  const std::string expected(
      "\x16\0\0\0"  // 22 bytes follow: kind, count, two values
      "\x69\0"      // Samples
      "\x02\0\0\0"  // two of them
      "\x01\0\0\0\0\0\0\0"
      "\xfe\xff\xff\xff\xff\xff\xff\xff",
      26);
  CHECK(frame == expected);
}

TEST_CASE("read_frame takes a frame that comes byte by byte, then sees the end") {
  SocketPair sockets;
  const std::string frame = encoded({{7, 8, 9}});
  std::thread sender([&] {
    for (const char byte : frame) CHECK(write_all(sockets.left(), std::string(1, byte)));
    sockets.close_left();
  });
  Result<std::optional<Frame>> got = read_frame(sockets.right());
  sender.join();
  REQUIRE(got);
  REQUIRE(got.value().has_value());
  const Result<Samples> samples = decode<Samples>(*got.value());
  REQUIRE(samples);
  CHECK(samples.value().ns == std::vector<std::int64_t>{7, 8, 9});
  got = read_frame(sockets.right());
  REQUIRE(got);
  CHECK_FALSE(got.value().has_value());
}

TEST_CASE("a frame that ends early fails wherever it is cut") {
  const std::string frame = encoded({{7, 8, 9}});
  for (std::size_t cut = 1; cut < frame.size(); ++cut) {
    SocketPair sockets;
    REQUIRE(write_all(sockets.left(), frame.substr(0, cut)));
    sockets.close_left();
    CHECK_FALSE(read_frame(sockets.right()));
  }
}

TEST_CASE("a frame that announces too much or too little is refused unread") {
  for (const std::uint32_t length : {0U, 1U, (1U << 30) + 1, 0xFFFFFFFFU}) {
    SocketPair sockets;
    std::string header;
    for (unsigned i = 0; i < 4; ++i) header.push_back(static_cast<char>(length >> (8 * i) & 0xFF));
    REQUIRE(write_all(sockets.left(), header + std::string(2, '\0')));
    const Result<std::optional<Frame>> got = read_frame(sockets.right());
    REQUIRE_FALSE(got);
    CHECK(got.failure().message.find(std::to_string(length)) != std::string::npos);
  }
}

TEST_CASE("a lying length costs no memory: the stream ends first") {
  SocketPair sockets;
  REQUIRE(write_all(sockets.left(), std::string("\0\0\0\x40\x01\0abc", 9)));  // announces 1 GiB
  sockets.close_left();
  CHECK_FALSE(read_frame(sockets.right()));
}

TEST_CASE("writing to a closed peer is an error, not a signal") {
  SocketPair sockets;
  sockets.close_right();
  CHECK_FALSE(write_all(sockets.left(), "x"));
}

TEST_CASE("a message over the limit is refused by its sender") {
  const auto finish_ten_bytes = [](std::size_t limit) {
    Writer writer(1);  // two bytes for the kind
    writer(std::uint64_t{0});
    return std::move(writer).finish(limit);
  };
  CHECK(finish_ten_bytes(10));
  CHECK_FALSE(finish_ten_bytes(9));
}

TEST_CASE("texts of messages are short and printable") {
  CHECK(dims_text({1, 2}) == "[1, 2]");
  CHECK(dims_text({}) == "[]");
  CHECK(printable("a\nb\xff", 3) == "a?b");
  CHECK(list_text({"a", "b"}) == "a, b");
  CHECK(list_text(std::vector<std::string>(21, "n")).find(", ... (21 in all)") !=
        std::string::npos);
}
