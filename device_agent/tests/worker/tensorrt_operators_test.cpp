// Operators of our own as plugins of both kinds, from their creator to a run, against libraries
// that stand in for TensorRT's and CUDA's (stand_in/). Nothing here was seen on a GPU.
#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "workers/tensorrt/library.h"
#include "workers/tensorrt/operator.h"
#include "workers/tensorrt/plugin_v2.h"
#include "workers/tensorrt/plugin_v3.h"

using namespace dx;
using nvinfer1::DataType;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

namespace {

// An expression is its value, -1 for one that is open until a run; operations note what they were.
class Expression : public nvinfer1::IDimensionExpr {
 public:
  explicit Expression(std::int64_t value) : value_(value) {}
  bool isConstant() const noexcept override { return value_ >= 0; }
  std::int64_t getConstantValue() const noexcept override { return value_; }

 private:
  std::int64_t value_;
};

class Builder : public nvinfer1::IExprBuilder {
 public:
  const nvinfer1::IDimensionExpr* constant(std::int64_t value) noexcept override {
    return &made_.emplace_back(value);
  }
  const nvinfer1::IDimensionExpr* operation(nvinfer1::DimensionOperation,
                                            const nvinfer1::IDimensionExpr& a,
                                            const nvinfer1::IDimensionExpr& b) noexcept override {
    return constant(a.getConstantValue() * b.getConstantValue());
  }

 private:
  std::list<Expression> made_;
};

using Sizes = std::vector<std::int64_t>;

nvinfer1::PluginTensorDesc described(const Sizes& sizes, DataType type = DataType::kFLOAT) {
  nvinfer1::PluginTensorDesc made{};
  made.dims.nbDims = static_cast<std::int32_t>(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) made.dims.d[i] = sizes[i];
  made.type = type;
  return made;
}

nvinfer1::DimsExprs expressions(const Sizes& sizes, Builder& builder) {
  nvinfer1::DimsExprs made{};
  made.nbDims = static_cast<std::int32_t>(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) made.d[i] = builder.constant(sizes[i]);
  return made;
}

Sizes sizes_of(const nvinfer1::DimsExprs& shape) {
  Sizes sizes;
  for (std::int32_t i = 0; i < shape.nbDims; ++i) sizes.push_back(shape.d[i]->getConstantValue());
  return sizes;
}

const TensorrtOperator& row_of(const std::string& folder) {
  for (const TensorrtOperator& row : tensorrt_operators()) {
    if (row.facts->folder == folder) return row;
  }
  FAIL("no such operator");
  return tensorrt_operators().front();
}

// A deformable convolution of 2 x 2 windows on an image of 1 x 3 x 3, with offsets of 0, so that it
// is one of the usual kind; then the image is moved by one pixel to the right.
struct Convolution {
  std::vector<float> image = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<float> weights = {1, 10, 100, 1000};
  std::vector<float> offsets = std::vector<float>(32, 0.0F);
  std::vector<float> bias = {0.5F};
  std::vector<nvinfer1::PluginTensorDesc> inputs = {
      described({1, 1, 3, 3}), described({1, 1, 2, 2}), described({1, 8, 2, 2}), described({1})};
  std::vector<nvinfer1::PluginTensorDesc> outputs = {described({1, 1, 2, 2})};
  std::vector<float> wanted = {5421.5F, 6532.5F, 8754.5F, 9865.5F};

