#include "agent/worker/channel.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "common/messages.h"

namespace {

using std::chrono::milliseconds;

using dx::Frame;
using dx::MessageKind;

bool never() { return false; }

template <class T>
std::string frame_of(const T& message) {
  auto frame = dx::encode(message);
  REQUIRE(frame);
  return std::move(frame).value();
}

}  // namespace

TEST_CASE("frames come whole however their bytes come") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  dx::Channel channel{dx::UniqueFd(ends[0])};
  const dx::UniqueFd other(ends[1]);
  Frame frame;
  SUBCASE("byte by byte, over time-outs") {
    const std::string bytes = frame_of(dx::Samples{{1, 2, 3}});
    for (const char byte : bytes) {
      CHECK(channel.receive(frame, milliseconds(1), never) == dx::Channel::Received::kTimeout);
      REQUIRE(::send(other.get(), &byte, 1, 0) == 1);
    }
    REQUIRE(channel.receive(frame, milliseconds(1000), never) == dx::Channel::Received::kFrame);
    CHECK(dx::decode<dx::Samples>(frame).value().ns == std::vector<std::int64_t>{1, 2, 3});
  }
  SUBCASE("two at once, one empty") {
    const std::string bytes = frame_of(dx::Cancel{}) + frame_of(dx::Samples{{7}});
    REQUIRE(::send(other.get(), bytes.data(), bytes.size(), 0) ==
            static_cast<ssize_t>(bytes.size()));
    REQUIRE(channel.receive(frame, milliseconds(1000), never) == dx::Channel::Received::kFrame);
    CHECK(frame.kind == static_cast<std::uint16_t>(MessageKind::kCancel));
    REQUIRE(channel.receive(frame, milliseconds(1000), never) == dx::Channel::Received::kFrame);
    CHECK(frame.kind == static_cast<std::uint16_t>(MessageKind::kSamples));
  }
  SUBCASE("a length that lies") {
    std::string header("\xff\xff\xff\xff\x01\x00", 6);
    SUBCASE("above") {}
    SUBCASE("below") { header = std::string("\x01\x00\x00\x00\x01\x00", 6); }
    REQUIRE(::send(other.get(), header.data(), header.size(), 0) == 6);
    CHECK(channel.receive(frame, milliseconds(1000), never) == dx::Channel::Received::kGarbage);
  }
  SUBCASE("a call that is stopped") {
    CHECK(channel.receive(frame, milliseconds(60000), [] { return true; }) ==
          dx::Channel::Received::kStopped);
    const std::string large(std::size_t{8} << 20, 'x');
    CHECK(channel.send(large, milliseconds(60000), [] { return true; }) ==
          dx::Channel::Sent::kStopped);
  }
  SUBCASE("a reader that takes nothing") {
    const std::string large(std::size_t{8} << 20, 'x');
    CHECK(channel.send(large, milliseconds(50), never) == dx::Channel::Sent::kTimeout);
  }
}
