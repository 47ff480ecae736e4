// Damaged ONNX files, each in a worker of its own, as the agent would load them.
#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <random>
#include <string>

#include "tests/worker/loaded.h"
#include "tests/worker/tested_onnx.h"
#include "tests/worker/worker_process.h"

using namespace dx;
using namespace dx::test;

namespace {

std::optional<Frame> next_answer(WorkerProcess& worker) {
  for (;;) {
    Result<std::optional<Frame>> frame = read_frame(worker.socket());
    // A worker that died may leave half a message: an end like any other.
    if (!frame || !frame.value()) return std::nullopt;
    if (frame.value()->kind != static_cast<std::uint16_t>(MessageKind::kPhaseChange)) {
      return std::move(*frame.value());
    }
  }
}

// Loads the file and runs it. What is refused is refused in one line, and the worker loads a sound
// model after it. False where the worker died.
bool survives(const std::string& model) {
  const TemporaryFolder folder;
  WorkerProcess worker;
  worker.expect<Hello>();
  worker.send(load_onnx(folder, model, fp32()));
  std::optional<Frame> answer = next_answer(worker);
  const bool is_loaded = answer && decode<Loaded>(*answer);
  if (is_loaded) {
    worker.send(Run{1, {noise("in0", {8, 6, 6}, 1)}});
    answer = next_answer(worker);
    if (answer && decode<Outputs>(*answer)) return true;
  }
  if (!answer) return false;
  const Result<FailureReply> failure = decode<FailureReply>(*answer);
  REQUIRE(failure);
  CHECK(failure.value().code != FailureCode::kUnspecified);
  CHECK_FALSE(failure.value().message.empty());
  CHECK(failure.value().message.find('\n') == std::string::npos);
  if (is_loaded) return true;
  worker.send(load_small_net(folder, fp32()));
  answer = next_answer(worker);
  return answer && decode<Loaded>(*answer);
}

std::string damaged(std::string model, std::mt19937& random) {
  const auto below = [&random](std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random);
  };
  const std::size_t at = below(model.size());
  switch (below(4)) {
    case 0:
      model[at] = static_cast<char>(below(256));
      break;
    case 1:
      model.erase(at, 1 + below(8));
      break;
    case 2:
      model.insert(at, model.substr(at, 1 + below(8)));
      break;
    default:
      model.resize(at);
  }
  return model;
}

}  // namespace

TEST_CASE("a damaged model is refused or runs, and the worker goes on") {
  const std::string whole = small_net_onnx();
  REQUIRE(survives(whole));
  std::mt19937 random(1);
  int died = 0;
  for (int i = 0; i < 60; ++i) died += survives(damaged(whole, random)) ? 0 : 1;
  CHECK(died == 0);
}