  std::vector<nvinfer1::DynamicPluginTensorDesc> dynamic(bool made) const {
    std::vector<nvinfer1::DynamicPluginTensorDesc> all;
    for (const nvinfer1::PluginTensorDesc& each : made ? outputs : inputs) {
      all.push_back({each, each.dims, each.dims, each.dims});
    }
    return all;
  }
  std::vector<nvinfer1::DimsExprs> shapes(Builder& builder) const {
    return {expressions({1, 1, 3, 3}, builder), expressions({1, 1, 2, 2}, builder),
            expressions({1, 8, 2, 2}, builder), expressions({1}, builder)};
  }
  // What a run writes; `plugin` is of either kind.
  template <class Plugin>
  std::vector<float> run(Plugin& plugin, std::size_t workspace) const {
    std::vector<char> memory(workspace);
    std::vector<float> result(4, -1.0F);
    const void* const from[] = {image.data(), weights.data(), offsets.data(), bias.data()};
    void* const to[] = {result.data()};
    const std::int32_t done =
        plugin.enqueue(inputs.data(), outputs.data(), from, to, memory.data(), nullptr);
    CHECK(done == 0);
    CHECK(take_complaint() == "");
    return result;
  }
};

nvinfer1::PluginFieldCollection collected(const std::vector<PluginField>& fields) {
  return {static_cast<std::int32_t>(fields.size()), fields.data()};
}

// The node's attributes as TensorRT's parser hands them on.
const std::int32_t kOnes[] = {1, 1};
std::vector<PluginField> usual_fields() { return {{"strides", kOnes, PluginFieldType::kINT32, 2}}; }

std::unique_ptr<nvinfer1::IPluginV3> made_v3(const std::string& name,
                                             const std::vector<PluginField>& fields) {
  REQUIRE(Library::open());
  auto* const creator = dynamic_cast<nvinfer1::IPluginCreatorV3One*>(
      getPluginRegistry()->getCreator(name.c_str(), "1", ""));
  REQUIRE(creator != nullptr);
  const nvinfer1::PluginFieldCollection given = collected(fields);
  return std::unique_ptr<nvinfer1::IPluginV3>(
      creator->createPlugin("node", &given, nvinfer1::TensorRTPhase::kBUILD));
}

template <class Part>
Part& part_of(nvinfer1::IPluginV3& plugin, nvinfer1::PluginCapabilityType type) {
  auto* const part = dynamic_cast<Part*>(plugin.getCapabilityInterface(type));
  REQUIRE(part != nullptr);
  return *part;
}

}  // namespace

TEST_CASE("TensorRT finds a creator by each name, with the attributes of op.toml as its fields") {
  REQUIRE(Library::open());
  auto* const creator = dynamic_cast<nvinfer1::IPluginCreatorV3One*>(
      getPluginRegistry()->getCreator("DeformConv", "1", ""));
  REQUIRE(creator != nullptr);
  CHECK(getPluginRegistry()->getCreator("DeformConv", "1", "theirs") == nullptr);
  std::vector<std::string> names;
  for (std::int32_t i = 0; i < creator->getFieldNames()->nbFields; ++i) {
    names.emplace_back(creator->getFieldNames()->fields[i].name);
    CHECK(creator->getFieldNames()->fields[i].type == PluginFieldType::kINT32);
  }
  CHECK(names == std::vector<std::string>{"dilations", "group", "kernel_shape", "offset_group",
                                          "pads", "strides"});
  for (const TensorrtOperator& row : tensorrt_operators()) {
    for (std::size_t i = 0; i < row.facts->name_count; ++i) {
      CHECK(getPluginRegistry()->getCreator(row.facts->names[i].name, "1", "") != nullptr);
    }
  }
}

