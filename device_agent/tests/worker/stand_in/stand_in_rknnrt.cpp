// A stand-in for Rockchip's librknnrt.so in tests: what its documentation says of these calls,
// computed by ONNX Runtime. Its models are those of tests/worker/rknn_file.h, and those of the
// toolkit whose source lies in a folder by a hash of their file: models=FOLDER.
//   version=2.3.2 driver=0.9.6   what it says of itself and the kernel
//   type=int8 scale=S zero=Z     elements of inputs (else float16, or float32); `stride=W` a row's
//   init=-6 run=-2 crash hang    what goes wrong; crash-run and hang-run: once it runs
//   memory=BYTES shared=BYTES    of the largest model that it loads, of memory that it gives
//   cores=N                      of the NPU
//   cpu=Pad,Softmax              operators that it leaves to the processor; old-table: their layout
//   asked=FILE                   into which it writes what was asked of it
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <tuple>
#include <utility>

#include "computes.h"
#include "onnx_nodes.h"
#include "workers/rknn/elements.h"
#include "workers/rknn/rknn_api.h"

namespace dx::stand_in {
namespace {

using namespace dx::rknn;

constexpr int kBadParameter = -5;
constexpr int kBadOutput = -9;
constexpr std::size_t kHead = 64;
constexpr std::uint32_t kInternal = 65536;

struct Loaded {
  std::unique_ptr<Computes> model;
  std::vector<Node> nodes;
  std::vector<Attributes> inputs;
  std::vector<Attributes> outputs;
  Floats given;
  Floats found;
  std::map<std::string, std::pair<dx::rknn::Memory*, Attributes>> shared;
  std::uint32_t bytes = 0;
  bool keeps_times = false;
  bool fetched = false;
  std::string table;
};

Loaded& of(Context context) { return *reinterpret_cast<Loaded*>(context); }

void note(const std::string& text) {
  if (const auto file = word("asked")) std::ofstream(*file, std::ios::app) << text << '\n';
}

void set_type(Attributes& attributes) {
  const std::string type = word("type").value_or("float32");
  attributes.type = type == "int8" ? kInt8 : type == "float16" ? kFloat16 : kFloat32;
  if (attributes.type != kInt8) return;
  attributes.quantization = kAffine;
  attributes.scale = std::strtof(word("scale").value_or("0.0078125").c_str(), nullptr);
  attributes.zero_point = static_cast<std::int32_t>(number("zero", 0));
}

Attributes attributes_of(const Computed& info, std::size_t index, bool is_input) {
  Attributes made{};
  made.index = static_cast<std::uint32_t>(index);
  (void)std::snprintf(made.name, sizeof made.name, "%s", info.name.c_str());
  std::vector<std::int64_t> dims = info.dims;
  made.format = kNoFormat;
  if (dims.size() == 4) {
    made.format = is_input ? kNhwc : kNchw;
    if (is_input) dims = {dims[0], dims[2], dims[3], dims[1]};
  }
  made.dim_count = static_cast<std::uint32_t>(dims.size());
  made.elements = 1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    made.dims[i] = static_cast<std::uint32_t>(dims[i]);
    made.elements *= made.dims[i];
  }
  set_type(made);
  const std::uint32_t size = made.type == kInt8 ? 1 : made.type == kFloat16 ? 2 : 4;
  made.bytes = made.elements * size;
  made.bytes_with_stride = made.bytes;
  if (is_input && dims.size() == 4) {
    made.width_stride = static_cast<std::uint32_t>(number("stride", made.dims[2]));
    made.bytes_with_stride = made.bytes / made.dims[2] * made.width_stride;
  }
  return made;
}

// In ONNX's order.
std::vector<float> ordered(const Attributes& attributes, const std::vector<float>& values) {
  std::string data(values.size() * sizeof(float), '\0');
  std::memcpy(data.data(), values.data(), data.size());
  const std::string moved = in_onnx_order(data, attributes);
  std::vector<float> made(values.size());
  std::memcpy(made.data(), moved.data(), moved.size());
  return made;
}

float from_half(std::uint16_t half) {
  const int exponent = half >> 10 & 31;
  const float fraction = static_cast<float>(half & 1023) / 1024;
  const float size = exponent == 0 ? fraction * 0x1p-14F
                                   : (1 + fraction) * std::exp2(static_cast<float>(exponent - 15));
  return (half & 0x8000) != 0 ? -size : size;
}

// What lies in memory that is shared, with the gaps after rows left out.
std::vector<float> values_in(const dx::rknn::Memory& memory, const Attributes& attributes) {
  const bool is_image = attributes.format == kNhwc;
  const std::size_t row =
      is_image ? std::size_t{attributes.dims[2]} * attributes.dims[3] : attributes.elements;
  const std::size_t stride =
      is_image ? std::size_t{attributes.width_stride} * attributes.dims[3] : attributes.elements;
  std::vector<float> values;
  for (std::size_t i = 0; i < attributes.elements; ++i) {
    const std::size_t at = i / row * stride + i % row;
    if (attributes.type == kInt8) {
      const auto code = static_cast<const std::int8_t*>(memory.address)[at];
      values.push_back(static_cast<float>(code - attributes.zero_point) * attributes.scale);
    } else {
      values.push_back(from_half(static_cast<const std::uint16_t*>(memory.address)[at]));
    }
  }
  return values;
}

std::string kind_of(const std::string& type) {
  static const std::map<std::string, std::string> kinds = {
      {"Flatten", "Reshape"}, {"Unsqueeze", "Reshape"}, {"Gemm", "Conv"}};
  const auto found = kinds.find(type);
  return found == kinds.end() ? type : found->second;
}

std::string table_of(const Loaded& loaded) {
  const std::string left = "," + word("cpu").value_or("") + ",";
  const std::string type = word("type").value_or("float32");
  const bool is_old = word("old-table").has_value();
  std::ostringstream out;
  out << "-----\n          Network Layer Information Table\n-----\nID   OpType   DataType Target "
         "InputShape OutputShape "
      << (is_old ? "DDR Cycles     NPU Cycles     Total Cycles   " : "Cycles(DDR/NPU/Total)    ")
      << "Time(us)     MacUsage(%)          WorkLoad(0/1/2)      RW(KB)       FullName\n-----\n";
  int id = 0;
  const auto row = [&](const std::string& kind, const char* target, const std::string& name) {
    out << ++id << "    " << kind << "   "
        << (type == "int8"      ? "INT8"
            : type == "float16" ? "FLOAT16"
                                : "FLOAT32")
        << "  " << target << "   (1,2,3),(4)   (1,16,6,6)   "
        << (is_old ? "10    20    30" : "10/20/30") << "   250    "
        << (kind == "Conv" ? "99.00/0.00/0.00" : "") << "    100.0%/0.0%/0.0%    12    " << kind
        << ":" << name << "\n";
  };
  row("InputOperator", "CPU", "in");
  for (const Node& node : loaded.nodes) {
    const bool is_left = left.find("," + node.type + ",") != std::string::npos;
    row(kind_of(node.type), is_left ? "CPU" : "NPU", node.name);
  }
  row("OutputOperator", "CPU", "out");
  out << "Total Operator Elapsed Per Frame Time(us): " << 250 * id << "\n";
  return out.str();
}

template <class Answer>
int answer(const Answer& found, void* place, std::uint32_t bytes) {
  if (bytes != sizeof found) return kBadParameter;
  std::memcpy(place, &found, sizeof found);
  return kSuccess;
}

int attributes_at(const std::vector<Attributes>& all, void* place, std::uint32_t bytes) {
  const std::uint32_t index = static_cast<Attributes*>(place)->index;
  return index < all.size() ? answer(all[index], place, bytes) : kBadParameter;
}

int versions(void* place, std::uint32_t bytes) {
  Versions told{};
  const std::string library = word("version").value_or("2.5.0") + " (stand-in@2026-11-30)";
  (void)std::snprintf(told.library, sizeof told.library, "%s", library.c_str());
  (void)std::snprintf(told.driver, sizeof told.driver, "%s",
                      word("driver").value_or("0.9.8").c_str());
  return answer(told, place, bytes);
}

// The source of a file that the toolkit made, by FNV-1a of its bytes; nothing where nobody laid it
// there.
std::string source_of(const std::string& file) {
  const auto folder = word("models");
  if (!folder) return "";
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char byte : file) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
  std::ifstream source(*folder + "/" + std::to_string(hash) + ".onnx", std::ios::binary);
  return {std::istreambuf_iterator<char>(source), std::istreambuf_iterator<char>()};
}

