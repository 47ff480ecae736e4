// A library that stands in for libSNPE.so in tests: its "DLC" is an ONNX file, or what the SDK that
// stands in makes (tests/integration/stand_in_sdk), which ONNX Runtime computes in the caller's
// thread. How it behaves is said by words (see words.h): "have=cpu,gpu"
// (the runtimes of the board), "refuse=dsp" (that runtime refuses a layer), "version=2.10.0",
// "crash", "hang", "crash-run", "hang-run", "fail" (of a run), "int32" (of each tensor).
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "computes.h"
#include "snpe_stand_in.h"

namespace {

using dx::stand_in::Computed;
using dx::stand_in::Computes;
using dx::stand_in::Floats;
using dx::stand_in::word;
using Strings = std::vector<std::string>;
using Shape = std::vector<std::size_t>;

std::string last_error;

const std::map<Snpe_Runtime_t, std::string>& names() {
  static const std::map<Snpe_Runtime_t, std::string> all = {{SNPE_RUNTIME_CPU, "cpu"},
                                                            {SNPE_RUNTIME_GPU, "gpu"},
                                                            {SNPE_RUNTIME_DSP, "dsp"},
                                                            {SNPE_RUNTIME_GPU_FLOAT16, "gpu_fp16"},
                                                            {SNPE_RUNTIME_AIP_FIXED8_TF, "aip"}};
  return all;
}

Snpe_ErrorCode_t fail(const std::string& text) {
  last_error = text;
  return SNPE_ERRORCODE_INTERNAL;
}

struct Buffer {
  char* bytes;
  std::size_t size;
};
using Map = std::map<std::string, Buffer*>;

struct Attributes {
  Shape shape;
};

struct Builder {
  std::string content;
  std::vector<Snpe_Runtime_t> order;
  Strings outputs;
  bool has_buffers = false;
  bool notes_layers = false;
};

struct Log {
  std::string folder;
};

struct Network {
  std::unique_ptr<Computes> model;
  Strings outputs;
  Log log;
};

std::uint32_t number_at(std::string_view content, std::size_t place, std::size_t bytes) {
  std::uint32_t number = 0;
  std::memcpy(&number, content.data() + place, bytes);
  return number;
}

// The ONNX file in a DLC: of an archive whose parts are not compressed the one that says what
// boards compute, "board", else "model"; any other file is one itself.
std::string onnx_in(const std::string& content) {
  constexpr std::size_t kHead = 30;
  const std::string_view archive = content;
  std::map<std::string, std::string> parts;
  std::size_t at = 0;
  while (at + kHead <= archive.size() && archive.substr(at, 4) == "PK\3\4") {
    const std::size_t size = number_at(archive, at + 18, 4);
    const std::size_t name = number_at(archive, at + 26, 2);
    const std::size_t begin = at + kHead + name + number_at(archive, at + 28, 2);
    parts[std::string(archive.substr(at + kHead, name))] = archive.substr(begin, size);
    at = begin + size;
  }
  if (parts.empty()) return content;
  const auto board = parts.find("board");
  return board == parts.end() ? parts["model"] : board->second;
}

const Computed* find(const Computes& model, const std::string& name) {
  for (const auto* const all : {&model.inputs(), &model.outputs()}) {
    for (const Computed& one : *all) {
      if (one.name == name) return &one;
    }
  }
  return nullptr;
}

template <class T>
T& as(void* handle) {
  return *static_cast<T*>(handle);
}

template <class T>
Snpe_ErrorCode_t drop(void* handle) {
  delete static_cast<T*>(handle);
  return SNPE_SUCCESS;
}

Strings names_of(const std::vector<Computed>& all, const Strings& wanted) {
  Strings names;
  for (const Computed& one : all) {
    const bool is_wanted =
        wanted.empty() || std::find(wanted.begin(), wanted.end(), one.name) != wanted.end();
    if (is_wanted) names.push_back(one.name);
  }
  return names;
}

Snpe_ErrorCode_t execute(const Network& network, const Map& inputs, const Map& outputs) {
  Floats given;
  Floats found;
  for (const Computed& input : network.model->inputs()) {
    const auto buffer = inputs.find(input.name);
    if (buffer == inputs.end()) return fail("no buffer for the input " + input.name);
    std::vector<float>& values = given[input.name];
    values.resize(input.elements());
    if (buffer->second->size != values.size() * sizeof(float)) {
      return fail("a buffer has another size");
    }
    std::memcpy(values.data(), buffer->second->bytes, buffer->second->size);
  }
  std::string why;
  if (!network.model->run(given, found, why)) return fail(why);
  for (const auto& [name, values] : found) {
    const auto buffer = outputs.find(name);
    if (buffer == outputs.end()) continue;
    if (buffer->second->size != values.size() * sizeof(float)) {
      return fail("a buffer has another size");
    }
    std::memcpy(buffer->second->bytes, values.data(), buffer->second->size);
  }
  return SNPE_SUCCESS;
}

}  // namespace