TEST_CASE("a plugin of TensorRT 10 is built, kept in an engine, read again and run") {
  const Convolution convolution;
  Builder builder;
  const auto plugin = made_v3("DeformConv", usual_fields());
  REQUIRE(plugin != nullptr);
  auto& build =
      part_of<nvinfer1::IPluginV3OneBuild>(*plugin, nvinfer1::PluginCapabilityType::kBUILD);
  const std::vector<nvinfer1::DimsExprs> shapes = convolution.shapes(builder);
  nvinfer1::DimsExprs shape{};
  REQUIRE(build.getOutputShapes(shapes.data(), 4, nullptr, 0, &shape, 1, builder) == 0);
  CHECK(sizes_of(shape) == Sizes{1, 1, 2, 2});
  DataType type = DataType::kBOOL;
  REQUIRE(build.getOutputDataTypes(&type, 1, nullptr, 4) == 0);
  CHECK(type == DataType::kFLOAT);
  const auto inputs = convolution.dynamic(false);
  const auto outputs = convolution.dynamic(true);
  auto all = inputs;
  all.push_back(outputs[0]);
  CHECK(build.supportsFormatCombination(4, all.data(), 4, 1));
  all[0].desc.type = DataType::kHALF;
  CHECK_FALSE(build.supportsFormatCombination(0, all.data(), 4, 1));
  all[1].desc.format = nvinfer1::TensorFormat::kCHW2;
  CHECK_FALSE(build.supportsFormatCombination(1, all.data(), 4, 1));
  REQUIRE(build.configurePlugin(inputs.data(), 4, outputs.data(), 1) == 0);
  const std::size_t workspace = build.getWorkspaceSize(inputs.data(), 4, outputs.data(), 1);
  CHECK(workspace == 256);  // 4 x 4 floats, as CUDA aligns them

  auto& kept =
      part_of<nvinfer1::IPluginV3OneRuntime>(*plugin, nvinfer1::PluginCapabilityType::kRUNTIME);
  const nvinfer1::PluginFieldCollection fields = *kept.getFieldsToSerialize();
  auto* const creator = dynamic_cast<nvinfer1::IPluginCreatorV3One*>(
      getPluginRegistry()->getCreator("DeformConv", "1", ""));
  const std::unique_ptr<nvinfer1::IPluginV3> read(
      creator->createPlugin("node", &fields, nvinfer1::TensorRTPhase::kRUNTIME));
  REQUIRE(read != nullptr);
  auto& reader =
      part_of<nvinfer1::IPluginV3OneRuntime>(*read, nvinfer1::PluginCapabilityType::kRUNTIME);
  const std::unique_ptr<nvinfer1::IPluginV3> attached(reader.attachToContext(nullptr));
  auto& runner =
      part_of<nvinfer1::IPluginV3OneRuntime>(*attached, nvinfer1::PluginCapabilityType::kRUNTIME);
  REQUIRE(runner.onShapeChange(convolution.inputs.data(), 4, convolution.outputs.data(), 1) == 0);
  CHECK(convolution.run(runner, workspace) == convolution.wanted);
}

TEST_CASE("a plugin of TensorRT 8 is built, kept in an engine, read again and run") {
  const Convolution convolution;
  Builder builder;
  REQUIRE(Library::open());
  CreatorV2 creator(plugin_names(row_of("deform_conv"))[0]);
  CHECK(std::string(creator.getPluginName()) == "DeformConv");
  CHECK(std::string(creator.getPluginNamespace()) == "");
  CHECK(creator.getFieldNames()->nbFields == 6);
  const std::vector<PluginField> given = usual_fields();
  const nvinfer1::PluginFieldCollection fields = collected(given);
  auto* const plugin = static_cast<PluginV2*>(creator.createPlugin("node", &fields));
  REQUIRE(plugin != nullptr);
  const std::vector<nvinfer1::DimsExprs> shapes = convolution.shapes(builder);
  const nvinfer1::DimsExprs shape = plugin->getOutputDimensions(0, shapes.data(), 4, builder);
  CHECK(sizes_of(shape) == Sizes{1, 1, 2, 2});
  CHECK(plugin->getOutputDataType(0, nullptr, 4) == DataType::kFLOAT);
  auto all = convolution.inputs;
  all.push_back(convolution.outputs[0]);
  CHECK(plugin->supportsFormatCombination(4, all.data(), 4, 1));
  all[2].type = DataType::kHALF;
  CHECK_FALSE(plugin->supportsFormatCombination(2, all.data(), 4, 1));
  const auto inputs = convolution.dynamic(false);
  const auto outputs = convolution.dynamic(true);
  plugin->configurePlugin(inputs.data(), 4, outputs.data(), 1);
  const std::size_t workspace =
      plugin->getWorkspaceSize(convolution.inputs.data(), 4, convolution.outputs.data(), 1);
  CHECK(workspace == 256);
  std::string bytes(plugin->getSerializationSize(), '\0');
  plugin->serialize(bytes.data());
  auto* const copy = plugin->clone();
  plugin->destroy();
  CHECK(convolution.run(*copy, workspace) == convolution.wanted);
  copy->destroy();

  auto* const read =
      static_cast<PluginV2*>(creator.deserializePlugin("node", bytes.data(), bytes.size()));
  REQUIRE(read != nullptr);
  CHECK(read->initialize() == 0);
  CHECK(convolution.run(*read, workspace) == convolution.wanted);
  read->terminate();
  read->destroy();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(creator.deserializePlugin("node", bytes.data(), size) == nullptr);
  }
  bytes += '\0';
  CHECK(creator.deserializePlugin("node", bytes.data(), bytes.size()) == nullptr);
  CHECK(take_complaint() != "");
}

