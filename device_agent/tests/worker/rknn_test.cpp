// RKNN's worker against a library that stands in for Rockchip's, see stand_in/stand_in_rknnrt.cpp:
// what becomes of a model from its load to its end. Nothing here was seen on an NPU.
#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/behaviour.h"
#include "tests/worker/onnx_writer.h"
#include "tests/worker/rknn_file.h"
#include "tests/worker/tested_onnx.h"
#include "tests/worker/worker_process.h"
#include "workers/core/measure.h"

using namespace dx;
using namespace dx::test;

namespace {

FailureReply refused(const Load& request) {
  WorkerProcess worker;
  worker.expect<Hello>();
  worker.send(request);
  return worker.expect<FailureReply>();
}

bool holds(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

// image [1, 3, 4, 5] -> twice of it [1, 3, 4, 5]: a value that lands elsewhere is seen.
std::string image_net() {
  OnnxWriter net;
  net.input("image", OnnxType::kFloat, {1, 3, 4, 5});
  net.output("twice", OnnxType::kFloat, {1, 3, 4, 5});
  net.node("Add", "sum", {"image", "image"}, {"twice"});
  return net.model();
}

Load load_image_net(const TemporaryFolder& folder, const RunOptions& options = fp32()) {
  return load_onnx(folder, image_net(), options);
}

// Values that int8 at a scale of 1/128 and half floats hold exactly.
Tensor image() {
  std::vector<float> values;
  for (int i = 0; i < 60; ++i) values.push_back(static_cast<float>(i - 30) / 128);
  return tensor_of("image", {1, 3, 4, 5}, values);
}

std::vector<float> twice(const Tensor& tensor) {
  std::vector<float> values = floats_of(tensor);
  for (float& value : values) value *= 2;
  return values;
}

}  // namespace

TEST_CASE("the worker says which library the board has, and a load which driver and memory") {
  WorkerProcess worker;
  const Hello hello = worker.expect<Hello>();
  CHECK(hello.runtime == "rknn");
  CHECK(hello.runtime_version == "2.5.0");
  CHECK_FALSE(hello.prepares);
  const TemporaryFolder folder;
  const Load request = load_small_net(folder, fp32());
  worker.send(request);
  const Loaded loaded = worker.expect<Loaded>();
  CHECK(loaded.runtime_version == "2.5.0 (driver 0.9.8, model by toolkit 2.5.0)");
  CHECK(loaded.accelerator_bytes == content_of(request.files[0].path).size() + 65536);
}

TEST_CASE("images keep their order in every element type, with and without shared memory") {
  const TemporaryFolder folder;
  const std::string asked = folder.write("asked", "");
  for (const char* const words : {"type=float32", "type=float16", "type=int8 scale=0.0078125",
                                  "type=int8 scale=0.0078125 zero=-3 stride=8"}) {
    const Behaviour behaviour(std::string(words) + " asked=" + asked);
    for (const char* const shares : {"on", "off"}) {
      CAPTURE(words);
      CAPTURE(shares);
      if (std::string(words) == "type=float32" && std::string(shares) == "on") continue;
      std::ofstream(asked, std::ios::trunc).close();
      const auto model = loaded(load_image_net(folder, with("zero_copy", shares)));
      const std::vector<Tensor> outputs = run_of(*model, {image()});
      REQUIRE(outputs.size() == 1);
      CHECK(outputs[0].dims == std::vector<std::int64_t>{1, 3, 4, 5});
      CHECK(floats_of(outputs[0]) == twice(image()));
      CHECK((content_of(asked).find("shared=") != std::string::npos) ==
            (std::string(shares) == "on"));
    }
  }
  CHECK(fails(load(load_image_net(folder, with("zero_copy", "on"))), FailureCode::kOptionRefused,
              {"option zero_copy", "neither int8 nor fp16"}));
}

TEST_CASE("a batch runs sample by sample, also through shared memory") {
  const TemporaryFolder folder;
  const Behaviour half("type=float16");
  for (const char* const shares : {"on", "off"}) {
    const auto model = loaded(load_image_net(folder, with("zero_copy", shares)));
    Tensor batch = image();
    const Tensor other = tensor_of("image", {1, 3, 4, 5}, twice(image()));
    batch.data += other.data;
    batch.dims.insert(batch.dims.begin(), 2);
    batch.batched = true;
    const std::vector<float> values = floats_of(run_of(*model, {batch})[0]);
    REQUIRE(values.size() == 120);
    CHECK(std::vector<float>(values.begin(), values.begin() + 60) == twice(image()));
    CHECK(std::vector<float>(values.begin() + 60, values.end()) == twice(other));
  }
}

TEST_CASE("layers say where they ran, and those left to the processor are told of a bench") {
  const TemporaryFolder folder;
  for (const char* const layout : {"", "old-table "}) {
    const Behaviour left(std::string(layout) + "cpu=Conv,Flatten");
    WorkerProcess worker;
    worker.expect<Hello>();
    worker.send(load_small_net(folder, fp32()));
    worker.expect<Loaded>();
    Bench bench;
    bench.inputs = {net_input()};
    bench.iterations = 2;
    worker.send(bench);
    Frame frame = worker.next();
    while (frame.kind != static_cast<std::uint16_t>(MessageKind::kBenchDone)) frame = worker.next();
    CHECK(decode<BenchDone>(frame).value().fell_back ==
          std::vector<std::string>{"conv", "deep", "flat"});
    worker.send(Profile{{net_input()}, 0, 2});
    std::vector<std::string> units;
    for (frame = worker.next(); frame.kind != static_cast<std::uint16_t>(MessageKind::kProfileDone);
         frame = worker.next()) {
      const Result<LayerTimes> layer = decode<LayerTimes>(frame);
      if (!layer) continue;
      units.push_back(layer.value().unit);
      CHECK(layer.value().ns == std::vector<std::int64_t>{250000, 250000});
    }
    CHECK(units == std::vector<std::string>{"", "NPU", "CPU", "NPU", "CPU", "NPU", "NPU", "CPU",
                                            "NPU", "NPU", ""});
  }
}

TEST_CASE("a core mask reaches the library where the chip has these cores") {
  const TemporaryFolder folder;
  const std::string asked = folder.write("asked", "");
  const Behaviour telling("asked=" + asked);
  const auto said = [&](const std::string& mask) {
    std::ofstream(asked, std::ios::trunc).close();
    loaded(load_small_net(folder, with("core_mask", mask)));
    return content_of(asked);
  };
  CHECK(said("auto").empty());
  CHECK(said("2") == "mask=4\n");
  CHECK(said("0_1") == "mask=3\n");
  CHECK(said("0_1_2") == "mask=7\n");
  CHECK(said("all") == "mask=65535\n");
  Load smaller = load_small_net(folder, with("core_mask", "0_1_2"));
  smaller.files[0].path =
      folder.write("smaller.rknn", rknn_file(small_net_onnx(), "2.5.0", "rk3576"));
  CHECK(fails(load(smaller), FailureCode::kOptionRefused,
              {"the NPU of rk3576 has 2 cores", "auto, 0, 1, 0_1, all", "got 0_1_2"}));
  smaller.options.named["core_mask"] = "0";
  smaller.files[0].path =
      folder.write("single.rknn", rknn_file(small_net_onnx(), "2.5.0", "rk3562"));
  std::ofstream(asked, std::ios::trunc).close();
  loaded(smaller);
  CHECK(content_of(asked).empty());
  const Behaviour single("cores=1");
  CHECK(fails(load(load_small_net(folder, with("core_mask", "2"))), FailureCode::kOptionRefused,
              {"runtime library refuses 2", "(-5)"}));
}

TEST_CASE("versions that do not go together are refused with all three, unless nobody asks") {
  const TemporaryFolder folder;
  Load request = load_small_net(folder, fp32());
  request.files[0].path = folder.write("newer.rknn", rknn_file(small_net_onnx(), "2.7.1"));
  const FailureReply failure = refused(request);
  CHECK(failure.code == FailureCode::kRuntimeRefused);
  CHECK(holds(failure.message, "toolkit 2.7.1 made the model"));
  CHECK(holds(failure.message, "runtime library 2.5.0"));
  CHECK(holds(failure.message, "driver "));
  CHECK(holds(failure.message, "check_versions=off"));
  request.options.named["check_versions"] = "off";
  loaded(request);
  const Behaviour strict("init=-6");
  CHECK(fails(load(request), FailureCode::kRuntimeRefused,
              {"does not take this model's file (-6)", "toolkit 2.7.1", "library 2.5.0"}));
}

TEST_CASE("a library that says to be older than its file tells is refused, too") {
  const TemporaryFolder folder;
  const Behaviour older("version=2.1.0 driver=0.9.2");
  const FailureReply failure = refused(load_small_net(folder, fp32()));
  CHECK(holds(failure.message, "toolkit 2.5.0 made the model"));
  CHECK(holds(failure.message, "runtime library 2.1.0 and driver 0.9.2"));
}

TEST_CASE("what the library refuses is told with its number and what to do") {
  const TemporaryFolder folder;
  const Load request = load_small_net(folder, fp32());
  for (const auto& [words, parts] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"init=-10", {"library and driver do not fit each other (-10)", "newer NPU driver"}},
           {"init=-13", {"another chip (-13)", "--soc"}},
           {"init=-4", {"out of memory for the NPU (-4)", "smaller model"}},
           {"init=-1", {"gives no reason (-1)", "no NPU driver on this board"}}}) {
    const Behaviour strict(words);
    CHECK(fails(load(request), FailureCode::kRuntimeRefused, parts));
  }
  const auto model = loaded(request);
  REQUIRE(model->set_inputs({net_input()}));
  const Behaviour broken("run=-2");
  CHECK(fails(model->run(), FailureCode::kRuntimeRefused,
              {"did not answer in time (-2)", "toolkit 2.5.0", "driver 0.9.8"}));
  RunOptions elsewhere = fp32();
  elsewhere.accelerator = "vulkan";
  CHECK(fails(load(load_small_net(folder, elsewhere)), FailureCode::kOptionRefused,
              {"on the NPU, not on 'vulkan'"}));
}