int memory_sizes(const Loaded& loaded, void* place, std::uint32_t bytes) {
  MemorySizes sizes{};
  sizes.weights = loaded.bytes;
  sizes.internal = kInternal;
  sizes.all = std::uint64_t{loaded.bytes} + kInternal;
  return answer(sizes, place, bytes);
}

}  // namespace
}  // namespace dx::stand_in

using namespace dx::stand_in;

extern "C" {

// As the real one holds its version, for who reads its file.
extern const char kVersionText[];
const char kVersionText[] = "librknnrt version: 2.5.0 (stand-in@2026-11-30T00:00:00)";

int rknn_init(Context* context, void* model, std::uint32_t bytes, std::uint32_t flags, void*) {
  misbehave("");
  if (const long code = number("init", 0); code != 0) return static_cast<int>(code);
  if (const long most = number("memory", -1); most >= 0 && bytes > most) return kNoMemory;
  const std::string content(static_cast<const char*>(model), bytes);
  std::uint64_t size = 0;
  std::memcpy(&size, content.data() + 16, sizeof size);
  std::string onnx = source_of(content);
  if (onnx.empty()) onnx = content.substr(kHead, size);
  auto loaded = std::make_unique<Loaded>();
  std::string why;
  loaded->model = Computes::open(onnx, why);
  if (loaded->model == nullptr) {
    note(why);
    return kModelInvalid;
  }
  loaded->nodes = nodes_of(onnx);
  loaded->bytes = bytes;
  loaded->keeps_times = (flags & kCollectTimes) != 0;
  const Computes& net = *loaded->model;
  for (const auto& [infos, all, is_input] : {std::tuple{&net.inputs(), &loaded->inputs, true},
                                             std::tuple{&net.outputs(), &loaded->outputs, false}}) {
    for (std::size_t i = 0; i < infos->size(); ++i) {
      all->push_back(attributes_of((*infos)[i], i, is_input));
    }
  }
  *context = reinterpret_cast<Context>(loaded.release());
  return kSuccess;
}

int rknn_destroy(Context context) {
  delete &of(context);
  return kSuccess;
}

int rknn_query(Context context, Query query, void* place, std::uint32_t bytes) {
  Loaded& loaded = of(context);
  switch (query) {
    case kCounts:
      return answer(Counts{static_cast<std::uint32_t>(loaded.inputs.size()),
                           static_cast<std::uint32_t>(loaded.outputs.size())},
                    place, bytes);
    case kInputAttributes:
      return attributes_at(loaded.inputs, place, bytes);
    case kOutputAttributes:
      return attributes_at(loaded.outputs, place, bytes);
    case kLayerTimes:
      if (!loaded.keeps_times || !loaded.fetched) return kBadParameter;
      loaded.table = table_of(loaded);
      return answer(TimesText{loaded.table.data(), loaded.table.size()}, place, bytes);
    case kVersions:
      return versions(place, bytes);
    case kMemory:
      return memory_sizes(loaded, place, bytes);
  }
  return kBadParameter;
}

int rknn_inputs_set(Context context, std::uint32_t count, Input* inputs) {
  Loaded& loaded = of(context);
  if (count != loaded.inputs.size()) return kBadParameter;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Input& input = inputs[i];
    const Attributes& attributes = loaded.inputs.at(input.index);
    const bool fits = input.type == kFloat32 && input.passes_through == 0 &&
                      input.format == attributes.format &&
                      input.bytes == attributes.elements * sizeof(float);
    if (!fits) return kBadParameter;
    const auto* const values = static_cast<const float*>(input.data);
    loaded.given[attributes.name] = ordered(attributes, {values, values + attributes.elements});
  }
  return kSuccess;
}

