// TensorRT's worker against the libraries that stand in for TensorRT's, see stand_in/: what becomes
// of a model from its preparation to its end. Nothing here was seen on a GPU.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/onnx_writer.h"
#include "tests/worker/tensorrt_behaviour.h"
#include "tests/worker/tested_onnx.h"
#include "tests/worker/worker_process.h"

using namespace dx;
using namespace dx::test;

namespace {

bool is_there(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

// A preparation of the small net, whose folder is `folder`'s.
Load preparing(const TemporaryFolder& folder, const RunOptions& options = fp32()) {
  Load request = load_small_net(folder, options);
  request.prepared_path = folder.write("prepared", "");
  (void)::unlink(request.prepared_path.c_str());
  request.prepare = true;
  return request;
}

// What the worker answers to a load: the last message of it.
FailureReply refused(WorkerProcess& worker, const Load& request) {
  worker.expect<Hello>();
  worker.send(request);
  Frame frame = worker.next();
  while (frame.kind != static_cast<std::uint16_t>(MessageKind::kFailure)) frame = worker.next();
  return decode<FailureReply>(frame).value();
}

OnnxWriter open_net() {
  OnnxWriter net;
  net.input("x", OnnxType::kFloat, {-1, 2});
  net.output("y", OnnxType::kFloat, {-1, 2});
  net.node("Neg", "minus", {"x"}, {"y"});
  return net;
}

std::string with_profile(const std::string& model, const std::string& profile) {
  return with_entry(model, "deployx.profile", profile);
}

}  // namespace

TEST_CASE("the worker says which TensorRT and which GPU the board has") {
  WorkerProcess worker;
  const Hello hello = worker.expect<Hello>();
  CHECK(hello.runtime == "tensorrt");
  CHECK(hello.runtime_version == "10.3.0");
  CHECK(hello.features == std::vector<std::string>{"sm_87"});
  CHECK(hello.prepares);
  const Behaviour other("version=100700 gpu=72");
  WorkerProcess another;
  const Hello told = another.expect<Hello>();
  CHECK(told.runtime_version == "10.7.0");
  CHECK(told.features == std::vector<std::string>{"sm_72"});
}

TEST_CASE("a model is prepared once, with progress, and loaded from what was prepared") {
  const TemporaryFolder folder;
  const Behaviour slow("steps=20");
  Load request = preparing(folder);
  std::vector<float> first;
  {
    WorkerProcess worker;
    worker.expect<Hello>();
    worker.send(request);
    CHECK(worker.expect<PhaseChange>().phase == Phase::kPrepare);
    double fraction = -1;
    std::string texts;
    Frame frame = worker.next();
    for (; frame.kind == static_cast<std::uint16_t>(MessageKind::kProgress);
         frame = worker.next()) {
      const Result<Progress> progress = decode<Progress>(frame);
      REQUIRE(progress);
      CHECK(progress.value().fraction >= fraction);
      fraction = progress.value().fraction;
      texts += progress.value().text + "\n";
    }
    CHECK(fraction > 0);
    CHECK(texts.find("parsing the model") != std::string::npos);
    CHECK(texts.find("building the engine: Tactics of a layer") != std::string::npos);
    CHECK(decode<PhaseChange>(frame).value().phase == Phase::kLoad);
    worker.expect<Loaded>();
    worker.send(Run{1, {net_input()}});
    first = floats_of(worker.expect<Outputs>().outputs[0]);
  }
  request.prepare = false;
  // The ONNX file is not asked again, and a build would never end.
  request.files[0].path = folder.write("model.onnx", "nothing");
  const Behaviour endless("hang");
  WorkerProcess worker;
  worker.expect<Hello>();
  worker.send(request);
  CHECK(worker.expect<PhaseChange>().phase == Phase::kLoad);
  CHECK(worker.expect<Loaded>().runtime_version == "10.3.0");
  worker.send(Run{1, {net_input()}});
  CHECK(floats_of(worker.expect<Outputs>().outputs[0]) == first);
}

TEST_CASE("an engine of another TensorRT or GPU is never loaded, and both are named") {
  const TemporaryFolder folder;
  Load request = preparing(folder);
  loaded(request);
  request.prepare = false;
  for (const auto& [words, text] : std::vector<std::pair<std::string, std::string>>{
           {"version=100700", "TensorRT 10.7.0, sm_87"}, {"gpu=72", "TensorRT 10.3.0, sm_72"}}) {
    const Behaviour other(words);
    WorkerProcess worker;
    const FailureReply failure = refused(worker, request);
    CHECK(failure.code == FailureCode::kRuntimeRefused);
    CHECK(failure.message.find("of TensorRT 10.3.0 sm_87") != std::string::npos);
    CHECK(failure.message.find("here are " + text) != std::string::npos);
  }
}

TEST_CASE("a library older than what the worker was compiled for is refused with both named") {
  const TemporaryFolder folder;
  const Behaviour old("version=100001");
  WorkerProcess worker;
  const FailureReply failure = refused(worker, preparing(folder));
  CHECK(failure.code == FailureCode::kRuntimeRefused);
  CHECK(failure.message.find("compiled for TensorRT 10.3.0 or newer, and the board has 10.0.1") !=
        std::string::npos);
  CHECK(failure.message.find("sysroot") != std::string::npos);
}

TEST_CASE("a board without CUDA, without TensorRT, with another one or without a GPU says so") {
  const TemporaryFolder folder;
  const std::string path = std::getenv("LD_LIBRARY_PATH");
  const auto said_with = [&folder](const std::vector<std::string>& files) {
    const TemporaryFolder libraries;
    std::string place;
    for (const std::string& file : files) {
      const std::size_t end = file.find('>');
      place = libraries.write(file.substr(end + 1), "");
      REQUIRE(::unlink(place.c_str()) == 0);
      const std::string source = DX_STAND_IN_FOLDER "/" + file.substr(0, end);
      REQUIRE(::symlink(source.c_str(), place.c_str()) == 0);
    }
    place = place.empty() ? "/nowhere" : place.substr(0, place.rfind('/'));
    setenv("LD_LIBRARY_PATH", place.c_str(), 1);
    WorkerProcess worker;
    const FailureReply failure = refused(worker, preparing(folder));
    CHECK(failure.code == FailureCode::kRuntimeRefused);
    return failure.message;
  };
  const auto holds = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    return text.find(part) != std::string::npos;
  };
  CHECK(holds(said_with({}), "CUDA's libcudart.so.12 is not on this board"));
  CHECK(holds(said_with({"libcudart.so.12>libcudart.so.12"}), "TensorRT 10 is not on this board"));
  CHECK(holds(said_with({"libcudart.so.12>libcudart.so.12", "libcudart.so.12>libnvinfer.so.8"}),
              "compiled for TensorRT 10.3.0, and the board has libnvinfer.so.8"));
  setenv("LD_LIBRARY_PATH", path.c_str(), 1);
  const Behaviour none("no-gpu");
  WorkerProcess worker;
  CHECK(holds(refused(worker, preparing(folder)).message, "no CUDA-capable device is detected"));
}

