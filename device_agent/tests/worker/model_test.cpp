#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "common/tensors.h"
#include "tests/worker/loaded.h"

using namespace dx;
using namespace dx::test;

namespace {

constexpr FailureCode kRefused = FailureCode::kRuntimeRefused;

Result<std::int64_t> try_run(Model& model, const std::vector<Tensor>& inputs) {
  for (const Tensor& tensor : inputs) {  // the core's part
    if (Status status = check_tensor(tensor); !status) return status.failure();
  }
  if (Status status = model.set_inputs(inputs); !status) return status.failure();
  return model.run();
}

}  // namespace

TEST_CASE("a box filter over ones counts its neighbours") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, box_filter(), fp32()));
  const std::vector<Tensor> outputs =
      run_of(*model, {tensor_of("in0", {1, 4, 4}, std::vector<float>(16, 1.0F))});
  REQUIRE(outputs.size() == 1);
  CHECK(outputs[0].name == "out0");
  CHECK(outputs[0].dtype == "float32");
  CHECK(outputs[0].dims == std::vector<std::int64_t>{1, 4, 4});
  CHECK(floats_of(outputs[0]) == std::vector<float>{4.5, 6.5, 6.5, 4.5, 6.5, 9.5, 9.5, 6.5,  //
                                                    6.5, 9.5, 9.5, 6.5, 4.5, 6.5, 6.5, 4.5});
}

TEST_CASE("an affine layer computes its matrix, in the first run and in later ones") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, affine(), fp32()));
  CHECK(floats_of(run_of(*model, {tensor_of("in0", {3}, {1, 1, 1})})[0]) ==
        std::vector<float>{16, 35});
  CHECK(floats_of(run_of(*model, {tensor_of("in0", {3}, {1, -1, 2})})[0]) ==
        std::vector<float>{15, 31});
}

TEST_CASE("axes keep their order, slowest first, whatever ncnn pads") {
  const TemporaryFolder folder;
  const Files files{param_text(2, {"Input in0 0 1 in0", "ReLU relu 1 1 in0 out0"}), ""};
  const auto model = loaded(load_of(folder, files, fp32()));
  // 15 and 30 floats a channel are no multiple of ncnn's alignment; 8 channels are packed.
  const std::vector<std::vector<std::int64_t>> shapes = {
      {7}, {3, 5}, {2, 3, 5}, {8, 3, 5}, {2, 2, 3, 5}};
  for (const std::vector<std::int64_t>& dims : shapes) {
    const Tensor input = noise("in0", dims, 7);
    const Tensor output = run_of(*model, {input})[0];
    CHECK(output.dims == dims);
    std::vector<float> expected = floats_of(input);
    for (float& value : expected) value = value > 0 ? value : 0;
    CHECK(floats_of(output) == expected);
  }
}

TEST_CASE("inputs are found by name, not by place") {
  const TemporaryFolder folder;
  const Files files{
      param_text(3, {"Input a 0 1 a", "Input b 0 1 b", "BinaryOp minus 2 1 a b out0 0=1"}), ""};
  const auto model = loaded(load_of(folder, files, fp32()));
  const Tensor a = tensor_of("a", {2}, {5, 7});
  const Tensor b = tensor_of("b", {2}, {1, 2});
  CHECK(floats_of(run_of(*model, {a, b})[0]) == std::vector<float>{4, 5});
  CHECK(floats_of(run_of(*model, {b, a})[0]) == std::vector<float>{4, 5});
}

TEST_CASE("blobs inside of the model can be outputs, in any order") {
  const TemporaryFolder folder;
  const std::vector<std::string> names = {"out0", "c", "rd", "in0"};
  const auto model = loaded(load_of(folder, small_net(), fp32(), names));
  const Tensor input = noise("in0", {8, 5, 5}, 3);
  for (int run = 0; run < 3; ++run) {  // the first goes layer by layer
    const std::vector<Tensor> outputs = run_of(*model, {input});
    REQUIRE(outputs.size() == 4);
    for (std::size_t i = 0; i < names.size(); ++i) CHECK(outputs[i].name == names[i]);
    CHECK(outputs[1].dims == std::vector<std::int64_t>{16, 5, 5});
    CHECK(outputs[2].dims == std::vector<std::int64_t>{32, 5, 5});
    CHECK(outputs[3].data == input.data);
    // The first half of the concatenation is the ReLU of the convolution.
    const std::vector<float> convolved = floats_of(outputs[1]);
    const std::vector<float> joined = floats_of(outputs[2]);
    for (std::size_t i = 0; i < convolved.size(); ++i) {
      CHECK(joined[i] == (convolved[i] > 0 ? convolved[i] : 0));
    }
  }
}

TEST_CASE("the first, layered run and later ones agree bit for bit") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, small_net(), fp32()));
  const Tensor input = noise("in0", {8, 6, 7}, 11);
  const std::string first = run_of(*model, {input})[0].data;
  CHECK(run_of(*model, {input})[0].data == first);
}