int rknn_set_core_mask(Context, CoreMask mask) {
  note("mask=" + std::to_string(mask));
  const long cores = number("cores", 3);
  return mask != kCoreAll && mask >> cores != 0 ? kBadParameter : kSuccess;
}

int rknn_run(Context context, void*) {
  Loaded& loaded = of(context);
  misbehave("-run");
  if (const long code = number("run", 0); code != 0) return static_cast<int>(code);
  loaded.fetched = false;
  for (const Attributes& attributes : loaded.inputs) {
    const auto shared = loaded.shared.find(attributes.name);
    if (shared == loaded.shared.end()) continue;
    loaded.given[attributes.name] =
        ordered(attributes, values_in(*shared->second.first, shared->second.second));
  }
  if (loaded.given.size() != loaded.inputs.size()) return kBadParameter;
  std::string why;
  if (!loaded.model->run(loaded.given, loaded.found, why)) return -1;
  for (const auto& [name, values] : loaded.found) {
    const auto shared = loaded.shared.find(name);
    if (shared == loaded.shared.end()) continue;
    std::memcpy(shared->second.first->address, values.data(), values.size() * sizeof(float));
  }
  return kSuccess;
}

int rknn_outputs_get(Context context, std::uint32_t count, Output* outputs, void*) {
  Loaded& loaded = of(context);
  if (count != loaded.outputs.size() || loaded.found.size() != count) return kBadOutput;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::vector<float>& found = loaded.found.at(loaded.outputs.at(outputs[i].index).name);
    const std::size_t bytes = found.size() * sizeof(float);
    const bool fits =
        outputs[i].wants_float == 1 && outputs[i].is_ours == 1 && outputs[i].bytes == bytes;
    if (!fits) return kBadOutput;
    std::memcpy(outputs[i].data, found.data(), bytes);
  }
  loaded.fetched = true;
  return kSuccess;
}