const char* Snpe_ErrorCode_GetLastErrorString() { return last_error.c_str(); }

void* Snpe_Util_GetLibraryVersion() {
  return new std::string(word("version").value_or("2.39.0") + ".250926144150_1-stand-in");
}
const char* Snpe_DlVersion_ToString(void* version) { return as<std::string>(version).c_str(); }
Snpe_ErrorCode_t Snpe_DlVersion_Delete(void* version) { return drop<std::string>(version); }

int Snpe_Util_IsRuntimeAvailable(Snpe_Runtime_t runtime) {
  std::istringstream all(word("have").value_or("cpu,gpu,gpu_fp16,dsp,aip"));
  for (std::string one; std::getline(all, one, ',');) {
    if (one == names().at(runtime)) return 1;
  }
  return 0;
}
int Snpe_Util_AddOpPackage(const char* library) {
  if (::access(library, R_OK) == 0) return 1;
  last_error = std::string("no registration library at ") + library;
  return 0;
}
void* Snpe_Util_CreateUserBuffer(void* buffer, size_t size, void* strides, void* encoding) {
  if (encoding == nullptr || (!as<Shape>(strides).empty() && as<Shape>(strides).back() != 4)) {
    last_error = "strides do not fit floats";
    return nullptr;
  }
  return new Buffer{static_cast<char*>(buffer), size};
}
Snpe_ErrorCode_t Snpe_IUserBuffer_Delete(void* buffer) { return drop<Buffer>(buffer); }
void* Snpe_UserBufferEncodingFloat_Create() { return new int(1); }
Snpe_ErrorCode_t Snpe_UserBufferEncodingFloat_Delete(void* encoding) { return drop<int>(encoding); }
void* Snpe_UserBufferMap_Create() { return new Map; }
Snpe_ErrorCode_t Snpe_UserBufferMap_Add(void* map, const char* name, void* buffer) {
  as<Map>(map)[name] = static_cast<Buffer*>(buffer);
  return SNPE_SUCCESS;
}
Snpe_ErrorCode_t Snpe_UserBufferMap_Delete(void* map) { return drop<Map>(map); }

void* Snpe_StringList_Create() { return new Strings; }
Snpe_ErrorCode_t Snpe_StringList_Append(void* list, const char* string) {
  as<Strings>(list).emplace_back(string);
  return SNPE_SUCCESS;
}
size_t Snpe_StringList_Size(void* list) { return as<Strings>(list).size(); }
const char* Snpe_StringList_At(void* list, size_t index) {
  return as<Strings>(list).at(index).c_str();
}
Snpe_ErrorCode_t Snpe_StringList_Delete(void* list) { return drop<Strings>(list); }

void* Snpe_TensorShape_CreateDimsSize(const size_t* dims, size_t size) {
  return new Shape(dims, dims + size);
}
size_t Snpe_TensorShape_Rank(void* shape) { return as<Shape>(shape).size(); }
const size_t* Snpe_TensorShape_GetDimensions(void* shape) { return as<Shape>(shape).data(); }
Snpe_ErrorCode_t Snpe_TensorShape_Delete(void* shape) { return drop<Shape>(shape); }

void* Snpe_IBufferAttributes_GetDims(void* told) { return new Shape(as<Attributes>(told).shape); }
Snpe_UserBufferEncoding_ElementType_t Snpe_IBufferAttributes_GetEncodingType(void*) {
  return word("int32") ? SNPE_USERBUFFERENCODING_ELEMENTTYPE_INT32
                       : SNPE_USERBUFFERENCODING_ELEMENTTYPE_FLOAT;
}
Snpe_ErrorCode_t Snpe_IBufferAttributes_Delete(void* told) { return drop<Attributes>(told); }

void* Snpe_RuntimeList_Create() { return new std::vector<Snpe_Runtime_t>; }
Snpe_ErrorCode_t Snpe_RuntimeList_Add(void* list, Snpe_Runtime_t runtime) {
  as<std::vector<Snpe_Runtime_t>>(list).push_back(runtime);
  return SNPE_SUCCESS;
}
Snpe_ErrorCode_t Snpe_RuntimeList_Delete(void* list) {
  return drop<std::vector<Snpe_Runtime_t>>(list);
}

void* Snpe_DlContainer_Open(const char* path) {
  std::ifstream file(path, std::ios::binary);
  auto content = std::make_unique<std::string>(std::istreambuf_iterator<char>(file),
                                               std::istreambuf_iterator<char>());
  if (!content->empty()) return content.release();
  last_error = "error_code=302; the container cannot be opened";
  return nullptr;
}
Snpe_ErrorCode_t Snpe_DlContainer_Delete(void* container) { return drop<std::string>(container); }

