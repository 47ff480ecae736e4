#include "stand_in_network.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <utility>

#include "cuda_runtime_api.h"
#include "onnxruntime_facts.h"
#include "stand_in.h"
#include "stand_in_plugins.h"
#include "workers/onnxruntime/library.h"
#include "workers/onnxruntime/onnx_model.h"

namespace dx::stand_in {
namespace {

std::string origin() {
  return "stand-in engine " + std::to_string(number("version", NV_TENSORRT_VERSION)) + " " +
         std::to_string(number("gpu", 87));
}

// What an engine kept of its plugins, but for the model.
std::vector<std::shared_ptr<PluginNode>> read_kept(std::istream& in) {
  std::size_t count = 0;
  in >> count;
  std::vector<std::shared_ptr<PluginNode>> plugins(count);
  for (auto& plugin : plugins) {
    plugin = std::make_shared<PluginNode>();
    std::size_t size = 0;
    in >> plugin->place >> plugin->workspace >> size;
    in.get();
    plugin->kept.resize(size);
    in.read(plugin->kept.data(), static_cast<std::streamsize>(size));
  }
  in.get();
  return plugins;
}

// An engine has the sizes of its plugins' outputs; here they come from the plugin itself, made
// anew.
bool add_plugins(Engine& engine, const std::vector<std::shared_ptr<PluginNode>>& kept) {
  const std::vector<Node> nodes = nodes_of(engine.model);
  for (const auto& plugin : kept) {
    plugin->node = nodes.at(plugin->place);
    plugin->made = make_plugin(plugin->node);
    if (plugin->made == nullptr || !settle_types(*plugin)) return false;
    engine.plugins.push_back(plugin);
  }
  return true;
}

void write_dims(std::ostream& out, const std::vector<std::int64_t>& dims) {
  for (const std::int64_t dim : dims) out << ' ' << dim;
}

}  // namespace

Result<std::unique_ptr<Model>> open_model(const std::string& model, const std::string& operators) {
  const int file = ::memfd_create("model", MFD_CLOEXEC);
  const ssize_t written = ::write(file, model.data(), model.size());
  Load load;
  load.files = {{"onnx", "/proc/self/fd/" + std::to_string(file)},
                {"library", DX_ONNXRUNTIME_LIBRARY, library_name()}};
  if (!operators.empty()) load.files.push_back({"library", operators, DX_OPERATOR_LIBRARY});
  load.options.threads = 1;
  load.options.precision = "fp32";
  OnnxRuntime runtime(onnxruntime_worker::kFacts);
  Result<std::unique_ptr<Model>> opened =
      written == static_cast<ssize_t>(model.size())
          ? runtime.load(load)
          : Failure{FailureCode::kInternal, "no file in memory", Phase::kLoad};
  (void)::close(file);
  return opened;
}

void complain(nvinfer1::ILogger& logger, const std::string& text) {
  logger.log(nvinfer1::ILogger::Severity::kERROR, text.c_str());
}

nvinfer1::Dims to_dims(const std::vector<std::int64_t>& dims) {
  nvinfer1::Dims made{};
  made.nbDims = static_cast<std::int32_t>(dims.size());
  std::copy(dims.begin(), dims.end(), made.d);
  return made;
}

std::vector<EngineLayer> layers_of(const Engine& engine) {
  std::vector<EngineLayer> layers;
  std::string first;  // of the nodes that the accelerator computes together
  for (const Node& node : nodes_of(engine.model)) {
    const bool is_gpu = engine.lacks == "gpu" || is_plugin(node) ||
                        engine.lacks.find("," + node.type + ",") != std::string::npos;
    if (is_gpu) {
      first.clear();
      layers.push_back({node.name, is_plugin(node) ? "PluginV3" : node.type, node.outputs.front()});
      continue;
    }
    if (first.empty()) {
      first = node.name;
      layers.emplace_back();
    }
    layers.back() = {"{ForeignNode[" + first + "..." + node.name + "]}", "DLA",
                     node.outputs.front()};
  }
  return layers;
}

std::string serialize(const Engine& engine) {
  std::ostringstream out;
  out << origin() << '\n' << engine.lacks << '\n' << engine.range.size() << '\n';
  for (const auto& [name, sizes] : engine.range) {
    out << name << ' ' << sizes.first.size();
    write_dims(out, sizes.first);
    write_dims(out, sizes.second);
    out << '\n';
  }
  out << engine.plugins.size() << '\n';
  for (const auto& plugin : engine.plugins) {
    out << plugin->place << ' ' << plugin->workspace << ' ' << plugin->kept.size() << '\n'
        << plugin->kept << '\n';
  }
  out << engine.model;
  return out.str();
}

std::unique_ptr<Engine> deserialize(const std::string& content) {
  std::istringstream in(content);
  std::string first;
  std::getline(in, first);
  if (first != origin()) return nullptr;
  auto engine = std::make_unique<Engine>();
  std::getline(in, engine->lacks);
  std::size_t inputs = 0;
  for (in >> inputs; inputs > 0; --inputs) {
    std::string name;
    std::size_t axes = 0;
    in >> name >> axes;
    auto& sizes = engine->range[name];
    sizes = {std::vector<std::int64_t>(axes), std::vector<std::int64_t>(axes)};
    for (std::int64_t& dim : sizes.first) in >> dim;
    for (std::int64_t& dim : sizes.second) in >> dim;
  }
  const auto kept = read_kept(in);
  engine->model = content.substr(static_cast<std::size_t>(in.tellg()));
  return add_plugins(*engine, kept) ? std::move(engine) : nullptr;
}

}  // namespace dx::stand_in