int rknn_outputs_release(Context, std::uint32_t, Output*) { return kSuccess; }

dx::rknn::Memory* rknn_create_mem(Context, std::uint32_t bytes) {
  note("shared=" + std::to_string(bytes));
  if (const long most = number("shared", -1); most >= 0 && bytes > most) return nullptr;
  auto* const memory = new dx::rknn::Memory{};
  memory->address = ::operator new(bytes);
  memory->bytes = bytes;
  return memory;
}

int rknn_destroy_mem(Context, dx::rknn::Memory* memory) {
  ::operator delete(memory->address);
  delete memory;
  return kSuccess;
}

int rknn_set_io_mem(Context context, dx::rknn::Memory* memory, Attributes* attributes) {
  Loaded& loaded = of(context);
  const auto is_same = [attributes](const Attributes& one) {
    return std::strcmp(one.name, attributes->name) == 0;
  };
  const bool is_input = std::any_of(loaded.inputs.begin(), loaded.inputs.end(), is_same);
  const std::size_t needed =
      is_input ? attributes->bytes_with_stride : attributes->elements * sizeof(float);
  if (memory->bytes < needed || (!is_input && attributes->type != kFloat32)) return kBadParameter;
  loaded.shared[attributes->name] = {memory, *attributes};
  return kSuccess;
}

}  // extern "C"
