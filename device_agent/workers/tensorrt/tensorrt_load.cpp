// Loading an engine and finding what it takes and gives.
#include <algorithm>
#include <chrono>
#include <exception>
#include <string_view>
#include <utility>

#include "common/text.h"
#include "workers/core/cores.h"
#include "workers/core/options.h"
#include "workers/tensorrt/builder.h"
#include "workers/tensorrt/elements.h"
#include "workers/tensorrt/engine_file.h"
#include "workers/tensorrt/operator.h"
#include "workers/tensorrt/tensorrt_model.h"

namespace dx {
namespace {

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

std::string_view content_of(const nvinfer1::IHostMemory& memory) {
  return {static_cast<const char*>(memory.data()), memory.size()};
}

// Nobody waits for what is built without being kept.
class Unheard : public LoadListener {
 public:
  void on_phase(Phase) override {}
  void on_progress(double, const std::string&) override {}
};

// "cpu" is what nobody chose: the threads and cores that are asked for are this process's.
Status check_request(const RunOptions& options) {
  if (options.accelerator != "cpu" && options.accelerator != "gpu") {
    return Failure{FailureCode::kOptionRefused,
                   "TensorRT computes on the gpu, not on '" + printable(options.accelerator, 80) +
                       "'; the option dla_core chooses a deep learning accelerator",
                   Phase::kLoad};
  }
  return bind_to_cores(options.cores);
}

// What each execution context takes of the GPU's memory, for the largest sizes of open axes.
std::uint64_t context_bytes(const nvinfer1::ICudaEngine& engine) {
#if NV_TENSORRT_MAJOR > 10 || (NV_TENSORRT_MAJOR == 10 && NV_TENSORRT_MINOR >= 1)
  return static_cast<std::uint64_t>(engine.getDeviceMemorySizeV2());
#else
  return engine.getDeviceMemorySize();
#endif
}

}  // namespace

std::vector<std::string> TensorrtRuntime::features() const {
  Result<const Library*> library = Library::open();
  if (!library) return {};
  return {library.value()->gpu()};
}

Status TensorrtRuntime::prepare(const Load& request, LoadListener& listener) {
  try {
    if (Status status = check_request(request.options); !status) return status;
    Result<const Library*> library = Library::open();
    if (!library) return library.failure();
    auto engine = build_engine(*library.value(), request, listener);
    if (!engine) return engine.failure();
    return write_engine(request.prepared_path, {library.value()->version(), library.value()->gpu()},
                        content_of(*engine.value()));
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be prepared: ") + error.what());
  }
}

Result<std::unique_ptr<Model>> TensorrtRuntime::load(const Load& request) {
  try {
    return TensorrtModel::load(request);
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be loaded: ") + error.what());
  }
}

Result<std::unique_ptr<Model>> TensorrtModel::load(const Load& request) {
  if (Status status = check_request(request.options); !status) return status.failure();
  Result<const Library*> library = Library::open();
  if (!library) return library.failure();
  std::unique_ptr<TensorrtModel> model(new TensorrtModel(*library.value()));
  const auto start = std::chrono::steady_clock::now();
  if (Status status = model->open(request); !status) return status.failure();
  if (Status status = model->describe(request.outputs); !status) return status.failure();
  if (Status status = model->open_streams(request.options); !status) return status.failure();
  const auto took = std::chrono::steady_clock::now() - start;
  model->info_.load_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  return std::unique_ptr<Model>(std::move(model));
}

// It points into one of the two others.
Result<std::string_view> TensorrtModel::find_engine(const Load& request,
                                                    std::unique_ptr<nvinfer1::IHostMemory>& built,
                                                    std::unique_ptr<MappedFile>& prepared) const {
  if (request.prepared_path.empty()) {
    Unheard listener;
    auto made = build_engine(library_, request, listener);
    if (!made) return made.failure();
    built = std::move(made).value();
    return content_of(*built);
  }
  Result<std::unique_ptr<MappedFile>> file = MappedFile::open(request.prepared_path);
  if (!file) return file.failure();
  prepared = std::move(file).value();
  return read_engine(prepared->content(), {library_.version(), library_.gpu()});
}

Status TensorrtModel::open(const Load& request) {
  std::unique_ptr<nvinfer1::IHostMemory> built;
  std::unique_ptr<MappedFile> prepared;
  Result<std::string_view> engine = find_engine(request, built, prepared);
  if (!engine) return engine.failure();
  void* const runtime = library_.tensorrt().create_runtime(&logger_, compiled_version());
  runtime_.reset(static_cast<nvinfer1::IRuntime*>(runtime));
  if (!runtime_) return failed("TensorRT does not start");
  if (const auto core = number_of(request.options, "dla_core")) {
    wants_dla_ = true;
    runtime_->setDLACore(static_cast<std::int32_t>(*core));
  }
  engine_.reset(runtime_->deserializeCudaEngine(engine.value().data(), engine.value().size()));
  if (!engine_) return failed("TensorRT does not load its engine");
  // What a file of an engine holds besides weights is small; tensors' own memory depends on sizes.
  const auto streams =
      static_cast<std::uint64_t>(number_of(request.options, "streams").value_or(1));
  info_.accelerator_bytes = engine.value().size() + streams * context_bytes(*engine_);
  return {};
}

Status TensorrtModel::open_streams(const RunOptions& options) {
  const std::int64_t count = number_of(options, "streams").value_or(1);
  const bool uses_graphs = switch_of(options, "cuda_graph").value_or(false);
#if NV_TENSORRT_MAJOR == 8 && NV_TENSORRT_MINOR < 6
  const bool is_fixed = std::all_of(ports_.inputs.begin(), ports_.inputs.end(),
                                    [](const Port& port) { return port.is_fixed(); });
  if (count > 1 && !is_fixed) {
    return Failure{FailureCode::kOptionRefused,
                   "option streams: sizes that stay open allow one stream before TensorRT 8.6, and "
                   "this is " +
                       library_.version() + ": convert the model with fixed sizes",
                   Phase::kLoad};
  }
#endif
  for (std::int64_t i = 0; i < count; ++i) {
    auto stream = std::make_unique<StreamRuns>(library_, logger_, ports_, uses_graphs);
    if (Status status = stream->open(*engine_); !status) return status;
    streams_.push_back(std::move(stream));
  }
  return {};
}

Status TensorrtModel::failed(const std::string& what) {
  return refuse(what + because(logger_) + library_.free_memory_text());
}

Status TensorrtModel::describe(const std::vector<std::string>& wanted) {
  std::vector<Port> all;
  for (std::int32_t i = 0; i < engine_->getNbIOTensors(); ++i) {
    const char* const name = engine_->getIOTensorName(i);
    const bool is_input = engine_->getTensorIOMode(name) == nvinfer1::TensorIOMode::kINPUT;
    Result<Port> port = port_of(name);
    if (!port) return port.failure();
    (is_input ? ports_.inputs : all).push_back(std::move(port).value());
  }
  ports_.outputs = all;
  if (Status status = choose_ports(ports_.outputs, wanted); !status) return status;
  for (const Port& port : all) {
    const bool is_wanted = std::any_of(ports_.outputs.begin(), ports_.outputs.end(),
                                       [&port](const Port& one) { return one.name == port.name; });
    if (!is_wanted) ports_.discarded.push_back(port);
  }
  info_.inputs = infos_of(ports_.inputs);
  info_.outputs = infos_of(ports_.outputs);
  info_.threads = 1;  // it waits for the GPU
  info_.runtime_version = library_.version();
  return {};
}

Result<Port> TensorrtModel::port_of(const char* name) const {
  const std::string shown = "'" + printable(name, 80) + "'";
  Port port{name, element_name(engine_->getTensorDataType(name)),
            dims_of(engine_->getTensorShape(name))};
  if (port.dtype.empty()) {
    return refuse(shown + " has an element type of TensorRT's own, which cannot be fed or read");
  }
  if (engine_->isShapeInferenceIO(name)) {
    return refuse(shown +
                  " says how large others are, which is not supported on TensorRT: fix it "
                  "when the model is converted (--input NAME=VALUE)");
  }
  return port;
}

}  // namespace dx
