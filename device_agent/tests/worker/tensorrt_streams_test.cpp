// TensorRT's worker on several streams, and on a deep learning accelerator, against the libraries
// that stand in for TensorRT's and CUDA's (stand_in/). Nothing here was seen on a GPU.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/worker/onnx_writer.h"
#include "tests/worker/tensorrt_behaviour.h"
#include "tests/worker/tested_onnx.h"
#include "tests/worker/worker_process.h"
#include "workers/core/measure.h"

using namespace dx;
using namespace dx::test;

namespace {

class Endless : public MeasureListener {
 public:
  Status on_phase(Phase) override { return {}; }
  Status on_samples(const std::vector<std::int64_t>&) override { return {}; }
  bool cancelled() override { return false; }
};

BenchDone bench_done(Model& model) {
  Bench request;
  request.inputs = {net_input()};
  request.iterations = 7;
  REQUIRE(model.set_inputs(request.inputs));
  Endless listener;
  Result<BenchDone> done = bench(model, request, listener);
  REQUIRE(done);
  return std::move(done).value();
}

const UnitCount* find(const std::vector<UnitCount>& units, const std::string& name) {
  for (const UnitCount& unit : units) {
    if (unit.unit == name) return &unit;
  }
  return nullptr;
}

RunOptions on_dla(const std::string& fallback) {
  RunOptions options = with("dla_core", "0");
  options.named["allow_fallback"] = fallback;
  return options;
}

}  // namespace

TEST_CASE("runs on several streams are begun before others end, and end in their order") {
  const TemporaryFolder folder;
  const auto alone = loaded(load_small_net(folder, fp32()));
  for (const std::string graph : {"off", "on"}) {
    CAPTURE(graph);
    RunOptions options = with("streams", "3");
    options.named["cuda_graph"] = graph;
    const auto model = loaded(load_small_net(folder, options));
    REQUIRE(model->streams() == 3);
    for (std::uint32_t round = 0; round < 2; ++round) {
      for (std::uint32_t i = 0; i < 3; ++i) REQUIRE(model->start({net_input(10 * round + i)}));
      // One that does not fit does not begin, and disturbs none.
      if (round == 1) REQUIRE(model->finish());
      if (round == 1) CHECK_FALSE(model->start({noise("in0", {7, 6, 6}, 1)}));
      for (std::uint32_t i = round; i < 3; ++i) {
        Result<Finished> finished = model->finish();
        REQUIRE(finished);
        CHECK(finished.value().ns > 0);
        const std::vector<Tensor> wanted = run_of(*alone, {net_input(10 * round + i)});
        CHECK(finished.value().outputs[0].data == wanted[0].data);
      }
    }
    CHECK(run_of(*model, {net_input(5)})[0].data == run_of(*alone, {net_input(5)})[0].data);
  }
}

TEST_CASE("a model on one stream runs one input at a time") {
  const TemporaryFolder folder;
  const auto model = loaded(load_small_net(folder, fp32()));
  CHECK(model->streams() == 1);
  CHECK(bench_done(*model).throughput.streams == 0);
}

TEST_CASE("the worker answers what was sent ahead in its order, on however many streams") {
  const TemporaryFolder folder;
  constexpr std::uint64_t kRuns = 20;
  const auto alone = loaded(load_small_net(folder, fp32()));
  WorkerProcess worker;
  worker.expect<Hello>();
  worker.send(load_small_net(folder, with("streams", "2")));
  worker.expect<Loaded>();
  for (std::uint64_t i = 1; i <= kRuns; ++i) {
    // Of two that cannot run each is answered in its place.
    const bool is_wrong = i == 7 || i == 8;
    worker.send(
        Run{i, {is_wrong ? noise("in0", {7, 6, 6}, 1) : net_input(static_cast<std::uint32_t>(i))}});
  }
  for (std::uint64_t i = 1; i <= kRuns; ++i) {
    CAPTURE(i);
    if (i == 7 || i == 8) {
      CHECK(worker.expect<FailureReply>().sequence == i);
      continue;
    }
    const Outputs outputs = worker.expect<Outputs>();
    CHECK(outputs.sequence == i);
    CHECK(outputs.worker_ns >= outputs.compute_ns);
    const std::vector<Tensor> wanted = run_of(*alone, {net_input(static_cast<std::uint32_t>(i))});
    CHECK(outputs.outputs[0].data == wanted[0].data);
  }
  // What is no run waits for those that go on, and runs alone.
  for (std::uint64_t i = 1; i <= 3; ++i) worker.send(Run{i, {net_input()}});
  Bench bench;
  bench.inputs = {net_input()};
  bench.iterations = 3;
  worker.send(bench);
  for (std::uint64_t i = 1; i <= 3; ++i) CHECK(worker.expect<Outputs>().sequence == i);
  std::size_t samples = 0;
  Frame frame = worker.next();
  while (frame.kind != static_cast<std::uint16_t>(MessageKind::kBenchDone)) {
    if (const auto told = decode<Samples>(frame)) samples += told.value().ns.size();
    frame = worker.next();
  }
  CHECK(samples == 3);
  CHECK(decode<BenchDone>(frame).value().throughput.runs == 3);
}