TEST_CASE("two models have memory of their own, and one that finds none leaves the other whole") {
  const TemporaryFolder folder;
  const auto first = loaded(load_small_net(folder, fp32()));
  const std::vector<float> before = floats_of(run_of(*first, {net_input()})[0]);
  {
    const Behaviour full("memory=1000");
    CHECK(fails(load(load_small_net(folder, fp32())), FailureCode::kRuntimeRefused,
                {"out of memory for the NPU"}));
  }
  const auto second = loaded(load_affine(folder, fp32()));
  CHECK(second->info().accelerator_bytes < first->info().accelerator_bytes);
  CHECK(floats_of(run_of(*first, {net_input()})[0]) == before);
  const Behaviour half("type=float16 shared=100");
  CHECK(fails(load(load_image_net(folder, with("zero_copy", "on"))), FailureCode::kRuntimeRefused,
              {"out of memory for the NPU"}));
}

TEST_CASE("a library that crashes ends the worker alone, at its load and in a run") {
  const TemporaryFolder folder;
  for (const char* const words : {"crash", "crash-run"}) {
    const Behaviour crashing(words);
    WorkerProcess worker;
    worker.expect<Hello>();
    worker.send(load_small_net(folder, fp32()));
    worker.send(Run{1, {net_input()}});
    CHECK(worker.wait() == -SIGSEGV);
  }
}

TEST_CASE("a board without the library says where it was looked for") {
  const std::string path = std::getenv("LD_LIBRARY_PATH");
  setenv("LD_LIBRARY_PATH", "/nowhere", 1);
  const TemporaryFolder folder;
  const FailureReply failure = refused(load_small_net(folder, fp32()));
  setenv("LD_LIBRARY_PATH", path.c_str(), 1);
  CHECK(failure.code == FailureCode::kRuntimeRefused);
  CHECK(holds(failure.message, "librknnrt.so is not on this board"));
  CHECK(holds(failure.message, "/usr/lib64/librknnrt.so"));
}
