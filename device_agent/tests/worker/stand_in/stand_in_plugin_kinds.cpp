// Both kinds of plugins as TensorRT calls them: that of version 8, and that of version 10.
#include <algorithm>
#include <array>
#include <cstring>
#include <list>

#include "stand_in_fields.h"
#include "stand_in_plugins.h"

namespace dx::stand_in {
namespace {

using nvinfer1::DimsExprs;
using nvinfer1::PluginField;
using nvinfer1::PluginFieldCollection;
using nvinfer1::PluginFieldType;

// A size, and what is computed of sizes. All are known here.
class Size : public nvinfer1::IDimensionExpr {
 public:
  explicit Size(std::int64_t value) : value_(value) {}
  bool isConstant() const noexcept override { return true; }
  std::int64_t getConstantValue() const noexcept override { return value_; }

 private:
  const std::int64_t value_;
};

class Sizes : public nvinfer1::IExprBuilder {
 public:
  const nvinfer1::IDimensionExpr* constant(std::int64_t value) noexcept override {
    return &made_.emplace_back(value);
  }
  const nvinfer1::IDimensionExpr* operation(
      nvinfer1::DimensionOperation operation, const nvinfer1::IDimensionExpr& first,
      const nvinfer1::IDimensionExpr& second) noexcept override {
    const std::int64_t a = first.getConstantValue();
    const std::int64_t b = second.getConstantValue();
    switch (operation) {
      case nvinfer1::DimensionOperation::kSUM:
        return constant(a + b);
      case nvinfer1::DimensionOperation::kPROD:
        return constant(a * b);
      case nvinfer1::DimensionOperation::kMAX:
        return constant(std::max(a, b));
      case nvinfer1::DimensionOperation::kMIN:
        return constant(std::min(a, b));
      case nvinfer1::DimensionOperation::kSUB:
        return constant(a - b);
      case nvinfer1::DimensionOperation::kEQUAL:
        return constant(a == b ? 1 : 0);
      case nvinfer1::DimensionOperation::kLESS:
        return constant(a < b ? 1 : 0);
    }
    return nullptr;
  }