TEST_CASE("an attribute of another type makes no plugin, and is named") {
  const float value = 2.0F;
  CHECK(made_v3("DeformConv", {{"strides", "ab", PluginFieldType::kCHAR, 2}}) == nullptr);
  CHECK(take_complaint() == "the operator deform_conv: its strides is of another type");
  CHECK(made_v3("DeformConv", {{"strides", nullptr, PluginFieldType::kINT32, 2}}) == nullptr);
  CHECK(take_complaint() != "");
  CHECK(made_v3("DeformConv", {{"unknown", &value, PluginFieldType::kFLOAT32, 1}}) != nullptr);
  CHECK(take_complaint() == "");
}

TEST_CASE("what a run finds wrong is said with the operator's name") {
  Convolution convolution;
  const auto plugin = made_v3("DeformConv", usual_fields());
  auto& runner =
      part_of<nvinfer1::IPluginV3OneRuntime>(*plugin, nvinfer1::PluginCapabilityType::kRUNTIME);
  convolution.inputs[2] = described({1, 6, 2, 2});
  (void)runner.onShapeChange(convolution.inputs.data(), 4, convolution.outputs.data(), 1);
  std::vector<float> result(4);
  const void* const from[] = {convolution.image.data(), convolution.weights.data(),
                              convolution.offsets.data(), convolution.bias.data()};
  void* const to[] = {result.data()};
  CHECK(runner.enqueue(convolution.inputs.data(), convolution.outputs.data(), from, to, nullptr,
                       nullptr) == 1);
  CHECK(take_complaint() == "the operator deform_conv: the shapes of its inputs do not fit");
}

TEST_CASE("kernels that CUDA does not load are refused in its words") {
  REQUIRE(Library::open());
  Convolution convolution;
  setenv("DX_STAND_IN", "no-kernels", 1);
  const auto plugin = made_v3("MMCVDeformConv2d", {});
  unsetenv("DX_STAND_IN");
  auto& runner =
      part_of<nvinfer1::IPluginV3OneRuntime>(*plugin, nvinfer1::PluginCapabilityType::kRUNTIME);
  const std::vector<nvinfer1::PluginTensorDesc> inputs = {
      convolution.inputs[0], convolution.inputs[2], convolution.inputs[1]};
  (void)runner.onShapeChange(inputs.data(), 3, convolution.outputs.data(), 1);
  std::vector<float> result(4);
  std::vector<char> memory(256);
  const void* const from[] = {convolution.image.data(), convolution.offsets.data(),
                              convolution.weights.data()};
  void* const to[] = {result.data()};
  setenv("DX_STAND_IN", "no-kernels", 1);
  CHECK(runner.enqueue(inputs.data(), convolution.outputs.data(), from, to, memory.data(),
                       nullptr) == 1);
  unsetenv("DX_STAND_IN");
  CHECK(take_complaint() ==
        "the operator mmcv_deform_conv2d: CUDA does not load its kernels for the GPU sm_87: device "
        "kernel image is invalid");
  CHECK(runner.enqueue(inputs.data(), convolution.outputs.data(), from, to, memory.data(),
                       nullptr) == 0);
}

