// The precision that ran is read from the blobs, so these tests look at what really ran.
#include <cpu.h>
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/worker/loaded.h"

using namespace dx;
using namespace dx::test;

namespace {

// in0 [4] -> out0 [2] with int8 weights: codes {{10, 20, 30, 40}, {1, 2, 3, 4}} of scales 10 and 1,
// inputs of scale 4
Files int8_product() {
  return {param_text(2, {"Input in0 0 1 in0", "InnerProduct q 1 1 in0 out0 0=2 1=1 2=8 8=2"}),
          tagged_codes({10, 20, 30, 40, 1, 2, 3, 4}) + plain_floats({0.5F, -0.5F}) +
              plain_floats({10, 1}) + plain_floats({4})};
}

std::vector<LayerRun> layers_of(Model& model, const Tensor& input) {
  REQUIRE(model.set_inputs({input}));
  Result<std::vector<LayerRun>> layers = model.run_layers();
  REQUIRE(layers);
  return std::move(layers).value();
}

}  // namespace

TEST_CASE("layers are named in order, with what they made") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, small_net(), fp32()));
  const std::vector<LayerRun> layers = layers_of(*model, noise("in0", {8, 6, 6}, 1));
  const std::vector<std::string> names = {"conv", "split", "relu", "deep", "cat", "gap", "fc"};
  const std::vector<std::string> types = {
      "Convolution", "Split", "ReLU", "ConvolutionDepthWise", "Concat", "Pooling", "InnerProduct"};
  const std::vector<bool> computes = {true, false, true, true, false, true, true};
  REQUIRE(layers.size() == names.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    CHECK(layers[i].name == names[i]);
    CHECK(layers[i].type == types[i]);
    CHECK(layers[i].computes == computes[i]);
    CHECK(layers[i].index == i + 1);  // after the Input
    CHECK(layers[i].element_bits == 32);
    CHECK(layers[i].precision == "fp32");
    CHECK(layers[i].packing >= 1);
    CHECK(layers[i].ns > 0);
  }
  CHECK(layers[0].dims == std::vector<std::int64_t>{16, 6, 6});
  CHECK(layers[4].dims == std::vector<std::int64_t>{32, 6, 6});
  CHECK(layers[6].dims == std::vector<std::int64_t>{10});
}

TEST_CASE("layers that the outputs do not need are not run") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, small_net(), fp32(), {"r"}));
  const std::vector<LayerRun> layers = layers_of(*model, noise("in0", {8, 6, 6}, 1));
  REQUIRE(layers.size() == 3);
  CHECK(layers[2].name == "relu");
}

TEST_CASE("packing is what ncnn packed") {
  const TemporaryFolder folder;
  RunOptions options = fp32();
  options.named["packing_layout"] = "off";
  const auto plain = loaded(load_of(folder, small_net(), options));
  for (const LayerRun& layer : layers_of(*plain, noise("in0", {8, 6, 6}, 1))) {
    CHECK(layer.packing == 1);
  }
  options.named["packing_layout"] = "on";
  const auto packed = loaded(load_of(folder, small_net(), options));
  const LayerRun conv = layers_of(*packed, noise("in0", {8, 6, 6}, 1))[0];
  CHECK(conv.packing >= 4);
  CHECK(conv.dims == std::vector<std::int64_t>{16, 6, 6});
}

TEST_CASE("16-bit storage is measured, not taken from the option") {
  RunOptions options = fp32();
  options.precision = "bf16";
  const TemporaryFolder folder;
  const auto half = loaded(load_of(folder, small_net(), options));
  const auto full = loaded(load_of(folder, small_net(), fp32()));
  const Tensor input = noise("in0", {8, 6, 6}, 1);
  const LayerRun conv = layers_of(*half, input)[0];
  CHECK(conv.precision == "bf16");
  CHECK(conv.element_bits == 16);
  // bfloat16 keeps 8 bits: the numbers differ, by little.
  const std::vector<float> rough = floats_of(run_of(*half, {input})[0]);
  const std::vector<float> exact = floats_of(run_of(*full, {input})[0]);
  CHECK(rough != exact);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    CHECK(rough[i] == doctest::Approx(exact[i]).epsilon(0.05));
  }
}

TEST_CASE("fp16 asked for of a processor without it runs as fp32, and is told as fp32") {
  if (ncnn::cpu_support_arm_asimdhp() || ncnn::cpu_support_riscv_zfh()) return;
  RunOptions options = fp32();
  options.precision = "fp16";
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, small_net(), options));
  for (const LayerRun& layer : layers_of(*model, noise("in0", {8, 6, 6}, 1))) {
    CHECK(layer.precision == "fp32");
    CHECK(layer.element_bits == 32);
  }
}

TEST_CASE("int8 weights compute as int8, exactly where the codes are exact") {
  const TemporaryFolder folder;
  const auto model = loaded(load_of(folder, int8_product(), fp32()));
  // 4 x {1, -2, 0.5, 0.25} are the codes 4, -8, 2, 1: the product is exact.
  const Tensor input = tensor_of("in0", {4}, {1, -2, 0.5, 0.25});
  CHECK(floats_of(run_of(*model, {input})[0]) ==
        std::vector<float>{1 - 4 + 1.5F + 1 + 0.5F, 1 - 4 + 1.5F + 1 - 0.5F});
  const LayerRun layer = layers_of(*model, input)[0];
  CHECK(layer.precision == "int8");
  CHECK(layer.element_bits == 32);  // it hands on floats
}
