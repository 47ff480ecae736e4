// A library that stands in for libSNPE.so in tests: its "DLC" is an ONNX file, which ONNX Runtime
// computes in the caller's thread. How it behaves is said by words in DX_STAND_IN: "have=cpu,gpu"
// (the runtimes of the board), "refuse=dsp" (that runtime refuses a layer), "version=2.10.0",
// "crash", "hang", "fail" (of a run), "int32" (of each tensor).
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/tensors.h"
#include "onnxruntime_facts.h"
#include "snpe_stand_in.h"
#include "workers/core/runtime.h"
#include "workers/onnxruntime/library.h"
#include "workers/onnxruntime/onnx_model.h"

namespace {

using Strings = std::vector<std::string>;
using Shape = std::vector<std::size_t>;

std::string last_error;

// The value of a word, "" for one without, nothing where it is not there.
std::optional<std::string> word(const std::string& name) {
  const char* const said = std::getenv("DX_STAND_IN");
  std::istringstream words(said == nullptr ? "" : said);
  for (std::string one; words >> one;) {
    if (one == name) return "";
    if (one.compare(0, name.size() + 1, name + "=") == 0) return one.substr(name.size() + 1);
  }
  return std::nullopt;
}

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
  std::unique_ptr<dx::Model> model;
  Strings outputs;
  Log log;
};

// An ONNX file that is read from memory.
dx::Result<std::unique_ptr<dx::Model>> open_model(const Builder& builder) {
  const int file = ::memfd_create("model", MFD_CLOEXEC);
  const ssize_t written = ::write(file, builder.content.data(), builder.content.size());
  dx::Load load;
  load.files = {{"onnx", "/proc/self/fd/" + std::to_string(file)},
                {"library", DX_ONNXRUNTIME_LIBRARY, dx::library_name()}};
  load.options.threads = 1;
  load.options.precision = "fp32";
  load.outputs = builder.outputs;
  dx::OnnxRuntime runtime(dx::onnxruntime_worker::kFacts);
  dx::Result<std::unique_ptr<dx::Model>> opened =
      written == static_cast<ssize_t>(builder.content.size())
          ? runtime.load(load)
          : dx::Failure{dx::FailureCode::kInternal, "no file in memory", dx::Phase::kLoad};
  (void)::close(file);
  return opened;
}

const dx::TensorInfo* find(const dx::Model& model, const std::string& name) {
  for (const auto* const all : {&model.info().inputs, &model.info().outputs}) {
    for (const dx::TensorInfo& one : *all) {
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

Strings names_of(const std::vector<dx::TensorInfo>& infos) {
  Strings all;
  for (const dx::TensorInfo& info : infos) all.push_back(info.name);
  return all;
}

Snpe_ErrorCode_t execute(Network& network, const Map& inputs, const Map& outputs) {
  std::vector<dx::Tensor> given;
  for (const dx::TensorInfo& info : network.model->info().inputs) {
    const auto found = inputs.find(info.name);
    if (found == inputs.end()) return fail("no buffer for the input " + info.name);
    given.push_back({info.name, info.dtype, *info.dims,
                     std::string(found->second->bytes, found->second->size), false});
  }
  if (dx::Status status = network.model->set_inputs(given); !status) {
    return fail(status.failure().message);
  }
  if (auto ran = network.model->run(); !ran) return fail(ran.failure().message);
  const auto made = network.model->outputs();
  if (!made) return fail(made.failure().message);
  for (const dx::Tensor& tensor : made.value()) {
    const auto found = outputs.find(tensor.name);
    if (found == outputs.end()) continue;
    if (found->second->size != tensor.data.size()) return fail("a buffer has another size");
    std::memcpy(found->second->bytes, tensor.data.data(), tensor.data.size());
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
  if (word("crash")) std::abort();
  while (word("hang")) ::pause();
  const std::string refused = word("refuse").value_or("");
  const bool all_refuse =
      std::all_of(builder.order.begin(), builder.order.end(),
                  [&refused](Snpe_Runtime_t runtime) { return names().at(runtime) == refused; });
  if (all_refuse || !builder.has_buffers) {
    last_error = "error_code=400; layer conv is not supported by " + refused;
    return nullptr;
  }
  dx::Result<std::unique_ptr<dx::Model>> model = open_model(builder);
  if (!model) {
    last_error = "error_code=309; " + model.failure().message;
    return nullptr;
  }
  auto network = std::make_unique<Network>();
  network->model = std::move(model).value();
  return network.release();
}
Snpe_ErrorCode_t Snpe_SNPEBuilder_Delete(void* builder) { return drop<Builder>(builder); }

void* Snpe_SNPE_GetInputTensorNames(void* network) {
  return new Strings(names_of(as<Network>(network).model->info().inputs));
}
void* Snpe_SNPE_GetOutputTensorNames(void* network) {
  return new Strings(names_of(as<Network>(network).model->info().outputs));
}
void* Snpe_SNPE_GetInputOutputBufferAttributes(void* network, const char* name) {
  const dx::TensorInfo* const info = find(*as<Network>(network).model, name);
  if (info == nullptr) return nullptr;
  auto told = std::make_unique<Attributes>();
  for (const std::int64_t dim : *info->dims) told->shape.push_back(static_cast<std::size_t>(dim));
  return told.release();
}
Snpe_ErrorCode_t Snpe_SNPE_ExecuteUserBuffers(void* network, void* inputs, void* outputs) {
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
