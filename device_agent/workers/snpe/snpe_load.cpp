// Loading a DLC and finding what it takes and gives.
#include <chrono>
#include <exception>
#include <utility>

#include "common/text.h"
#include "workers/core/cores.h"
#include "workers/core/options.h"
#include "workers/snpe/snpe_model.h"

namespace dx {
namespace {

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

Status check_request(const RunOptions& options) {
  if (options.accelerator != "cpu") {
    return Failure{
        FailureCode::kOptionRefused,
        "where SNPE computes is said by the option runtime_order, not by the accelerator "
        "'" +
            printable(options.accelerator, 80) + "'",
        Phase::kLoad};
  }
  return bind_to_cores(options.cores);
}

// Quantized tensors are fed and read as the floats that their codes stand for.
bool is_float(Snpe_UserBufferEncoding_ElementType_t type) {
  return type == SNPE_USERBUFFERENCODING_ELEMENTTYPE_FLOAT ||
         type == SNPE_USERBUFFERENCODING_ELEMENTTYPE_TF8 ||
         type == SNPE_USERBUFFERENCODING_ELEMENTTYPE_TF16;
}

}  // namespace

Result<std::unique_ptr<Model>> SnpeRuntime::load(const Load& request) {
  try {
    return SnpeModel::load(request);
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be loaded: ") + error.what());
  }
}

Result<std::unique_ptr<Model>> SnpeModel::load(const Load& request) {
  if (Status status = check_request(request.options); !status) return status.failure();
  Result<const Library*> library = Library::open(request);
  if (!library) return library.failure();
  const auto start = std::chrono::steady_clock::now();
  Result<Built> built = build_network(*library.value(), request);
  if (!built) return built.failure();
  const auto took = std::chrono::steady_clock::now() - start;
  std::unique_ptr<SnpeModel> model(new SnpeModel(*library.value(), std::move(built).value()));
  model->info_.load_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  if (Status status = model->start_log(request.options); !status) return status.failure();
  if (Status status = model->describe(); !status) return status.failure();
  if (Status status = choose_ports(model->outputs_, request.outputs); !status) {
    return status.failure();
  }
  model->info_.inputs = infos_of(model->inputs_);
  model->info_.outputs = infos_of(model->outputs_);
  model->info_.threads = 1;  // it waits for what computes
  model->info_.runtime_version = library.value()->version() + " on " + model->built_.order.text();
  return std::unique_ptr<Model>(std::move(model));
}

SnpeModel::~SnpeModel() {
  if (log_ != nullptr) (void)library_.api().Snpe_IDiagLog_Stop(log_);
}

Status SnpeModel::start_log(const RunOptions& options) {
  const auto folder = text_of(options, "diag_log");
  if (!folder) return {};
  const SnpeApi& api = library_.api();
  void* const log = api.Snpe_SNPE_GetDiagLogInterface_Ref(built_.network.get());
  if (log == nullptr) return library_.failure("SNPE has no log of its layers");
  const Handle settings(api.Snpe_IDiagLog_GetOptions(log), api.Snpe_Options_Delete);
  api.Snpe_Options_SetLogFileDirectory(settings.get(), folder->c_str());
  if (api.Snpe_IDiagLog_SetOptions(log, settings.get()) != SNPE_SUCCESS ||
      api.Snpe_IDiagLog_Start(log) != SNPE_SUCCESS) {
    return library_.failure("SNPE does not write its log into " + printable(*folder, 200));
  }
  log_ = log;
  return {};
}

Status SnpeModel::describe() {
  const SnpeApi& api = library_.api();
  void* const network = built_.network.get();
  const Handle given(api.Snpe_SNPE_GetInputTensorNames(network), api.Snpe_StringList_Delete);
  const Handle made(api.Snpe_SNPE_GetOutputTensorNames(network), api.Snpe_StringList_Delete);
  for (const auto& [list, ports] : {std::pair{&given, &inputs_}, std::pair{&made, &outputs_}}) {
    for (const std::string& name : strings_of(library_, *list)) {
      Result<Port> port = port_of(name);
      if (!port) return port.failure();
      ports->push_back(std::move(port).value());
    }
  }
  if (inputs_.empty() || outputs_.empty()) {
    return refuse("SNPE does not tell what goes in and out of the model");
  }
  return {};
}

Result<Port> SnpeModel::port_of(const std::string& name) const {
  const SnpeApi& api = library_.api();
  const std::string shown = "'" + printable(name, 80) + "'";
  const Handle told(
      api.Snpe_SNPE_GetInputOutputBufferAttributes(built_.network.get(), name.c_str()),
      api.Snpe_IBufferAttributes_Delete);
  if (!told) return library_.failure("SNPE tells nothing of " + shown);
  if (!is_float(api.Snpe_IBufferAttributes_GetEncodingType(told.get()))) {
    return refuse(shown +
                  " has another element type than float32 or quantized floats; convert the "
                  "model with inputs and outputs of these");
  }
  const Handle shape(api.Snpe_IBufferAttributes_GetDims(told.get()), api.Snpe_TensorShape_Delete);
  if (!shape) return library_.failure("SNPE does not tell the shape of " + shown);
  Port port{name, "float32", {}};
  const std::size_t* const dims = api.Snpe_TensorShape_GetDimensions(shape.get());
  for (std::size_t i = 0; i < api.Snpe_TensorShape_Rank(shape.get()); ++i) {
    port.dims.push_back(static_cast<std::int64_t>(dims[i]));
  }
  return port;
}

}  // namespace dx
