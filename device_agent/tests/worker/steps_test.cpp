// Outputs that are fed back: within the core, in a bench, and over the socket.
#include "workers/core/steps.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/worker_process.h"
#include "workers/core/measure.h"

using namespace dx;
using namespace dx::test;

namespace {

const std::vector<FeedBack> kFeeds = {{"out0", "state"}};

Tensor ones() { return tensor_of("in0", {3}, {1, 1, 1}); }
Tensor zeros() { return tensor_of("state", {3}, {0, 0, 0}); }

// in0 + state / 2 from a state of 0, with ones as in0: 1, 1.5, 1.75 … exactly, as long as the
// mantissa lasts.
float closed_form(int steps) { return 2 - std::ldexp(1.0F, 1 - steps); }

class Deaf : public MeasureListener {
 public:
  Status on_phase(Phase) override { return {}; }
  Status on_samples(const std::vector<std::int64_t>&) override { return {}; }
  bool cancelled() override { return false; }
};

struct Stream {
  Stream() {
    worker.expect<Hello>();
    worker.send(load_recurrent(folder, fp32()));
    worker.expect<Loaded>();
  }
  TemporaryFolder folder;
  WorkerProcess worker;
};

}  // namespace

TEST_CASE("a step takes what the one before it had and fed back") {
  Steps steps;
  REQUIRE(steps.begin({ones(), zeros()}, kFeeds));
  std::vector<Tensor> outputs = {tensor_of("out0", {3}, {4, 5, 6}), tensor_of("other", {1}, {7})};
  REQUIRE(steps.end(outputs, kFeeds));
  CHECK(outputs.size() == 2);
  REQUIRE(steps.begin({tensor_of("in0", {3}, {2, 2, 2})}, kFeeds));
  REQUIRE(steps.inputs().size() == 2);
  CHECK(floats_of(steps.inputs()[0]) == std::vector<float>{2, 2, 2});
  CHECK(floats_of(steps.inputs()[1]) == std::vector<float>{4, 5, 6});
  CHECK(steps.inputs()[1].name == "state");
  REQUIRE(steps.end(outputs, {{"out0", "state", false, true}}));
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].name == "other");
}

TEST_CASE("an input keeps its dims, and takes the output's where an axis is open") {
  Steps steps;
  const std::vector<FeedBack> grows = {{"out0", "state", true}};
  REQUIRE(steps.begin({zeros()}, kFeeds));
  std::vector<Tensor> outputs = {tensor_of("out0", {1, 3}, {4, 5, 6})};
  REQUIRE(steps.end(outputs, kFeeds));
  CHECK(steps.inputs()[0].dims == std::vector<std::int64_t>{3});
  outputs = {tensor_of("out0", {4}, {4, 5, 6, 7})};
  REQUIRE(steps.end(outputs, grows));
  CHECK(steps.inputs()[0].dims == std::vector<std::int64_t>{4});
  CHECK(floats_of(steps.inputs()[0]).size() == 4);
}

TEST_CASE("what cannot be fed back is refused with both sides named, and forgotten") {
  Steps steps;
  const auto refused = [](Status status, const std::vector<std::string>& texts) {
    REQUIRE_FALSE(status.ok());
    return fails(Result<int>(status.failure()), FailureCode::kInvalidRequest, texts);
  };
  CHECK(refused(steps.begin({ones()}, kFeeds), {"'state'", "got in0"}));
  CHECK(refused(steps.begin({ones(), zeros()}, {{"a", "state"}, {"b", "state"}}),
                {"'state'", "'a'", "'b'"}));
  REQUIRE(steps.begin({ones(), zeros()}, kFeeds));
  std::vector<Tensor> outputs = {tensor_of("out0", {4}, {4, 5, 6, 7})};
  CHECK(refused(steps.end(outputs, kFeeds), {"'out0' (float32 [4])", "'state' (float32 [3])"}));
  CHECK(steps.inputs().empty());
  REQUIRE(steps.begin({ones(), zeros()}, kFeeds));
  outputs = {tensor_of("out0", {3}, {4, 5, 6})};
  outputs[0].dtype = "int32";
  CHECK(refused(steps.end(outputs, kFeeds), {"int32", "float32"}));
  REQUIRE(steps.begin({ones(), zeros()}, kFeeds));
  outputs[0].name = "data";
  CHECK(refused(steps.end(outputs, kFeeds), {"'out0'", "got data"}));
}

TEST_CASE("each run of a bench is a step") {
  const TemporaryFolder folder;
  const std::unique_ptr<Model> model = loaded(load_recurrent(folder, fp32()));
  Bench request;
  request.inputs = {ones(), zeros()};
  request.warmup = 3;
  request.iterations = 8;
  request.feed_back = kFeeds;
  REQUIRE(model->set_inputs(request.inputs));
  Deaf listener;
  const Result<BenchDone> done = bench(*model, request, listener);
  REQUIRE(done);
  CHECK(done.value().runs == 8);
  REQUIRE(model->run());
  const Result<std::vector<Tensor>> outputs = model->outputs();
  REQUIRE(outputs);
  // The first run, three to warm up and eight timed ones; after them no more is fed.
  CHECK(floats_of(outputs.value()[0])[0] == closed_form(12));

  request.feed_back = {{"out1", "state"}};
  REQUIRE(model->set_inputs(request.inputs));
  CHECK(fails(bench(*model, request, listener), FailureCode::kInvalidRequest, {"'out1'", "out0"}));
}

TEST_CASE_FIXTURE(Stream, "a stream's steps follow the closed form, and the state stays there") {
  constexpr int kSteps = 20;
  for (int i = 1; i <= kSteps; ++i) {
    Run step{static_cast<std::uint64_t>(i), {}, {{"out0", "state", false, i % 2 == 0}}};
    if (i == 1) step.inputs = {ones(), zeros()};
    worker.send(step);
  }
  for (int i = 1; i <= kSteps; ++i) {
    const Outputs outputs = worker.expect<Outputs>();
    CHECK(outputs.sequence == static_cast<std::uint64_t>(i));
    CHECK(outputs.outputs.empty() == (i % 2 == 0));
    if (!outputs.outputs.empty()) CHECK(floats_of(outputs.outputs[0])[2] == closed_form(i));
  }
}

TEST_CASE_FIXTURE(Stream, "a stream starts anew after a run of its own, and after a failure") {
  worker.send(Run{1, {ones(), zeros()}, kFeeds});
  CHECK(floats_of(worker.expect<Outputs>().outputs[0])[0] == 1);
  worker.send(Run{2, {ones(), zeros()}});
  CHECK(floats_of(worker.expect<Outputs>().outputs[0])[0] == 1);
  worker.send(Run{3, {ones()}, kFeeds});
  const FailureReply without = worker.expect<FailureReply>();
  CHECK(without.sequence == 3);
  CHECK(without.message.find("'state'") != std::string::npos);
  worker.send(Run{4, {ones(), zeros()}, {{"out0", "in0"}}});
  CHECK(floats_of(worker.expect<Outputs>().outputs[0])[0] == 1);
  worker.send(Run{5, {noise("in0", {7}, 1)}, kFeeds});
  CHECK(worker.expect<FailureReply>().sequence == 5);
  worker.send(Run{6, {}, kFeeds});
  CHECK(worker.expect<FailureReply>().sequence == 6);
  worker.send(Run{7, {ones(), zeros()}, kFeeds});
  CHECK(floats_of(worker.expect<Outputs>().outputs[0])[0] == 1);
}
