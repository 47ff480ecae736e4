// Plugins within ONNX Runtime: each node is an operator of its own, of a domain of its own.
#include "stand_in_plugins.h"

#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include <algorithm>
#include <array>
#include <list>
#include <utility>

#include "cuda_runtime_api.h"
#include "stand_in.h"
#include "stand_in_fields.h"

namespace dx::stand_in {
namespace {

using nvinfer1::DataType;

constexpr const char* kDomain = "stand.in";
// The least that has operators which tell their shapes.
constexpr std::uint32_t kOrtApi = 18;

// As they are tried.
constexpr std::array<std::pair<DataType, ONNXTensorElementDataType>, 6> kTypes = {{
    {DataType::kFLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT},
    {DataType::kHALF, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16},
    {DataType::kINT64, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64},
    {DataType::kINT32, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32},
    {DataType::kBOOL, ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL},
    {DataType::kINT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8},
}};

ONNXTensorElementDataType onnx_type(DataType type) {
  for (const auto& [ours, onnx] : kTypes) {
    if (ours == type) return onnx;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

std::size_t input_count(const PluginNode& plugin) { return plugin.node.inputs.size(); }
std::size_t output_count(const PluginNode& plugin) { return plugin.node.outputs.size(); }

Descs descs(const std::vector<DataType>& types, const std::vector<nvinfer1::Dims>& dims) {
  Descs made(dims.size());
  for (std::size_t i = 0; i < made.size(); ++i) {
    made[i].dims = dims[i];
    made[i].type = types[i];
  }
  return made;
}

Descs outputs_of(const PluginNode& plugin, const Descs& inputs) {
  const auto first = plugin.types.begin() + static_cast<std::ptrdiff_t>(inputs.size());
  return descs({first, plugin.types.end()}, plugin.made->shapes(inputs));
}

// Of a tensor of these sizes, of whatever elements.
std::size_t most_bytes(const nvinfer1::Dims& dims) {
  std::size_t bytes = sizeof(std::int64_t);
  for (std::int32_t i = 0; i < dims.nbDims; ++i) bytes *= static_cast<std::size_t>(dims.d[i]);
  return bytes;
}

struct PluginOp : OrtCustomOp {
  std::shared_ptr<PluginNode> plugin;
  std::string name;
  const OrtApi* api = nullptr;
};
PluginNode& plugin_of(const OrtCustomOp* op) { return *static_cast<const PluginOp*>(op)->plugin; }

// A node that runs: what an engine kept of it, read again.
struct Running {
  const PluginOp& op;
  std::unique_ptr<Plugin> plugin;
};

OrtStatus* failed(const OrtApi& api, const PluginNode& plugin, const char* what) {
  const std::string text = "the plugin '" + plugin.node.name + "' " + what;
  return api.CreateStatus(ORT_RUNTIME_EXCEPTION, text.c_str());
}

// False where a size is open.
bool read_dims(const OrtApi& api, const OrtTensorTypeAndShapeInfo* info, nvinfer1::Dims& dims) {
  std::size_t rank = 0;
  dims = {};
  if (api.GetDimensionsCount(info, &rank) != nullptr || rank > std::size(dims.d)) return false;
  if (api.GetDimensions(info, dims.d, rank) != nullptr) return false;
  dims.nbDims = static_cast<std::int32_t>(rank);
  return std::all_of(dims.d, dims.d + rank, [](std::int64_t size) { return size >= 0; });
}

// Sizes go through the model as they do through a network; where one is open, so are those behind.
OrtStatus* ORT_API_CALL infer_shapes(const OrtCustomOp* op, OrtShapeInferContext* context) {
  const OrtApi& api = *static_cast<const PluginOp*>(op)->api;
  PluginNode& plugin = plugin_of(op);
  std::vector<nvinfer1::Dims> dims(input_count(plugin));
  for (std::size_t i = 0; i < dims.size(); ++i) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    if (OrtStatus* status = api.ShapeInferContext_GetInputTypeShape(context, i, &info)) {
      return status;
    }
    if (!read_dims(api, info, dims[i])) return nullptr;
  }
  plugin.inputs = descs(plugin.types, dims);
  const Descs made = outputs_of(plugin, plugin.inputs);
  for (std::size_t i = 0; i < std::min(made.size(), output_count(plugin)); ++i) {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    OrtStatus* status = api.CreateTensorTypeAndShapeInfo(&info);
    if (status == nullptr) status = api.SetTensorElementType(info, onnx_type(made[i].type));
    const auto rank = static_cast<std::size_t>(made[i].dims.nbDims);
    if (status == nullptr) status = api.SetDimensions(info, made[i].dims.d, rank);
    if (status == nullptr) status = api.ShapeInferContext_SetOutputTypeShape(context, i, info);
    api.ReleaseTensorTypeAndShapeInfo(info);
    if (status != nullptr) return status;
  }
  return nullptr;
}

OrtStatus* ORT_API_CALL create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo*,
                               void** kernel) {
  const PluginNode& plugin = plugin_of(op);
  auto running = std::make_unique<Running>(Running{*static_cast<const PluginOp*>(op), nullptr});
  // A builder only looks at the model.
  if (!plugin.kept.empty()) {
    running->plugin = read_plugin(plugin.node, plugin.kept);
    if (running->plugin == nullptr) return failed(*api, plugin, "is not read from the engine");
  }
  *kernel = running.release();
  return nullptr;
}

OrtStatus* take_inputs(const OrtApi& api, OrtKernelContext* context, std::size_t count,
                       std::vector<nvinfer1::Dims>& dims, std::vector<const void*>& places) {
  for (std::size_t i = 0; i < count; ++i) {
    const OrtValue* value = nullptr;
    OrtTensorTypeAndShapeInfo* info = nullptr;
    void* data = nullptr;
    if (OrtStatus* status = api.KernelContext_GetInput(context, i, &value)) return status;
    if (OrtStatus* status = api.GetTensorTypeAndShape(value, &info)) return status;
    (void)read_dims(api, info, dims.emplace_back());
    api.ReleaseTensorTypeAndShapeInfo(info);
    // It is only read from.
    auto* const read = const_cast<OrtValue*>(value);
    if (OrtStatus* status = api.GetTensorMutableData(read, &data)) return status;
    places.push_back(data);
  }
  return nullptr;
}

OrtStatus* ORT_API_CALL compute(void* kernel, OrtKernelContext* context) {
  const auto& running = *static_cast<const Running*>(kernel);
  const OrtApi& api = *running.op.api;
  const PluginNode& plugin = *running.op.plugin;
  std::vector<nvinfer1::Dims> dims;
  std::vector<const void*> from;
  if (OrtStatus* status = take_inputs(api, context, input_count(plugin), dims, from)) return status;
  const Descs inputs = descs(plugin.types, dims);
  const Descs outputs = outputs_of(plugin, inputs);
  std::vector<void*> to;
  // A node may leave out the last of a plugin's outputs, which are computed all the same.
  std::list<std::vector<char>> unread;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (i >= output_count(plugin)) {
      to.push_back(unread.emplace_back(most_bytes(outputs[i].dims)).data());
      continue;
    }
    OrtValue* value = nullptr;
    const auto rank = static_cast<std::size_t>(outputs[i].dims.nbDims);
    if (OrtStatus* status =
            api.KernelContext_GetOutput(context, i, outputs[i].dims.d, rank, &value)) {
      return status;
    }
    if (OrtStatus* status = api.GetTensorMutableData(value, &to.emplace_back())) return status;
  }
  // Sanitizers see what goes beyond this.
  std::vector<char> workspace(plugin.workspace);
  CUstream_st stream;
  if (running.plugin == nullptr ||
      !running.plugin->run(inputs, outputs, from, to, workspace.data(), &stream)) {
    return failed(api, plugin, "did not run");
  }
  (void)cudaStreamSynchronize(&stream);
  return nullptr;
}

std::unique_ptr<PluginOp> op_of(const OrtApi& api, const std::shared_ptr<PluginNode>& plugin) {
  auto made = std::make_unique<PluginOp>();
  static_cast<OrtCustomOp&>(*made) = {};
  made->plugin = plugin;
  made->name = "plugin" + std::to_string(plugin->place);
  made->api = &api;
  made->version = kOrtApi;
  made->GetName = [](const OrtCustomOp* op) {
    return static_cast<const PluginOp*>(op)->name.c_str();
  };
  made->GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };
  made->GetInputTypeCount = [](const OrtCustomOp* op) { return input_count(plugin_of(op)); };
  made->GetInputType = [](const OrtCustomOp* op, std::size_t i) {
    return onnx_type(plugin_of(op).types[i]);
  };
  made->GetOutputTypeCount = [](const OrtCustomOp* op) { return output_count(plugin_of(op)); };
  made->GetOutputType = [](const OrtCustomOp* op, std::size_t i) {
    return onnx_type(plugin_of(op).types[input_count(plugin_of(op)) + i]);
  };
  made->GetInputCharacteristic = [](const OrtCustomOp*, std::size_t) {
    return INPUT_OUTPUT_REQUIRED;
  };
  made->GetOutputCharacteristic = [](const OrtCustomOp*, std::size_t) {
    return INPUT_OUTPUT_REQUIRED;
  };
  made->GetInputMemoryType = [](const OrtCustomOp*, std::size_t) { return OrtMemTypeDefault; };
  made->InferOutputShapeFn = infer_shapes;
  made->CreateKernelV2 = create;
  made->KernelComputeV2 = compute;
  made->KernelDestroy = [](void* kernel) { delete static_cast<Running*>(kernel); };
  return made;
}

