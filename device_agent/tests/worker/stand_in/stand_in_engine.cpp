// The half of the stand-in for libnvinfer that runs engines: by ONNX Runtime.
#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "common/tensors.h"
#include "cuda_runtime_api.h"
#include "stand_in.h"
#include "stand_in_network.h"
#include "stand_in_plugins.h"

namespace dx::stand_in {
namespace {

using nvinfer1::DataType;
using nvinfer1::Dims;
using Sizes = std::vector<std::int64_t>;

const std::map<std::string, DataType> kTypes = {
    {"float32", DataType::kFLOAT}, {"float16", DataType::kHALF}, {"int8", DataType::kINT8},
    {"int32", DataType::kINT32},   {"int64", DataType::kINT64},  {"bool", DataType::kBOOL},
    {"uint8", DataType::kUINT8},
};

bool is_open(const Sizes& dims) {
  return std::any_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim < 0; });
}

const TensorInfo* find(const std::vector<TensorInfo>& all, const std::string& name) {
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&name](const TensorInfo& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

struct Loaded {
  Engine engine;
  std::unique_ptr<Model> model;
  std::vector<EngineLayer> layers;

  const TensorInfo* input(const std::string& name) const {
    return find(model->info().inputs, name);
  }
  const TensorInfo& tensor(const std::string& name) const {
    const TensorInfo* const found = input(name);
    return found != nullptr ? *found : *find(model->info().outputs, name);
  }
};

class Context : public nvinfer1::IExecutionContext {
 public:
  Context(Loaded& loaded, nvinfer1::ILogger& logger) : loaded_(loaded), logger_(logger) {}

  bool setInputShape(const char* name, const Dims& dims) noexcept override {
    const Sizes sizes(dims.d, dims.d + dims.nbDims);
    const auto range = loaded_.engine.range.find(name);
    for (std::size_t i = 0; range != loaded_.engine.range.end() && i < sizes.size(); ++i) {
      const auto& [low, high] = range->second;
      if (sizes[i] >= low[i] && sizes[i] <= high[i]) continue;
      complain(logger_, "the optimization profile takes " + std::to_string(low[i]) + " to " +
                            std::to_string(high[i]) + ", not " + std::to_string(sizes[i]));
      return false;
    }
    shapes_[name] = sizes;
    return true;
  }

  Dims getTensorShape(const char* name) const noexcept override {
    const Sizes& dims = *loaded_.tensor(name).dims;
    if (!is_open(dims)) return to_dims(dims);
    if (loaded_.input(name) != nullptr) return to_dims(shapes_.at(name));
    for (const auto& output : computed(shapes_, nullptr)) {
      if (output.name == name) return to_dims(output.dims);
    }
    return to_dims(dims);
  }

  bool setTensorAddress(const char* name, void* address) noexcept override {
    if (address == nullptr) return false;
    addresses_[name] = address;
    return true;
  }

  bool enqueueV3(CUstream_st* stream) noexcept override {
    // A plugin runs within this call, and may fail it; so what was sent before has to be done.
    if (!loaded_.engine.plugins.empty() && !stream->recording) {
      (void)cudaStreamSynchronize(stream);
      return compute(shapes_, addresses_);
    }
    // Shapes and places are those of this moment, whenever it is computed.
    auto work = [this, shapes = shapes_, addresses = addresses_] {
      (void)compute(shapes, addresses);
    };
    (stream->recording ? stream->recording->work : stream->sent).push_back(work);
    return true;
  }

  void setProfiler(nvinfer1::IProfiler* profiler) noexcept override { profiler_ = profiler; }

 private:
  using Shapes = std::map<std::string, Sizes>;
  using Addresses = std::map<std::string, void*>;

  bool compute(const Shapes& shapes, const Addresses& addresses) const {
    misbehave("-run");
    const std::vector<dx::Tensor> outputs = computed(shapes, &addresses);
    for (const dx::Tensor& output : outputs) {
      std::memcpy(addresses.at(output.name), output.data.data(), output.data.size());
    }
    for (const EngineLayer& layer : loaded_.layers) {
      if (profiler_ == nullptr) break;
      const bool is_dla = layer.type == "DLA";
      if (is_dla) profiler_->reportLayerTime((layer.output + " to nvm").c_str(), 0.01F);
      profiler_->reportLayerTime(layer.name.c_str(), 0.25F);
      if (is_dla) profiler_->reportLayerTime((layer.output + " from nvm").c_str(), 0.01F);
    }
    return !outputs.empty();
  }

  // Of what lies at the inputs' addresses, or of zeros.
  std::vector<dx::Tensor> computed(const Shapes& shapes, const Addresses* addresses) const {
    std::vector<dx::Tensor> inputs;
    for (const TensorInfo& info : loaded_.model->info().inputs) {
      const Sizes& dims = shapes.at(info.name);
      std::string data(tensor_bytes(info.dtype, dims).value_or(0), '\0');
      if (addresses != nullptr) {
        std::memcpy(data.data(), addresses->at(info.name), data.size());
      }
      inputs.push_back({info.name, info.dtype, dims, data, false});
    }
    Status given = loaded_.model->set_inputs(inputs);
    if (given) {
      const Result<std::int64_t> ran = loaded_.model->run();
      if (ran) return std::move(loaded_.model->outputs()).value();
      given = ran.failure();
    }
    complain(logger_, given.failure().message);
    return {};
  }

  Loaded& loaded_;
  nvinfer1::ILogger& logger_;
  nvinfer1::IProfiler* profiler_ = nullptr;
  Shapes shapes_;
  Addresses addresses_;
};

class Inspector : public nvinfer1::IEngineInspector {
 public:
  explicit Inspector(const Loaded& loaded) {
    for (const EngineLayer& layer : loaded.layers) texts_.push_back(text_of(layer));
  }
  bool setExecutionContext(const nvinfer1::IExecutionContext*) noexcept override { return true; }
  const char* getLayerInformation(std::int32_t layer,
                                  nvinfer1::LayerInformationFormat) const noexcept override {
    return texts_.at(static_cast<std::size_t>(layer)).c_str();
  }

 private:
  static std::string text_of(const EngineLayer& layer) {
    static const std::map<std::string, std::string> kinds = {
        {"Concat", "Reformat"}, {"Flatten", "NoOp"}, {"Reshape", "NoOp"}, {"Unsqueeze", "NoOp"}};
    const auto kind = kinds.find(layer.type);
    return R"({"Name": ")" + layer.name + R"(", "LayerType": ")" +
           (kind == kinds.end() ? layer.type : kind->second) + R"(", "Outputs": [{"Name": ")" +
           layer.output +
           R"(", "Dimensions": [1,2], "Format/Datatype": "Row major linear FP32"}]})";
  }

  std::vector<std::string> texts_;
};