TEST_CASE("a batch of four gives what four runs give, bit for bit") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, small_net(), fp32()));
  Tensor batch = noise("in0", {4, 8, 6, 6}, 5);
  batch.batched = true;
  const Tensor together = run_of(*model, {batch})[0];
  CHECK(together.batched);
  CHECK(together.dims == std::vector<std::int64_t>{4, 10});
  std::string one_by_one;
  for (std::size_t i = 0; i < 4; ++i) {
    const std::size_t bytes = batch.data.size() / 4;
    const Tensor single{"in0", "float32", {8, 6, 6}, batch.data.substr(i * bytes, bytes), false};
    const Tensor output = run_of(*model, {single})[0];
    CHECK_FALSE(output.batched);
    one_by_one += output.data;
  }
  CHECK(together.data == one_by_one);
}

TEST_CASE("an input without samples is shared by those of a batch") {
  const TemporaryFolder folder;
  const Files files{
      param_text(3, {"Input a 0 1 a", "Input b 0 1 b", "BinaryOp plus 2 1 a b out0 0=0"}), ""};
  const auto model = loaded(load_of(folder, files, fp32()));
  Tensor a = tensor_of("a", {2, 2}, {1, 2, 3, 4});
  a.batched = true;
  const Tensor output = run_of(*model, {a, tensor_of("b", {2}, {10, 20})})[0];
  CHECK(floats_of(output) == std::vector<float>{11, 22, 13, 24});
  Tensor b = noise("b", {3, 2}, 1);
  b.batched = true;
  CHECK(fails(try_run(*model, {a, b}), kRefused, {"equally many samples", "2", "3"}));
}

TEST_CASE("wrong inputs are refused with what was expected, and the model serves on") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, box_filter(), fp32()));
  const Tensor right = tensor_of("in0", {1, 4, 4}, std::vector<float>(16, 1.0F));
  const auto changed = [&](auto change) {
    Tensor wrong = right;
    change(wrong);
    return try_run(*model, {wrong});
  };
  CHECK(fails(try_run(*model, {}), kRefused, {"takes the inputs in0", "none"}));
  CHECK(fails(try_run(*model, {right, right}), kRefused, {"in0", "twice"}));
  CHECK(fails(changed([](Tensor& t) { t.name = "data"; }), kRefused, {"in0", "data"}));
  CHECK(fails(changed([](Tensor& t) { t.dtype = "int32"; }), kRefused, {"float32", "int32"}));
  CHECK(fails(changed([](Tensor& t) { t.dtype = "complex64"; }), kRefused,
              {"bfloat16", "complex64"}));
  CHECK(
      fails(changed([](Tensor& t) { t.dims = {1, 2, 8}; }), kRefused, {"[1, 4, 4]", "[1, 2, 8]"}));
  CHECK(fails(changed([](Tensor& t) { t.data.pop_back(); }), kRefused, {"64 bytes", "63"}));
  CHECK(fails(changed([](Tensor& t) {
                t.dims = {};
                t.data.resize(4);
              }),
              kRefused, {"1 to 4 dims", "got []"}));
  CHECK(fails(changed([](Tensor& t) { t.dims = {1, 1, 1, 4, 4}; }), kRefused, {"1 to 4 dims"}));
  CHECK(fails(changed([](Tensor& t) { t.dims = {1, -4, 4}; }), kRefused, {"[1, -4, 4]"}));
  CHECK(fails(changed([](Tensor& t) {
                t.batched = true;
                t.dims = {0, 1, 4, 4};
                t.data.clear();
              }),
              kRefused, {"no samples"}));
  CHECK(floats_of(run_of(*model, {right})[0])[0] == 4.5F);
}

TEST_CASE("dims that the weights do not fit are refused, also where the file names none") {
  const TemporaryFolder folder;
  const auto net = loaded(load_of(folder, small_net(), fp32()));
  CHECK_FALSE(net->info().inputs[0].dims);
  const FailureCode code = kRefused;
  CHECK(
      fails(try_run(*net, {noise("in0", {7, 6, 6}, 1)}), code, {"'conv'", "8 channels", "[7, 6"}));
  CHECK(fails(try_run(*net, {noise("in0", {9, 6, 6}, 1)}), code, {"'conv'", "8 channels"}));
  CHECK(fails(try_run(*net, {noise("in0", {8, 36}, 1)}), code, {"'conv'", "3 axes"}));
  CHECK(run_of(*net, {noise("in0", {8, 6, 6}, 1)})[0].dims == std::vector<std::int64_t>{10});

  const TemporaryFolder other;
  const auto flat = loaded(load_of(other, affine(), fp32()));
  CHECK(fails(try_run(*flat, {noise("in0", {4}, 1)}), code, {"'affine'", "3 elements", "[4]"}));
  CHECK(fails(try_run(*flat, {noise("in0", {2}, 1)}), code, {"3 elements"}));
  // Two rows of three are two products.
  CHECK(run_of(*flat, {noise("in0", {2, 3}, 1)})[0].dims == std::vector<std::int64_t>{2, 2});
}