TEST_CASE("a node that the parser refuses is named with its operator, and so is the way out") {
  const TemporaryFolder folder;
  const Behaviour strict("refuse=Conv");
  CHECK(fails(load(preparing(folder)), FailureCode::kRuntimeRefused,
              {"operator 'Conv' (node 'conv')", "operator 'Conv' (node 'deep')", "TensorRT 10.3.0",
               "--partition"}));
  OnnxWriter net;
  net.input("x", OnnxType::kFloat, {2});
  net.output("y", OnnxType::kFloat, {2});
  net.node("NoSuchOperator", "odd", {"x"}, {"y"});
  CHECK(fails(load(load_onnx(folder, net.model(), fp32())), FailureCode::kRuntimeRefused,
              {"parser refuses the model", "NoSuchOperator"}));
}

TEST_CASE("a build without memory is refused with what is free, and leaves nothing") {
  const TemporaryFolder folder;
  const Load request = preparing(folder);
  {
    const Behaviour full("out-of-memory");
    WorkerProcess worker;
    const FailureReply failure = refused(worker, request);
    CHECK(failure.phase == Phase::kPrepare);
    CHECK(failure.message.find("built no engine") != std::string::npos);
    CHECK(failure.message.find("out of memory") != std::string::npos);
    CHECK(failure.message.find("3810 of 7620 MiB of the GPU's memory are free") !=
          std::string::npos);
    CHECK_FALSE(is_there(request.prepared_path));
  }
  {
    const Behaviour small("memory=1000");
    const auto model = loaded(load_small_net(folder, fp32()));
    CHECK(fails(model->set_inputs({net_input()}), FailureCode::kRuntimeRefused,
                {"no memory for a tensor of 1152 bytes", "out of memory", "MiB"}));
  }
  CHECK(run_of(*loaded(request), {net_input()}).size() == 1);
}