class CudaEngine : public nvinfer1::ICudaEngine {
 public:
  CudaEngine(Loaded loaded, nvinfer1::ILogger& logger)
      : loaded_(std::move(loaded)), logger_(logger) {
    const ModelInfo& info = loaded_.model->info();
    for (const TensorInfo& one : info.inputs) names_.push_back(one.name);
    for (const TensorInfo& one : info.outputs) names_.push_back(one.name);
  }

  nvinfer1::IExecutionContext* createExecutionContext() noexcept override {
    return new Context(loaded_, logger_);
  }
  nvinfer1::IEngineInspector* createEngineInspector() const noexcept override {
    return new Inspector(loaded_);
  }
  std::int32_t getNbLayers() const noexcept override {
    return static_cast<std::int32_t>(loaded_.layers.size());
  }
  std::int32_t getNbIOTensors() const noexcept override {
    return static_cast<std::int32_t>(names_.size());
  }
  const char* getIOTensorName(std::int32_t index) const noexcept override {
    return names_.at(static_cast<std::size_t>(index)).c_str();
  }
  nvinfer1::TensorIOMode getTensorIOMode(const char* name) const noexcept override {
    return loaded_.input(name) != nullptr ? nvinfer1::TensorIOMode::kINPUT
                                          : nvinfer1::TensorIOMode::kOUTPUT;
  }
  DataType getTensorDataType(const char* name) const noexcept override {
    const auto found = kTypes.find(loaded_.tensor(name).dtype);
    return found == kTypes.end() ? DataType::kFP8 : found->second;
  }
  Dims getTensorShape(const char* name) const noexcept override {
    return to_dims(*loaded_.tensor(name).dims);
  }
  bool isShapeInferenceIO(const char*) const noexcept override { return false; }
  std::int64_t getDeviceMemorySizeV2() const noexcept override { return 65536; }

 private:
  Loaded loaded_;
  nvinfer1::ILogger& logger_;
  std::vector<std::string> names_;
};

class Runtime : public nvinfer1::IRuntime {
 public:
  explicit Runtime(nvinfer1::ILogger& logger) : logger_(logger) {}

  void setDLACore(std::int32_t) noexcept override {}
  nvinfer1::ICudaEngine* deserializeCudaEngine(const void* content,
                                               std::size_t size) noexcept override {
    auto engine = deserialize(std::string(static_cast<const char*>(content), size));
    if (!engine) {
      complain(logger_, "the engine plan file is not compatible with this version of TensorRT");
      return nullptr;
    }
    Result<std::unique_ptr<Model>> model = open_model(engine->model, engine->plugins);
    if (!model) {
      complain(logger_, model.failure().message);
      return nullptr;
    }
    std::vector<EngineLayer> layers = layers_of(*engine);
    return new CudaEngine({std::move(*engine), std::move(model).value(), std::move(layers)},
                          logger_);
  }

 private:
  nvinfer1::ILogger& logger_;
};

}  // namespace
}  // namespace dx::stand_in

void* createInferRuntime_INTERNAL(void* logger, std::int32_t) noexcept {
  return static_cast<nvinfer1::IRuntime*>(
      new dx::stand_in::Runtime(*static_cast<nvinfer1::ILogger*>(logger)));
}