TEST_CASE("whole numbers go out as such, by memory of the run's own") {
  const std::int32_t two = 2;
  const std::int32_t one = 1;
  const std::int32_t none = 0;
  const auto plugin = made_v3("TRTBatchedNMS", {{"keep_topk", &two, PluginFieldType::kINT32, 1},
                                                {"num_classes", &one, PluginFieldType::kINT32, 1},
                                                {"clip_boxes", &none, PluginFieldType::kINT32, 1}});
  REQUIRE(plugin != nullptr);
  auto& build =
      part_of<nvinfer1::IPluginV3OneBuild>(*plugin, nvinfer1::PluginCapabilityType::kBUILD);
  std::vector<DataType> types(3);
  REQUIRE(build.getOutputDataTypes(types.data(), 3, nullptr, 2) == 0);
  CHECK(types == std::vector<DataType>{DataType::kFLOAT, DataType::kINT32, DataType::kINT32});
  Builder builder;
  const std::vector<nvinfer1::DimsExprs> given = {expressions({1, 2, 1, 4}, builder),
                                                  expressions({1, 2, 1}, builder)};
  std::vector<nvinfer1::DimsExprs> shapes(3);
  REQUIRE(build.getOutputShapes(given.data(), 2, nullptr, 0, shapes.data(), 3, builder) == 0);
  CHECK(sizes_of(shapes[0]) == Sizes{1, 2, 5});
  CHECK(sizes_of(shapes[1]) == Sizes{1, 2});
  const std::vector<nvinfer1::PluginTensorDesc> inputs = {described({1, 2, 1, 4}),
                                                          described({1, 2, 1})};
  const std::vector<nvinfer1::PluginTensorDesc> outputs = {described({1, 2, 5}),
                                                           described({1, 2}, DataType::kINT32),
                                                           described({1, 2}, DataType::kINT32)};
  std::vector<nvinfer1::DynamicPluginTensorDesc> all;
  for (const auto* const tensors : {&inputs, &outputs}) {
    for (const auto& each : *tensors) all.push_back({each, each.dims, each.dims, each.dims});
  }
  CHECK(build.supportsFormatCombination(3, all.data(), 2, 3));
  all[4].desc.type = DataType::kFLOAT;
  CHECK_FALSE(build.supportsFormatCombination(4, all.data(), 2, 3));
  all[4].desc.type = DataType::kINT32;
  std::vector<char> memory(build.getWorkspaceSize(all.data(), 2, all.data() + 2, 3));
  auto& runner =
      part_of<nvinfer1::IPluginV3OneRuntime>(*plugin, nvinfer1::PluginCapabilityType::kRUNTIME);
  REQUIRE(runner.onShapeChange(inputs.data(), 2, outputs.data(), 3) == 0);
  const std::vector<float> boxes = {0, 0, 4, 4, 0, 0, 4, 5};
  const std::vector<float> scores = {0.25F, 0.75F};
  std::vector<float> found(10);
  std::vector<std::int32_t> labels(2);
  std::vector<std::int32_t> places(2);
  const void* const from[] = {boxes.data(), scores.data()};
  void* const to[] = {found.data(), labels.data(), places.data()};
  REQUIRE(runner.enqueue(inputs.data(), outputs.data(), from, to, memory.data(), nullptr) == 0);
  CHECK(found == std::vector<float>{0, 0, 4, 5, 0.75F, 0, 0, 0, 0, 0});
  CHECK(labels == std::vector<std::int32_t>{0, -1});
  CHECK(places == std::vector<std::int32_t>{1, -1});
}
