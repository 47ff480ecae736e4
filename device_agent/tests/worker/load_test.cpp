#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "tests/worker/loaded.h"
#include "workers/ncnn/ncnn_options.h"

using namespace dx;
using namespace dx::test;

namespace {

constexpr FailureCode kRefused = FailureCode::kRuntimeRefused;
constexpr FailureCode kOption = FailureCode::kOptionRefused;

Result<std::unique_ptr<Model>> try_load(const Files& files, const RunOptions& options = fp32(),
                                        const std::vector<std::string>& outputs = {}) {
  const TemporaryFolder folder;
  return load(load_of(folder, files, options, outputs));
}

Files with_param(const std::vector<std::string>& layers, int blobs = 2) {
  return {param_text(blobs, layers), ""};
}

}  // namespace

TEST_CASE("a loaded model says what it takes and gives") {
  const Result<std::unique_ptr<Model>> model = try_load(box_filter());
  REQUIRE(model);
  const ModelInfo& info = model.value()->info();
  CHECK(info.load_ns > 0);
  CHECK(info.threads == 1);
  REQUIRE(info.inputs.size() == 1);
  CHECK(info.inputs[0].name == "in0");
  CHECK(info.inputs[0].dims == std::vector<std::int64_t>{1, 4, 4});
  REQUIRE(info.outputs.size() == 1);
  CHECK(info.outputs[0].name == "out0");
  CHECK_FALSE(info.outputs[0].dims);
}

TEST_CASE("threads are what was asked for, and 0 is as many as there are cores") {
  RunOptions options = fp32();
  options.threads = 3;
  CHECK(try_load(box_filter(), options).value()->info().threads == 3);
  options.threads = 0;
  CHECK(try_load(box_filter(), options).value()->info().threads ==
        std::thread::hardware_concurrency());
  options.threads = 1025;
  CHECK(fails(try_load(box_filter(), options), kOption, {"1024", "1025"}));
}

TEST_CASE("a precision or an option that ncnn lacks is refused with those that it has") {
  RunOptions options = fp32();
  options.precision = "fp8";
  CHECK(fails(try_load(box_filter(), options), kOption, {"'fp8'", "fp32, fp16, bf16 or int8"}));
  options = fp32();
  options.named["intra_threads"] = "2";
  CHECK(fails(try_load(box_filter(), options), kOption, {"ncnn has no option 'intra_threads'"}));
}

TEST_CASE("a layer type that ncnn lacks is named") {
  CHECK(fails(try_load(with_param({"Input in0 0 1 in0", "Warp9 odd 1 1 in0 out0"})), kRefused,
              {"'Warp9'", "'odd'"}));
}

TEST_CASE("what is no .param is said to be none") {
  CHECK(fails(try_load({"", ""}), kRefused, {"7767517"}));
  CHECK(fails(try_load({"7767518\n1 1\n", ""}), kRefused, {"7767517"}));
  CHECK(fails(try_load({"7767517\n", ""}), kRefused, {"second line"}));
  CHECK(fails(try_load({"7767517\n1 1\nInput in0\n", ""}), kRefused, {"layer 1"}));
}

TEST_CASE("a .param cut anywhere is refused") {
  const Files whole = small_net();
  for (std::size_t size = 0; size + 60 < whole.param.size(); size += 7) {
    CHECK_FALSE(try_load({whole.param.substr(0, size), whole.bin}));
  }
  const std::size_t last_line = whole.param.rfind("InnerProduct");
  CHECK(fails(try_load({whole.param.substr(0, last_line), whole.bin}), kRefused,
              {"8 layers", "holds 7", "cut off"}));
}

TEST_CASE("a .bin cut anywhere is refused, and so is one that goes on") {
  const Files whole = small_net();
  for (std::size_t size = 0; size < whole.bin.size(); size += 97) {
    CHECK(fails(try_load({whole.param, whole.bin.substr(0, size)}), kRefused, {"cut off"}));
  }
  const Files one_less{whole.param, whole.bin.substr(0, whole.bin.size() - 1)};
  CHECK(fails(try_load(one_less), kRefused, {"1 more", "cut off"}));
  CHECK(fails(try_load({whole.param, whole.bin + "x"}), kRefused,
              {std::to_string(whole.bin.size()), "goes on"}));
}

TEST_CASE("files that are not there are named by role or by path") {
  CHECK(fails(load({{{"param", "/nowhere.param"}}, fp32(), {}}), FailureCode::kInvalidRequest,
              {"'param'", "'bin'"}));
  CHECK(fails(load({{{"param", "/nowhere.param"}, {"bin", "/nowhere.bin"}}, fp32(), {}}), kRefused,
              {"/nowhere.param", "opened"}));
  const TemporaryFolder folder;
  const std::string param = folder.write("a.param", box_filter().param);
  CHECK(fails(load({{{"param", param}, {"bin", "/nowhere.bin"}}, fp32(), {}}), kRefused,
              {"/nowhere.bin", "opened"}));
}

TEST_CASE("an output that is no blob is refused with the blobs that there are") {
  CHECK(fails(try_load(small_net(), fp32(), {"out0", "out7"}), kRefused,
              {"'out7'", "in0, c, c_0, c_1, r, d, rd, g, out0"}));
}

TEST_CASE("a blob with two consumers is refused: ncnn would crash") {
  CHECK(
      fails(try_load(with_param({"Input in0 0 1 in0", "ReLU a 1 1 in0 x", "ReLU b 1 1 in0 y"}, 3)),
            kRefused, {"'in0'", "Split"}));
}

TEST_CASE("a model without inputs is refused") {
  CHECK(fails(try_load(with_param({"MemoryData m 0 1 out0 0=1"}, 1)), kRefused, {}));
}

TEST_CASE("an accelerator or cores that are not there are refused by name") {
  RunOptions options = fp32();
  options.accelerator = "npu";
  CHECK(fails(try_load(box_filter(), options), kOption, {"'npu'", "cpu"}));
  if (!has_vulkan()) {
    options.accelerator = "vulkan";
    CHECK(fails(try_load(box_filter(), options), kOption, {"'vulkan'", "cpu"}));
  }
}