// Those of the session that is being opened.
const std::vector<std::shared_ptr<PluginNode>>* opening = nullptr;

std::string renamed(std::string_view node, std::size_t place) {
  std::string made;
  for (Fields fields(node); fields.next();) {
    constexpr std::uint64_t kType = 4;
    constexpr std::uint64_t kAttribute = 5;
    constexpr std::uint64_t kOfDomain = 7;
    const bool is_replaced =
        fields.number == kType || fields.number == kAttribute || fields.number == kOfDomain;
    if (!is_replaced) made.append(fields.raw);
  }
  return made + field_of(4, "plugin" + std::to_string(place)) + field_of(7, kDomain);
}

// The model with these nodes in the domain of their own.
std::string rewritten(const std::string& model,
                      const std::vector<std::shared_ptr<PluginNode>>& plugins) {
  std::size_t place = 0;
  const auto change_node = [&](std::string_view node) {
    const std::size_t here = place++;
    const bool is_one = std::any_of(plugins.begin(), plugins.end(),
                                    [here](const auto& one) { return one->place == here; });
    return is_one ? renamed(node, here) : std::string(node);
  };
  const auto change_graph = [&](std::string_view graph) {
    return with_field(graph, 1, change_node);
  };
  // An opset of version 1.
  return with_field(model, 7, change_graph) + field_of(8, field_of(1, kDomain) + "\x10\x01");
}

}  // namespace

