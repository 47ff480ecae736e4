// Whole models with operators of our own, by plugins of both kinds: from the file into an engine,
// out of it again, and through runs, against the libraries that stand in for TensorRT's and CUDA's.
// Nothing here was seen on a GPU.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/worker/onnx_writer.h"
#include "tests/worker/tensorrt_behaviour.h"
#include "tests/worker/tested_onnx.h"
#include "workers/tensorrt/library.h"
#include "workers/tensorrt/operator.h"
#include "workers/tensorrt/plugin_v2.h"

using namespace dx;
using namespace dx::test;

namespace {

constexpr const char* kOperator = "DeformConv";

// Its creators are those of TensorRT before version 10, as long as this lives.
class OlderKind {
 public:
  OlderKind() {
    REQUIRE(Library::open());
    newer_ = registry().getCreator(kOperator, kPluginVersion, "");
    REQUIRE(newer_ != nullptr);
    REQUIRE(registry().deregisterCreator(*newer_));
    for (const TensorrtOperator& row : tensorrt_operators()) {
      for (PluginName& name : plugin_names(row)) {
        if (name.name == kOperator) older_ = std::make_unique<CreatorV2>(std::move(name));
      }
    }
    REQUIRE(older_ != nullptr);
    REQUIRE(registry().registerCreator(*older_, ""));
  }
  ~OlderKind() {
    CHECK(registry().deregisterCreator(*older_));
    CHECK(registry().registerCreator(*newer_, ""));
  }
  OlderKind(const OlderKind&) = delete;
  OlderKind& operator=(const OlderKind&) = delete;

 private:
  static nvinfer1::IPluginRegistry& registry() { return *getPluginRegistry(); }

  nvinfer1::IPluginCreatorInterface* newer_ = nullptr;
  std::unique_ptr<CreatorV2> older_;
};

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// Two deformable convolutions of 2 x 2 windows, one behind the other, on an image of 1 x 4 x 4;
// their offsets, of so many channels, are 0.
std::string deformable_net(std::int64_t offsets) {
  OnnxWriter net;
  net.input("x", OnnxType::kFloat, {1, 1, 4, 4});
  net.output("y", OnnxType::kFloat, {1, 1, 2, 2});
  const std::vector<float> weights = {1, 10, 100, 1000};
  net.constant("w", OnnxType::kFloat, {1, 1, 2, 2}, bytes_of(weights));
  for (const std::int64_t size : {3, 2}) {
    const auto count = static_cast<std::size_t>(offsets * size * size);
    net.constant("o" + std::to_string(size), OnnxType::kFloat, {1, offsets, size, size},
                 bytes_of(std::vector<float>(count)));
  }
  net.node("Neg", "first", {"x"}, {"n"});
  net.node(kOperator, "outer", {"n", "w", "o3"}, {"a"}, {{"strides", {1, 1}}});
  net.node(kOperator, "inner", {"a", "w", "o2"}, {"b"}, {{"kernel_shape", {2, 2}}});
  net.node("Neg", "last", {"b"}, {"y"});
  return net.model();
}

Tensor image() {
  std::vector<float> values(16);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 5);
  return {"x", "float32", {1, 1, 4, 4}, bytes_of(values)};
}

// What the convolution above makes of a square image.
std::vector<float> convolved(const std::vector<float>& from, std::size_t side) {
  std::vector<float> to;
  for (std::size_t row = 0; row + 1 < side; ++row) {
    for (std::size_t column = 0; column + 1 < side; ++column) {
      const std::size_t at = row * side + column;
      to.push_back(from[at] + 10 * from[at + 1] + 100 * from[at + side] +
                   1000 * from[at + side + 1]);
    }
  }
  return to;
}

Load preparing(const TemporaryFolder& folder, const std::string& model) {
  Load request = load_onnx(folder, model, fp32());
  request.prepared_path = folder.write("prepared", "");
  request.prepare = true;
  return request;
}

void check_whole_life() {
  const TemporaryFolder folder;
  Load request = preparing(folder, deformable_net(8));
  const std::vector<float> wanted = convolved(convolved(floats_of(image()), 4), 3);
  {
    const auto built = loaded(request);
    CHECK(floats_of(run_of(*built, {image()})[0]) == wanted);
  }
  // What comes out of the engine alone is the same, run after run and in two models at once.
  request.prepare = false;
  const auto one = loaded(request);
  const auto other = loaded(request);
  for (int i = 0; i < 3; ++i) {
    CHECK(floats_of(run_of(*one, {image()})[0]) == wanted);
    CHECK(floats_of(run_of(*other, {image()})[0]) == wanted);
  }
  const Result<std::vector<LayerRun>> layers = one->run_layers();
  REQUIRE(layers);
  CHECK(std::any_of(layers.value().begin(), layers.value().end(), [](const LayerRun& layer) {
    return layer.name == "outer" && layer.unit == "GPU";
  }));
}

}  // namespace

TEST_CASE("a model with plugins is built, kept, read again and run by TensorRT 10's kind") {
  check_whole_life();
}

TEST_CASE("a model with plugins is built, kept, read again and run by TensorRT 8's kind") {
  const OlderKind kind;
  check_whole_life();
}

TEST_CASE("a recording has plugins in it") {
  const TemporaryFolder folder;
  Load request = preparing(folder, deformable_net(8));
  request.options.named["cuda_graph"] = "on";
  const auto model = loaded(request);
  const std::vector<float> wanted = convolved(convolved(floats_of(image()), 4), 3);
  for (int i = 0; i < 3; ++i) CHECK(floats_of(run_of(*model, {image()})[0]) == wanted);
}

TEST_CASE("what a plugin of a model finds wrong is said with the operator's name") {
  const TemporaryFolder folder;
  const auto model = loaded(preparing(folder, deformable_net(6)));
  REQUIRE(model->set_inputs({image()}));
  CHECK(fails(model->run(), FailureCode::kRuntimeRefused,
              {"the operator deform_conv: the shapes of its inputs do not fit"}));
}

TEST_CASE("an accelerator leaves plugins to the GPU") {
  const Behaviour board("dla=1 dla-lacks=,none,");
  const TemporaryFolder folder;
  Load request = preparing(folder, deformable_net(8));
  request.options.named["dla_core"] = "0";
  const auto model = loaded(request);
  (void)run_of(*model, {image()});
  const Result<std::vector<LayerRun>> layers = model->run_layers();
  REQUIRE(layers);
  std::string left;
  for (const LayerRun& layer : layers.value()) left += layer.fell_back ? layer.name + " " : "";
  CHECK(left == "outer inner ");
}
