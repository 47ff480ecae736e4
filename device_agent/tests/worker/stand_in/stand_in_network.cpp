#include "stand_in_network.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string_view>
#include <utility>

#include "cuda_runtime_api.h"
#include "onnxruntime_facts.h"
#include "stand_in.h"
#include "workers/onnxruntime/library.h"
#include "workers/onnxruntime/onnx_model.h"

namespace dx::stand_in {
namespace {

// Fields of bytes of a sound protobuf message; others are passed over.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  bool next() {
    while (!rest_.empty()) {
      const std::uint64_t tag = varint();
      number = tag >> 3;
      const std::uint64_t size = (tag & 7) == 2 ? varint() : (tag & 7) == 1 ? 8 : 4;
      if ((tag & 7) == 0) {
        (void)varint();
        continue;
      }
      content = rest_.substr(0, size);
      rest_.remove_prefix(content.size());
      if ((tag & 7) == 2) return true;
    }
    return false;
  }

  std::uint64_t number = 0;
  std::string_view content;

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    return value;
  }

  std::string_view rest_;
};

Node node_of(std::string_view content) {
  Node node;
  for (Fields fields(content); fields.next();) {
    if (fields.number == 2) node.outputs.emplace_back(fields.content);
    if (fields.number == 3) node.name = std::string(fields.content);
    if (fields.number == 4) node.type = std::string(fields.content);
  }
  return node;
}

std::string origin() {
  return "stand-in engine " + std::to_string(number("version", NV_TENSORRT_VERSION)) + " " +
         std::to_string(number("gpu", 87));
}

void write_dims(std::ostream& out, const std::vector<std::int64_t>& dims) {
  for (const std::int64_t dim : dims) out << ' ' << dim;
}

}  // namespace

std::vector<Node> nodes_of(const std::string& model) {
  std::vector<Node> nodes;
  for (Fields fields(model); fields.next();) {
    if (fields.number != 7) continue;
    for (Fields graph(fields.content); graph.next();) {
      if (graph.number == 1) nodes.push_back(node_of(graph.content));
    }
  }
  return nodes;
}

Result<std::unique_ptr<Model>> open_model(const std::string& model) {
  const int file = ::memfd_create("model", MFD_CLOEXEC);
  const ssize_t written = ::write(file, model.data(), model.size());
  Load load;
  load.files = {{"onnx", "/proc/self/fd/" + std::to_string(file)},
                {"library", DX_ONNXRUNTIME_LIBRARY, library_name()}};
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
    const bool is_gpu =
        engine.lacks == "gpu" || engine.lacks.find("," + node.type + ",") != std::string::npos;
    if (is_gpu) {
      first.clear();
      layers.push_back({node.name, node.type, node.outputs.front()});
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
  in.get();
  engine->model = content.substr(static_cast<std::size_t>(in.tellg()));
  return engine;
}

}  // namespace dx::stand_in