TEST_CASE("a worker whose build crashes or is ended leaves nothing that looks prepared") {
  const TemporaryFolder folder;
  const Load request = preparing(folder);
  {
    const Behaviour crashing("crash");
    WorkerProcess worker;
    worker.expect<Hello>();
    worker.send(request);
    CHECK(worker.wait() == -SIGSEGV);
  }
  {
    const Behaviour endless("steps=100000");
    WorkerProcess worker;
    worker.expect<Hello>();
    worker.send(request);
    worker.expect<Progress>();
    worker.expect<Progress>();
    worker.kill_now();
  }
  CHECK_FALSE(is_there(request.prepared_path));
}

TEST_CASE("options reach the builder, and each says what it does not take") {
  const TemporaryFolder folder;
  const std::string asked = folder.write("asked", "");
  const auto said = [&](const std::string& name, const std::string& value) {
    std::ofstream(asked, std::ios::trunc).close();
    const Behaviour telling("dla=2 asked=" + asked);
    loaded(load_small_net(folder, with(name, value)));
    return content_of(asked);
  };
  const auto has = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    return text.find(part) != std::string::npos;
  };
  CHECK(said("timing_cache", "off") == " no-flag=1 verbosity=2\n");
  CHECK(has(said("workspace_mib", "64"), " workspace=67108864 "));
  CHECK(has(said("optimization_level", "5"), " level=5 "));
  CHECK(has(said("sparsity", "on"), " flag=2 "));
  CHECK_FALSE(has(said("tf32", "on"), "no-flag=1"));
  CHECK(has(said("dla_core", "1"), " device=1 core=1 flag=0"));
  RunOptions alone = with("dla_core", "0");
  alone.named["allow_fallback"] = "off";
  std::ofstream(asked, std::ios::trunc).close();
  const Behaviour telling("dla=2 asked=" + asked);
  loaded(load_small_net(folder, alone));
  CHECK_FALSE(has(content_of(asked), "flag=0"));
  CHECK(fails(load(load_small_net(folder, with("dla_core", "2"))), FailureCode::kOptionRefused,
              {"option dla_core", "has 2 cores", "got 2"}));
  RunOptions elsewhere = fp32();
  elsewhere.accelerator = "npu";
  CHECK(fails(load(load_small_net(folder, elsewhere)), FailureCode::kOptionRefused,
              {"on the gpu, not on 'npu'", "dla_core"}));
}

TEST_CASE("what was measured of layers is kept for a board's next engine") {
  const TemporaryFolder folder;
  Load request = preparing(folder);
  const std::string other = folder.write("other", "");
  request.kept_folder = other.substr(0, other.rfind('/'));
  const std::string kept = request.kept_folder + "/timings-tensorrt-10.3.0-sm_87";
  loaded(request);
  CHECK(content_of(kept) == "stand-in timings 100300 x");
  loaded(request);
  CHECK(content_of(kept) == "stand-in timings 100300 xx");
  request.options.named["timing_cache"] = "off";
  loaded(request);
  CHECK(content_of(kept) == "stand-in timings 100300 xx");
  request.options.named.clear();
  // What is no timing cache of this version is begun anew, what others can write is not read.
  std::ofstream(kept, std::ios::trunc) << "stand-in timings 8503 xxxx";
  loaded(request);
  CHECK(content_of(kept) == "stand-in timings 100300 x");
  REQUIRE(::chmod(kept.c_str(), 0666) == 0);
  loaded(request);
  CHECK(content_of(kept) == "stand-in timings 100300 x");
  struct stat status{};
  REQUIRE(::stat(kept.c_str(), &status) == 0);
  CHECK((status.st_mode & 0022) == 0);
}