TEST_CASE("a bench runs one at a time, and tells beside it what several streams come to") {
  const TemporaryFolder folder;
  const auto model = loaded(load_small_net(folder, with("streams", "2")));
  const BenchDone done = bench_done(*model);
  CHECK(done.runs == 7);
  CHECK(done.throughput.streams == 2);
  CHECK(done.throughput.runs == 7);
  CHECK(done.throughput.ns > 0);
}

TEST_CASE("each layer's unit is told, and what the accelerator left to the GPU is named") {
  const TemporaryFolder folder;
  const auto on_gpu = loaded(load_small_net(folder, fp32()));
  const BenchDone plain = bench_done(*on_gpu);
  REQUIRE(plain.units.size() == 1);
  CHECK(plain.units[0].unit == "GPU");
  CHECK(plain.units[0].fell_back == 0);
  {
    const Behaviour whole("dla=1");
    const BenchDone done = bench_done(*loaded(load_small_net(folder, on_dla("on"))));
    REQUIRE(done.units.size() == 1);
    CHECK(done.units[0].unit == "DLA");
  }
  const Behaviour part("dla=1 dla-lacks=,Gemm,");
  const BenchDone done = bench_done(*loaded(load_small_net(folder, on_dla("on"))));
  REQUIRE(find(done.units, "DLA") != nullptr);
  CHECK(find(done.units, "DLA")->fell_back == 0);
  const UnitCount* const gpu = find(done.units, "GPU");
  REQUIRE(gpu != nullptr);
  CHECK(gpu->fell_back == 1);
  CHECK(done.fell_back == std::vector<std::string>{"fc"});
  CHECK(fails(load(load_small_net(folder, on_dla("off"))), FailureCode::kRuntimeRefused,
              {"built no engine", "Layer 'fc' (Gemm): Unsupported on DLA"}));
}

TEST_CASE("the accelerator's int8 takes the model without nodes, and the ranges beside it") {
  const TemporaryFolder folder;
  const std::string asked = folder.write("asked", "");
  const Behaviour telling("dla=1 asked=" + asked);
  Load request = load_onnx(folder, with_entry(small_net_onnx(), "deployx.precisions", "int8"));
  request.options = on_dla("on");
  request.files.push_back(
      {"float", folder.write("float.onnx",
                             with_entry(small_net_onnx(), "deployx.precisions", "fp16 int8"))});
  request.files.push_back(
      {"ranges", folder.write("ranges", "ranges\nin0: 3c010a14\nc: 3d000000\n")});
  loaded(request);
  const std::string text = content_of(asked);
  CAPTURE(text);
  CHECK(text.find(" flag=3 flag=4 ") != std::string::npos);
  CHECK(text.find("TRT-100300-EntropyCalibration2\nin0: 3c010a14\nc: 3d000000\n") !=
        std::string::npos);
  // The GPU takes what the nodes say.
  request.options = fp32();
  folder.write("asked", "");
  loaded(request);
  CHECK(content_of(asked).find("TRT-") == std::string::npos);
  request.options = on_dla("on");
  request.files.back().path = folder.write("ranges", "ranges\nin0: nothing\n");
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"ranges", "quantize it again"}));
}

TEST_CASE("a model in bf16 is refused where the GPU has none, in a sentence") {
  const TemporaryFolder folder;
  const Load request =
      load_onnx(folder, with_entry(small_net_onnx(), "deployx.precisions", "bf16"), fp32());
  CHECK(loaded(request)->streams() == 1);
  {
    const Behaviour older("gpu=72");
    WorkerProcess worker;
    worker.expect<Hello>();
    worker.send(request);
    const FailureReply failure = worker.expect<FailureReply>();
    CHECK(failure.code == FailureCode::kRuntimeRefused);
    CHECK(failure.message.find("in bf16, which GPUs have from sm_80 on") != std::string::npos);
    CHECK(failure.message.find("this is sm_72: convert it with --precision fp16") !=
          std::string::npos);
  }
  const Behaviour with_dla("dla=1");
  Load other = request;
  other.options = on_dla("on");
  CHECK(fails(load(other), FailureCode::kRuntimeRefused, {"bf16", "this is an accelerator"}));
}