bool settle_types(PluginNode& plugin) {
  Descs all(input_count(plugin) + plugin.made->outputs());
  Descs inputs;
  for (std::size_t place = 0; place < input_count(plugin); ++place) {
    const auto fits = std::find_if(kTypes.begin(), kTypes.end(), [&](const auto& type) {
      all[place].type = type.first;
      return plugin.made->takes(place, all, input_count(plugin));
    });
    if (fits == kTypes.end()) return false;
    inputs.push_back(all[place]);
    plugin.types.push_back(all[place].type);
  }
  const std::vector<DataType> made = plugin.made->output_types(inputs);
  if (made.size() < output_count(plugin)) return false;
  for (std::size_t i = 0; i < made.size(); ++i) {
    const std::size_t place = input_count(plugin) + i;
    all[place].type = made[i];
    if (!plugin.made->takes(place, all, input_count(plugin))) return false;
    plugin.types.push_back(made[i]);
  }
  return true;
}

bool finish(PluginNode& plugin) {
  if (plugin.inputs.size() != input_count(plugin)) return false;
  const Descs outputs = outputs_of(plugin, plugin.inputs);
  if (outputs.empty()) return false;
  plugin.workspace = plugin.made->configure(plugin.inputs, outputs);
  plugin.kept = plugin.made->kept();
  return true;
}

Result<std::unique_ptr<Model>> open_model(const std::string& model,
                                          const std::vector<std::shared_ptr<PluginNode>>& plugins) {
  if (plugins.empty()) return open_model(model);
  Dl_info own{};
  (void)dladdr(reinterpret_cast<const void*>(&rewritten), &own);
  opening = &plugins;
  auto opened = open_model(rewritten(model, plugins), own.dli_fname);
  opening = nullptr;
  return opened;
}

}  // namespace dx::stand_in

// As ONNX Runtime calls it for a library of operators: here for that of each session.
extern "C" __attribute__((visibility("default"))) OrtStatus* ORT_API_CALL
RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  using namespace dx::stand_in;
  const OrtApi& api = *base->GetApi(kOrtApi);
  // Sessions take them for as long as they live.
  static auto* const kept = new std::vector<std::unique_ptr<PluginOp>>();
  static auto* const domains = new std::vector<OrtCustomOpDomain*>();
  OrtCustomOpDomain*& domain = domains->emplace_back();
  if (OrtStatus* status = api.CreateCustomOpDomain(kDomain, &domain)) return status;
  for (const auto& plugin : *opening) {
    kept->push_back(op_of(api, plugin));
    if (OrtStatus* status = api.CustomOpDomain_Add(domain, kept->back().get())) return status;
  }
  return api.AddCustomOpDomain(options, domain);
}