TEST_CASE("a recorded run gives what one that is started kernel by kernel gives") {
  const TemporaryFolder folder;
  const auto plain = loaded(load_small_net(folder, fp32()));
  const auto recorded = loaded(load_small_net(folder, with("cuda_graph", "on")));
  for (const std::uint32_t seed : {1U, 2U, 3U}) {
    const std::vector<Tensor> inputs = {noise("in0", {8, 6, 6}, seed)};
    const std::vector<Tensor> wanted = run_of(*plain, inputs);
    CHECK(run_of(*recorded, inputs)[0].data == wanted[0].data);
    const Result<std::int64_t> again = recorded->run();
    REQUIRE(again);
    CHECK(recorded->outputs().value()[0].data == wanted[0].data);
  }
}

TEST_CASE("open axes vary between their minimum and maximum, and nowhere else") {
  const TemporaryFolder folder;
  const std::string model = with_profile(open_net().model(), "1x2 2x2 4x2 x");
  const auto opened = loaded(load_onnx(folder, model, fp32()));
  CHECK(*opened->info().inputs[0].dims == std::vector<std::int64_t>{-1, 2});
  for (const std::int64_t size : {1, 4, 2}) {
    const Tensor given = noise("x", {size, 2}, 3);
    const std::vector<Tensor> found = run_of(*opened, {given});
    CHECK(found[0].dims == given.dims);
    CHECK(floats_of(found[0])[0] == -floats_of(given)[0]);
  }
  CHECK(fails(opened->set_inputs({noise("x", {5, 2}, 3)}), FailureCode::kRuntimeRefused,
              {"does not take [5, 2] for the input 'x'", "takes 1 to 4"}));
  CHECK(run_of(*opened, {noise("x", {3, 2}, 3)})[0].dims == std::vector<std::int64_t>{3, 2});
  CHECK(fails(load(load_onnx(folder, open_net().model(), fp32())), FailureCode::kRuntimeRefused,
              {"no optimization profile names x"}));
  CHECK(fails(load(load_onnx(folder, with_profile(open_net().model(), "4x2 2x2 1x2 x"), fp32())),
              FailureCode::kRuntimeRefused, {"sizes of the input 'x'"}));
}

TEST_CASE("tensors inside of the model can be asked for, and what is not there is named") {
  const TemporaryFolder folder;
  Load request = load_small_net(folder, fp32());
  const std::vector<Tensor> whole = run_of(*loaded(request), {net_input()});
  request.outputs = {"c", "out0", "f"};
  const std::vector<Tensor> found = run_of(*loaded(request), {net_input()});
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "c");
  CHECK(found[0].dims == std::vector<std::int64_t>{1, 16, 6, 6});
  CHECK(found[2].dims == std::vector<std::int64_t>{1, 32});
  const std::vector<float> a = floats_of(found[1]);
  const std::vector<float> b = floats_of(whole[0]);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-4));
  request.outputs = {"z"};
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"has no tensors z"}));
}

TEST_CASE("element types keep their bytes, and one that TensorRT has not is refused by name") {
  const TemporaryFolder folder;
  const auto same = [](OnnxType type) {
    OnnxWriter net;
    net.input("x", type, {2, 3});
    net.output("y", type, {2, 3});
    net.node("Identity", "same", {"x"}, {"y"});
    return net.model();
  };
  for (const auto& [type, name, bytes] :
       std::vector<std::tuple<OnnxType, std::string, std::size_t>>{
           {OnnxType::kInt64, "int64", 8},
           {OnnxType::kInt32, "int32", 4},
           {OnnxType::kUint8, "uint8", 1},
           {OnnxType::kBool, "bool", 1},
           {OnnxType::kFloat16, "float16", 2}}) {
    CAPTURE(name);
    const auto model = loaded(load_onnx(folder, same(type), fp32()));
    CHECK(model->info().inputs[0].dtype == name);
    const Tensor given{"x", name, {2, 3}, std::string(6 * bytes, '\1'), false};
    CHECK(run_of(*model, {given})[0].data == given.data);
  }
  CHECK(fails(load(load_onnx(folder, same(OnnxType::kDouble), fp32())),
              FailureCode::kRuntimeRefused, {"'x' has an element type of TensorRT's own"}));
}
