// Operators of our own in ONNX Runtime: what a model with some gives, and what is wrong with a
// node.
#include <doctest/doctest.h>

#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/onnx_writer.h"
#include "tests/worker/tested_onnx.h"

using namespace dx;
using namespace dx::test;

namespace {

constexpr FailureCode kRefused = FailureCode::kRuntimeRefused;

std::string whole_numbers(const std::vector<std::int64_t>& values) {
  std::string bytes(values.size() * sizeof(std::int64_t), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Attention of three queries to a place each, in0, of a map of 2x2 pixels.
struct Attention {
  std::vector<std::int64_t> sizes = {2, 2};
  std::int64_t weights = 3;
  OnnxWriter::Integers attributes;

  std::string model() const {
    OnnxWriter net;
    const OnnxType type = OnnxType::kFloat;
    net.input("in0", type, {1, 3, 1, 1, 1, 2});
    net.output("out0", type, {1, 3, 1});
    net.constant("value", type, {1, 4, 1, 1}, plain_floats({1, 2, 3, 4}));
    net.constant("sizes", OnnxType::kInt64, {1, 2}, whole_numbers(sizes));
    net.constant("starts", OnnxType::kInt64, {1}, whole_numbers({0}));
    const auto count = static_cast<std::size_t>(weights);
    net.constant("weights", type, {1, weights, 1, 1, 1},
                 plain_floats(std::vector<float>(count, 2)));
    net.node("mmdeploy::MMCVMultiScaleDeformableAttention", "attention",
             {"value", "sizes", "starts", "in0", "weights"}, {"out0"}, attributes);
    return net.model();
  }
};

Tensor places() { return tensor_of("in0", {1, 3, 1, 1, 1, 2}, {0.5, 0.5, 0.25, 0.75, 5, 5}); }

Load load_attention(const TemporaryFolder& folder, const Attention& attention,
                    const RunOptions& options = fp32()) {
  Load load = load_onnx(folder, attention.model(), options);
  load.files.push_back({"library", DX_OPERATORS_PATH, DX_OPERATORS_NAME});
  return load;
}

// Three turned boxes, in0, with their scores, in1: the regions of those that are left are summed
// up.
std::string boxes_model() {
  OnnxWriter net;
  const OnnxType type = OnnxType::kFloat;
  net.input("in0", type, {1, 3, 5});
  net.input("in1", type, {1, 1, 3});
  net.output("out0", type, {1, 1, 1, 1});
  net.constant("image", type, {1, 1, 2, 2}, plain_floats({1, 1, 1, 1}));
  net.constant("boxes", OnnxType::kInt64, {2}, whole_numbers({-1, 5}));
  net.constant("last", OnnxType::kInt64, {1}, whole_numbers({2}));
  net.node("mmdeploy::NMSRotated", "nms", {"in0", "in1"}, {"kept"});
  net.node("Gather", "which", {"kept", "last"}, {"which"}, {{"axis", {1}}});
  net.node("Reshape", "flat", {"in0", "boxes"}, {"rows"});
  net.node("GatherND", "chosen", {"rows", "which"}, {"chosen"});
  net.node("Sub", "zero", {"which", "which"}, {"zero"});
  net.node("Cast", "number", {"zero"}, {"number"}, {{"to", {1}}});
  net.node("Concat", "regions", {"number", "chosen"}, {"regions"}, {{"axis", {1}}});
  net.node("mmcv::MMCVRoIAlignRotated", "align", {"image", "regions"}, {"seen"});
  net.node("ReduceSum", "sum", {"seen"}, {"out0"});
  return net.model();
}

Load load_boxes(const TemporaryFolder& folder) {
  Load load = load_onnx(folder, boxes_model(), fp32());
  load.files.push_back({"library", DX_OPERATORS_PATH, DX_OPERATORS_NAME});
  return load;
}

// The second lies on the first, the third apart; each is within the image.
constexpr float kBoxes[] = {1, 1, 1, 1, 0, 1, 1, 1, 1, 1.5707964F, 0.5F, 0.5F, 0.1F, 0.1F, 7};

Result<std::int64_t> try_attention(const Attention& attention) {
  const TemporaryFolder folder;
  Result<std::unique_ptr<Model>> model = load(load_attention(folder, attention));
  if (!model) return model.failure();
  if (Status status = model.value()->set_inputs({places()}); !status) return status.failure();
  return model.value()->run();
}

}  // namespace

TEST_CASE("a model with an operator of our own runs, on one thread and on several") {
  const TemporaryFolder folder;
  for (const std::uint32_t threads : {1U, 3U}) {
    RunOptions options = fp32();
    options.threads = threads;
    const auto model = loaded(load_attention(folder, {}, options));
    for (int run = 0; run < 2; ++run) {
      // Between all four pixels, on the third, beyond the map; twice each.
      CHECK(floats_of(run_of(*model, {places()})[0]) == std::vector<float>{5, 6, 0});
    }
  }
}

TEST_CASE("without the library of operators the operator that is missing is named") {
  const TemporaryFolder folder;
  CHECK(fails(load(load_onnx(folder, Attention().model())), kRefused,
              {"mmdeploy:MMCVMultiScaleDeformableAttention"}));
}

TEST_CASE("an operator says what it cannot compute") {
  Attention other;
  other.weights = 4;
  CHECK(fails(try_attention(other), kRefused,
              {"MMCVMultiScaleDeformableAttention: the shapes of its inputs do not fit"}));
  other = {};
  other.sizes = {2, 3};
  CHECK(fails(try_attention(other), kRefused, {"its maps are not within its values"}));
  other.sizes = {2, (1 << 24) + 1};
  CHECK(fails(try_attention(other), kRefused, {"a whole number beyond 2^24"}));
  other = {};
  other.attributes = {{"im2col_step", {64}}};  // a list of one
  CHECK(fails(try_attention(other), kRefused, {"its im2col_step is of another type"}));
}

TEST_CASE("a library that is none of operators is refused by name") {
  const TemporaryFolder folder;
  Load request = load_attention(folder, {});
  request.files.back().path = request.files.front().path;
  CHECK(fails(load(request), kRefused, {"ONNX Runtime refused an option", "model.onnx"}));
}

TEST_CASE("boxes are chosen by score and share, and none may be left") {
  const TemporaryFolder folder;
  const auto model = loaded(load_boxes(folder));
  const Tensor boxes = tensor_of("in0", {1, 3, 5}, {std::begin(kBoxes), std::end(kBoxes)});
  const auto sum = [&](const std::vector<float>& scores) {
    return floats_of(run_of(*model, {boxes, tensor_of("in1", {1, 1, 3}, scores)})[0])[0];
  };
  CHECK(sum({0.9F, 0.8F, 0.7F}) == 2);
  CHECK(sum({0.9F, 0.8F, 0.01F}) == 1);
  CHECK(sum({0, 0, 0}) == 0);
  const float none = std::numeric_limits<float>::quiet_NaN();
  CHECK(sum({none, 0.8F, none}) == 1);
}

TEST_CASE("no box, however wild, leads beyond the image") {
  const TemporaryFolder folder;
  const auto model = loaded(load_boxes(folder));
  const float infinite = std::numeric_limits<float>::infinity();
  for (const float wild : {-1.0F, 1e6F, 3e38F, infinite, -infinite, infinite - infinite}) {
    for (std::size_t at = 0; at < std::size(kBoxes); ++at) {
      std::vector<float> numbers(std::begin(kBoxes), std::end(kBoxes));
      numbers[at] = wild;
      REQUIRE(model->set_inputs(
          {tensor_of("in0", {1, 3, 5}, numbers), tensor_of("in1", {1, 1, 3}, {0.9F, 0.8F, 0.7F})}));
      (void)model->run();
    }
  }
}