 private:
  std::list<Size> made_;
};

std::vector<DimsExprs> expressions(const Descs& tensors, Sizes& sizes) {
  std::vector<DimsExprs> made;
  for (const nvinfer1::PluginTensorDesc& tensor : tensors) {
    DimsExprs one{};
    one.nbDims = tensor.dims.nbDims;
    for (std::int32_t i = 0; i < one.nbDims; ++i) one.d[i] = sizes.constant(tensor.dims.d[i]);
    made.push_back(one);
  }
  return made;
}

nvinfer1::Dims dims_of(const DimsExprs& shape) {
  nvinfer1::Dims dims{};
  dims.nbDims = shape.nbDims;
  for (std::int32_t i = 0; i < shape.nbDims; ++i) dims.d[i] = shape.d[i]->getConstantValue();
  return dims;
}

std::vector<nvinfer1::DynamicPluginTensorDesc> dynamic(const Descs& tensors) {
  std::vector<nvinfer1::DynamicPluginTensorDesc> made;
  for (const nvinfer1::PluginTensorDesc& one : tensors) {
    made.push_back({one, one.dims, one.dims, one.dims});
  }
  return made;
}

std::int32_t count(const Descs& tensors) { return static_cast<std::int32_t>(tensors.size()); }

std::size_t bytes_of(PluginFieldType type) {
  switch (type) {
    case PluginFieldType::kFLOAT64:
    case PluginFieldType::kINT64:
      return 8;
    case PluginFieldType::kFLOAT32:
    case PluginFieldType::kINT32:
      return 4;
    default:
      return 1;
  }
}

// An attribute of ONNX's: whole numbers, numbers or a text.
struct Attribute {
  std::string name;
  std::vector<std::int32_t> wholes = {};
  std::vector<float> numbers = {};
  std::string text = {};
};

float number_in(std::string_view bytes) {
  float value = 0;
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

Attribute attribute_of(std::string_view content) {
  Attribute made;
  for (Fields fields(content); fields.next();) {
    if (fields.number == 1) made.name = std::string(fields.content);
    if (fields.number == 2) made.numbers.push_back(number_in(fields.content));
    if (fields.number == 4) made.text = std::string(fields.content);
    // They may lie one by one, or all in one field.
    if (fields.number == 3 || (fields.number == 8 && !fields.has_content)) {
      made.wholes.push_back(static_cast<std::int32_t>(fields.value));
    } else if (fields.number == 8) {
      for (Fields all(fields.content); !all.at_end();) {
        made.wholes.push_back(static_cast<std::int32_t>(all.varint()));
      }
    }
    for (std::string_view all = fields.number == 7 ? fields.content : std::string_view();
         !all.empty(); all.remove_prefix(sizeof(float))) {
      made.numbers.push_back(number_in(all));
    }
  }
  return made;
}

// The node's attributes as TensorRT's parser hands them on: those alone that the creator asks for,
// in the type that it names.
class Given {
 public:
  Given(const Node& node, const PluginFieldCollection& asked) {
    for (const std::string& each : node.attributes) attributes_.push_back(attribute_of(each));
    for (std::int32_t i = 0; i < asked.nbFields; ++i) add(asked.fields[i]);
    collection_ = {static_cast<std::int32_t>(fields_.size()), fields_.data()};
  }
  const PluginFieldCollection& collection() const { return collection_; }

 private:
  void add(const PluginField& asked) {
    for (const Attribute& one : attributes_) {
      if (one.name != asked.name) continue;
      if (asked.type == PluginFieldType::kINT32) add(asked, one.wholes.data(), one.wholes.size());
      if (asked.type == PluginFieldType::kFLOAT32) {
        add(asked, one.numbers.data(), one.numbers.size());
      }
      if (asked.type == PluginFieldType::kCHAR) add(asked, one.text.data(), one.text.size());
    }
  }
  void add(const PluginField& asked, const void* data, std::size_t length) {
    fields_.emplace_back(asked.name, data, asked.type, static_cast<std::int32_t>(length));
  }

  std::vector<Attribute> attributes_;
  std::vector<PluginField> fields_;
  PluginFieldCollection collection_{};
};

class OfVersion8 : public Plugin {
 public:
  explicit OfVersion8(nvinfer1::IPluginV2DynamicExt* plugin) : plugin_(plugin) {}

  std::size_t outputs() override { return static_cast<std::size_t>(plugin_->getNbOutputs()); }
  bool takes(std::size_t place, const Descs& tensors, std::size_t inputs) override {
    return plugin_->supportsFormatCombination(static_cast<std::int32_t>(place), tensors.data(),
                                              static_cast<std::int32_t>(inputs),
                                              count(tensors) - static_cast<std::int32_t>(inputs));
  }
  std::vector<nvinfer1::DataType> output_types(const Descs& inputs) override {
    std::vector<nvinfer1::DataType> given;
    for (const nvinfer1::PluginTensorDesc& one : inputs) given.push_back(one.type);
    std::vector<nvinfer1::DataType> made;
    for (std::int32_t i = 0; i < plugin_->getNbOutputs(); ++i) {
      made.push_back(plugin_->getOutputDataType(i, given.data(), count(inputs)));
    }
    return made;
  }
  std::vector<nvinfer1::Dims> shapes(const Descs& inputs) override {
    Sizes sizes;
    const std::vector<DimsExprs> given = expressions(inputs, sizes);
    std::vector<nvinfer1::Dims> made;
    for (std::int32_t i = 0; i < plugin_->getNbOutputs(); ++i) {
      const DimsExprs shape = plugin_->getOutputDimensions(i, given.data(), count(inputs), sizes);
      if (shape.nbDims < 0) return {};
      made.push_back(dims_of(shape));
    }
    return made;
  }
  std::size_t configure(const Descs& inputs, const Descs& outputs) override {
    const auto given = dynamic(inputs);
    const auto made = dynamic(outputs);
    plugin_->configurePlugin(given.data(), count(inputs), made.data(), count(outputs));
    return plugin_->getWorkspaceSize(inputs.data(), count(inputs), outputs.data(), count(outputs));
  }
  std::string kept() override {
    std::string bytes(plugin_->getSerializationSize(), '\0');
    plugin_->serialize(bytes.data());
    return bytes;
  }
  bool run(const Descs& inputs, const Descs& outputs, const std::vector<const void*>& from,
           const std::vector<void*>& to, void* workspace, cudaStream_t stream) override {
    if (!is_running_) {
      if (plugin_->initialize() != 0) return false;
      is_running_ = true;
    }
    return plugin_->enqueue(inputs.data(), outputs.data(), from.data(), to.data(), workspace,
                            stream) == 0;
  }
  ~OfVersion8() override {
    if (is_running_) plugin_->terminate();
    plugin_->destroy();
  }

 private:
  nvinfer1::IPluginV2DynamicExt* const plugin_;
  bool is_running_ = false;
};

class OfVersion10 : public Plugin {
 public:
  explicit OfVersion10(nvinfer1::IPluginV3* plugin) : plugin_(plugin) {}

  std::size_t outputs() override { return static_cast<std::size_t>(build().getNbOutputs()); }
  bool takes(std::size_t place, const Descs& tensors, std::size_t inputs) override {
    return build().supportsFormatCombination(
        static_cast<std::int32_t>(place), dynamic(tensors).data(),
        static_cast<std::int32_t>(inputs), count(tensors) - static_cast<std::int32_t>(inputs));
  }
  std::vector<nvinfer1::DataType> output_types(const Descs& inputs) override {
    std::vector<nvinfer1::DataType> given;
    for (const nvinfer1::PluginTensorDesc& one : inputs) given.push_back(one.type);
    std::vector<nvinfer1::DataType> made(outputs());
    const std::int32_t failed = build().getOutputDataTypes(
        made.data(), static_cast<std::int32_t>(made.size()), given.data(), count(inputs));
    return failed == 0 ? made : std::vector<nvinfer1::DataType>();
  }
  std::vector<nvinfer1::Dims> shapes(const Descs& inputs) override {
    Sizes sizes;
    const std::vector<DimsExprs> given = expressions(inputs, sizes);
    std::vector<DimsExprs> found(outputs());
    const std::int32_t failed =
        build().getOutputShapes(given.data(), count(inputs), nullptr, 0, found.data(),
                                static_cast<std::int32_t>(found.size()), sizes);
    std::vector<nvinfer1::Dims> made;
    if (failed == 0) std::transform(found.begin(), found.end(), std::back_inserter(made), dims_of);
    return made;
  }
  std::size_t configure(const Descs& inputs, const Descs& outputs) override {
    const auto given = dynamic(inputs);
    const auto made = dynamic(outputs);
    (void)build().configurePlugin(given.data(), count(inputs), made.data(), count(outputs));
    return build().getWorkspaceSize(given.data(), count(inputs), made.data(), count(outputs));
  }
  std::string kept() override {
    std::string bytes;
    const PluginFieldCollection& fields = *runtime().getFieldsToSerialize();
    for (std::int32_t i = 0; i < fields.nbFields; ++i) {
      const PluginField& field = fields.fields[i];
      const std::size_t size = bytes_of(field.type) * static_cast<std::size_t>(field.length);
      std::string one = field_of(1, field.name);
      one += field_of(2, {static_cast<const char*>(field.data), size});
      one += field_of(3, std::to_string(static_cast<std::int32_t>(field.type)));
      bytes += field_of(1, one);
    }
    return bytes;
  }
  bool run(const Descs& inputs, const Descs& outputs, const std::vector<const void*>& from,
           const std::vector<void*>& to, void* workspace, cudaStream_t stream) override {
    if (runtime().onShapeChange(inputs.data(), count(inputs), outputs.data(), count(outputs)) !=
        0) {
      return false;
    }
    return runtime().enqueue(inputs.data(), outputs.data(), from.data(), to.data(), workspace,
                             stream) == 0;
  }
  std::unique_ptr<Plugin> attached() {
    nvinfer1::IPluginV3* const made = runtime().attachToContext(nullptr);
    return made == nullptr ? nullptr : std::make_unique<OfVersion10>(made);
  }

 private:
  template <class Part>
  Part& part(nvinfer1::PluginCapabilityType type) {
    return dynamic_cast<Part&>(*plugin_->getCapabilityInterface(type));
  }
  nvinfer1::IPluginV3OneBuild& build() {
    return part<nvinfer1::IPluginV3OneBuild>(nvinfer1::PluginCapabilityType::kBUILD);
  }
  nvinfer1::IPluginV3OneRuntime& runtime() {
    return part<nvinfer1::IPluginV3OneRuntime>(nvinfer1::PluginCapabilityType::kRUNTIME);
  }

  const std::unique_ptr<nvinfer1::IPluginV3> plugin_;
};

constexpr const char* kVersion = "1";

nvinfer1::IPluginCreatorInterface* creator_of(const Node& node) {
  return getPluginRegistry()->getCreator(node.type.c_str(), kVersion, "");
}

// A network has a clone of its own of what a creator made.
std::unique_ptr<Plugin> cloned(nvinfer1::IPluginV2* made) {
  auto* const plugin = dynamic_cast<nvinfer1::IPluginV2DynamicExt*>(made);
  if (plugin == nullptr) return nullptr;
  auto own = std::make_unique<OfVersion8>(plugin->clone());
  plugin->destroy();
  return own;
}

std::unique_ptr<OfVersion10> cloned(nvinfer1::IPluginV3* made) {
  const std::unique_ptr<nvinfer1::IPluginV3> plugin(made);
  return plugin == nullptr ? nullptr : std::make_unique<OfVersion10>(plugin->clone());
}

// The fields that kept() wrote.
std::unique_ptr<OfVersion10> read_version_10(nvinfer1::IPluginCreatorV3One& creator,
                                             const Node& node, const std::string& kept) {
  std::list<std::string> names;
  std::vector<PluginField> fields;
  for (Fields all(kept); all.next();) {
    PluginField field;
    for (Fields one(all.content); one.next();) {
      if (one.number == 1) field.name = names.emplace_back(one.content).c_str();
      if (one.number == 2) {
        field.data = one.content.data();
        field.length = static_cast<std::int32_t>(one.content.size());
      }
      if (one.number == 3) {
        field.type = static_cast<PluginFieldType>(std::stoi(std::string(one.content)));
      }
    }
    field.length /= static_cast<std::int32_t>(bytes_of(field.type));
    fields.push_back(field);
  }
  const PluginFieldCollection given{static_cast<std::int32_t>(fields.size()), fields.data()};
  return cloned(creator.createPlugin(node.name.c_str(), &given, nvinfer1::TensorRTPhase::kRUNTIME));
}

}  // namespace

bool is_plugin(const Node& node) { return creator_of(node) != nullptr; }

std::unique_ptr<Plugin> make_plugin(const Node& node) {
  nvinfer1::IPluginCreatorInterface* const found = creator_of(node);
  if (auto* const newer = dynamic_cast<nvinfer1::IPluginCreatorV3One*>(found)) {
    const Given given(node, *newer->getFieldNames());
    return cloned(newer->createPlugin(node.name.c_str(), &given.collection(),
                                      nvinfer1::TensorRTPhase::kBUILD));
  }
  if (auto* const older = dynamic_cast<nvinfer1::IPluginCreator*>(found)) {
    const Given given(node, *older->getFieldNames());
    return cloned(older->createPlugin(node.name.c_str(), &given.collection()));
  }
  return nullptr;
}

std::unique_ptr<Plugin> read_plugin(const Node& node, const std::string& kept) {
  nvinfer1::IPluginCreatorInterface* const found = creator_of(node);
  if (auto* const newer = dynamic_cast<nvinfer1::IPluginCreatorV3One*>(found)) {
    const std::unique_ptr<OfVersion10> read = read_version_10(*newer, node, kept);
    return read == nullptr ? nullptr : read->attached();
  }
  if (auto* const older = dynamic_cast<nvinfer1::IPluginCreator*>(found)) {
    return cloned(older->deserializePlugin(node.name.c_str(), kept.data(), kept.size()));
  }
  return nullptr;
}

}  // namespace dx::stand_in
