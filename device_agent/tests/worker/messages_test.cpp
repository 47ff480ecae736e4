#include "common/messages.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <string>
#include <tuple>
#include <vector>

using namespace dx;

namespace {

Tensor tensor() { return {"in0", "float32", {4, 1, 2}, std::string(32, 'x'), true}; }

// One of each kind, with every field away from its default.
auto all_messages() {
  RunOptions options;
  options.threads = 3;
  options.cores = CoreSelection::kBig;
  options.accelerator = "vulkan";
  options.precision = "fp16";
  options.named = {{"fp16_arithmetic", "off"}, {"winograd_convolution", "on"}};
  Load load{{{"param", "/a"}, {"library", "/b/c.so", "c.so"}},
            options,
            {"out0", "out1"},
            "/p",
            true,
            "/k"};
  const std::vector<FeedBack> feeds = {{"stateN", "state", true, true}, {"cacheN", "cache"}};
  Bench bench{{tensor(), tensor()}, 5, 6, 7.5, 8, feeds};
  Profile profile{{tensor()}, 1, 2};
  const std::vector<std::int64_t> dims = {3, -1};
  Loaded loaded{9, {{"in0", "int64", dims}}, {{"out0", "float32", {}}}, 2, "1.27.0", 4096};
  Hello hello{"ncnn",
              "1.0",
              {"vulkan"},
              {{"threads", "number", "", 0, 8, "2", "How many.", true}, {"mode", "choice", "a|b"}},
              true};
  LayerTimes layer{1, "conv", "Convolution", {8, 4, 4}, 16, 8, "bf16", {10, 11}, "CPU", {12}, true};
  return std::make_tuple(
      load, Run{1, {tensor()}, feeds}, bench, profile, Cancel{}, Quit{}, hello,
      PhaseChange{Phase::kRun}, loaded, Outputs{2, {tensor()}, 3, 4}, Samples{{1, 2, 3}},
      BenchDone{5, {{"fp32", 3}}, 6, 7, std::nullopt, {"pad"}, {{"GPU", 3, 1}}, {2, 3, 4}},
      Progress{0.5, "half"}, layer, ProfileDone{{1, 2}},
      FailureReply{FailureCode::kWatchdog, "why", Phase::kLoad, 9});
}

template <class Function>
void for_each_message(Function function) {
  std::apply([&](const auto&... message) { (function(message), ...); }, all_messages());
}

template <class T>
Frame frame_of(const T& message) {
  Result<std::string> bytes = encode(message);
  REQUIRE(bytes);
  return {static_cast<std::uint16_t>(T::kKind), bytes.value().substr(kFrameHeaderBytes)};
}

// Changes some bytes, cuts, inserts, or writes a huge count: what a broken or hostile peer sends.
void mutate(std::string& body, std::mt19937& random) {
  const auto below = [&](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  for (std::size_t change = 0, changes = 1 + below(4); change < changes; ++change) {
    const std::size_t at = body.empty() ? 0 : below(body.size());
    const char byte = static_cast<char>(below(256));
    switch (below(4)) {
      case 0:
        if (!body.empty()) body[at] = byte;
        break;
      case 1:
        body.resize(at);
        break;
      case 2:
        body.insert(at, 1 + below(8), byte);
        break;
      default:
        for (std::size_t i = at; i < body.size() && i < at + 4; ++i) body[i] = '\xff';
    }
  }
}

}  // namespace

TEST_CASE("every message comes back as it was") {
  for_each_message([](const auto& message) {
    using T = std::decay_t<decltype(message)>;
    const Result<T> back = decode<T>(frame_of(message));
    REQUIRE(back);
    CHECK(encode(back.value()).value() == encode(message).value());
  });
}

TEST_CASE("fields keep their values and their absence") {
  const Load load = std::get<Load>(all_messages());
  const Result<Load> back = decode<Load>(frame_of(load));
  REQUIRE(back);
  const RunOptions& options = back.value().options;
  CHECK(back.value().files[1].role == "library");
  CHECK(back.value().files[1].path == "/b/c.so");
  CHECK(back.value().files[1].name == "c.so");
  CHECK(back.value().prepared_path == "/p");
  CHECK(back.value().kept_folder == "/k");
  CHECK(back.value().prepare);
  CHECK(back.value().outputs == std::vector<std::string>{"out0", "out1"});
  CHECK(options.threads == 3);
  CHECK(options.cores == CoreSelection::kBig);
  CHECK(options.accelerator == "vulkan");
  CHECK(options.precision == "fp16");
  CHECK(options.named.size() == 2);
  CHECK(options.named.at("fp16_arithmetic") == "off");
  const Result<Bench> bench = decode<Bench>(frame_of(std::get<Bench>(all_messages())));
  REQUIRE(bench);
  CHECK(bench.value().seconds == 7.5);
  CHECK(bench.value().inputs[1].batched);
  CHECK(bench.value().inputs[1].dims == std::vector<std::int64_t>{4, 1, 2});
  REQUIRE(bench.value().feed_back.size() == 2);
  CHECK(bench.value().feed_back[0].input == "state");
  CHECK(bench.value().feed_back[0].omitted);
  CHECK_FALSE(bench.value().feed_back[1].grows);
}

TEST_CASE("a message of another kind is refused") {
  Frame frame = frame_of(Cancel{});
  CHECK(decode<Cancel>(frame));
  CHECK_FALSE(decode<Quit>(frame));
}

TEST_CASE("a message cut anywhere, or with a byte too many, is refused") {
  for_each_message([](const auto& message) {
    using T = std::decay_t<decltype(message)>;
    const Frame whole = frame_of(message);
    for (std::size_t size = 0; size < whole.body.size(); ++size) {
      CHECK_FALSE(decode<T>({whole.kind, whole.body.substr(0, size)}));
    }
    CHECK_FALSE(decode<T>({whole.kind, whole.body + '\0'}));
  });
}

TEST_CASE("values outside of an enumeration, a boolean or a list are refused") {
  CHECK_FALSE(decode<PhaseChange>({102, std::string("\x07\0", 2)}));
  CHECK(decode<PhaseChange>({102, std::string("\x06\0", 2)}));
  CHECK_FALSE(decode<Samples>({105, "\xff\xff\xff\xff"}));
  Run run{1, {tensor()}};
  Frame frame = frame_of(run);
  frame.body[frame.body.size() - 5] = 2;  // `batched`, before the count of what is fed back
  CHECK_FALSE(decode<Run>(frame));
}

TEST_CASE("mutated messages end as errors or as messages, never otherwise") {
  std::mt19937 random(20261121);
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for_each_message([&](const auto& message) {
    using T = std::decay_t<decltype(message)>;
    const Frame whole = frame_of(message);
    for (int i = 0; i < 4000; ++i) {
      Frame frame = whole;
      mutate(frame.body, random);
      const Result<T> got = decode<T>(frame);
      if (!got) {
        ++refused;
        continue;
      }
      ++accepted;
      // What was accepted is exactly what the bytes said.
      REQUIRE(encode(got.value()).value().substr(kFrameHeaderBytes) == frame.body);
    }
  });
  CHECK(accepted > 1000);
  CHECK(refused > 10000);
}