void* Snpe_SNPEBuilder_Create(void* container) {
  auto builder = std::make_unique<Builder>();
  builder->content = as<std::string>(container);
  return builder.release();
}
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetRuntimeProcessorOrder(void* builder, void* list) {
  as<Builder>(builder).order = as<std::vector<Snpe_Runtime_t>>(list);
  return SNPE_SUCCESS;
}
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetOutputTensors(void* builder, void* list) {
  as<Builder>(builder).outputs = as<Strings>(list);
  return SNPE_SUCCESS;
}
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetPerformanceProfile(void*, Snpe_PerformanceProfile_t profile) {
  return profile == SNPE_PERFORMANCE_PROFILE_SYSTEM_SETTINGS ? fail("no system settings")
                                                             : SNPE_SUCCESS;
}
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetProfilingLevel(void* builder, Snpe_ProfilingLevel_t level) {
  as<Builder>(builder).notes_layers = level == SNPE_PROFILING_LEVEL_DETAILED;
  return SNPE_SUCCESS;
}
Snpe_ErrorCode_t Snpe_SNPEBuilder_SetUseUserSuppliedBuffers(void* builder, int used) {
  as<Builder>(builder).has_buffers = used != 0;
  return SNPE_SUCCESS;
}
void* Snpe_SNPEBuilder_Build(void* handle) {
  const Builder& builder = as<Builder>(handle);
  dx::stand_in::misbehave("");
  const std::string refused = word("refuse").value_or("");
  const bool all_refuse =
      std::all_of(builder.order.begin(), builder.order.end(),
                  [&refused](Snpe_Runtime_t runtime) { return names().at(runtime) == refused; });
  if (all_refuse || !builder.has_buffers) {
    last_error = "error_code=400; layer conv is not supported by " + refused;
    return nullptr;
  }
  std::string why;
  std::unique_ptr<Computes> model = Computes::open(onnx_in(builder.content), why);
  if (model == nullptr) {
    last_error = "error_code=309; " + why;
    return nullptr;
  }
  auto network = std::make_unique<Network>();
  network->model = std::move(model);
  network->outputs = builder.outputs;
  return network.release();
}
Snpe_ErrorCode_t Snpe_SNPEBuilder_Delete(void* builder) { return drop<Builder>(builder); }

void* Snpe_SNPE_GetInputTensorNames(void* network) {
  return new Strings(names_of(as<Network>(network).model->inputs(), {}));
}
void* Snpe_SNPE_GetOutputTensorNames(void* network) {
  const Network& built = as<Network>(network);
  return new Strings(names_of(built.model->outputs(), built.outputs));
}
void* Snpe_SNPE_GetInputOutputBufferAttributes(void* network, const char* name) {
  const Computed* const info = find(*as<Network>(network).model, name);
  if (info == nullptr) return nullptr;
  auto told = std::make_unique<Attributes>();
  for (const std::int64_t dim : info->dims) told->shape.push_back(static_cast<std::size_t>(dim));
  return told.release();
}
Snpe_ErrorCode_t Snpe_SNPE_ExecuteUserBuffers(void* network, void* inputs, void* outputs) {
  dx::stand_in::misbehave("-run");
  if (word("fail")) return fail("error_code=500; the DSP does not answer");
  return execute(as<Network>(network), as<Map>(inputs), as<Map>(outputs));
}
void* Snpe_SNPE_GetDiagLogInterface_Ref(void* network) { return &as<Network>(network).log; }
Snpe_ErrorCode_t Snpe_SNPE_Delete(void* network) { return drop<Network>(network); }

void* Snpe_IDiagLog_GetOptions(void* log) { return new Log(as<Log>(log)); }
Snpe_ErrorCode_t Snpe_IDiagLog_SetOptions(void* log, void* options) {
  as<Log>(log) = as<Log>(options);
  return SNPE_SUCCESS;
}
Snpe_ErrorCode_t Snpe_IDiagLog_Start(void* log) {
  std::ofstream file(as<Log>(log).folder + "/SNPEDiag_0.log");
  file << "begun\n";
  return file ? SNPE_SUCCESS : fail("the log cannot be written");
}
Snpe_ErrorCode_t Snpe_IDiagLog_Stop(void* log) {
  std::ofstream file(as<Log>(log).folder + "/SNPEDiag_0.log", std::ios::app);
  file << "ended\n";
  return SNPE_SUCCESS;
}
void Snpe_Options_SetLogFileDirectory(void* options, const char* folder) {
  as<Log>(options).folder = folder;
}
Snpe_ErrorCode_t Snpe_Options_Delete(void* options) { return drop<Log>(options); }
