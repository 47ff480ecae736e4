// Loading a model and finding what it takes and gives.
#include <algorithm>
#include <chrono>
#include <exception>
#include <fstream>
#include <sstream>
#include <utility>

#include "common/text.h"
#include "workers/core/cores.h"
#include "workers/core/onnx_file.h"
#include "workers/onnxruntime/elements.h"
#include "workers/onnxruntime/left_nodes.h"
#include "workers/onnxruntime/onnx_model.h"
#include "workers/onnxruntime/session_options.h"

namespace dx {
namespace {

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

Status copy_file(const std::string& from, const std::string& to) {
  std::ifstream source(from, std::ios::binary);
  std::ofstream copy(to, std::ios::binary | std::ios::trunc);
  copy << source.rdbuf();
  copy.close();
  if (source && copy) return {};
  return Failure{FailureCode::kRuntimeRefused, "what was prepared cannot be written",
                 Phase::kPrepare};
}

Result<std::string> content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file) return refuse(path + " cannot be read");
  return content.str();
}

}  // namespace

Result<std::unique_ptr<Model>> OnnxRuntime::load(const Load& request) {
  try {
    return OnnxModel::load(request, provider_);
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be loaded: ") + error.what());
  }
}

Status OnnxRuntime::prepare(const Load& request, LoadListener& listener) {
  if (provider_ == nullptr) return Runtime::prepare(request, listener);
  try {
    return OnnxModel::prepare(request, *provider_);
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be prepared: ") + error.what());
  }
}

Result<std::unique_ptr<OnnxModel>> OnnxModel::open(const Load& request, const Provider* provider) {
  const std::string library_file = library_path(request, library_name());
  if (path_of(request, "onnx").empty() || library_file.empty()) {
    return Failure{FailureCode::kInvalidRequest,
                   "a model for ONNX Runtime is a file of role 'onnx', and " + library_name() +
                       " comes along as a file of role 'library'",
                   Phase::kLoad};
  }
  const std::string title = provider == nullptr ? "ONNX Runtime" : provider->title();
  if (provider != nullptr) {
    if (Status status = provider->check(request); !status) return status.failure();
  }
  if (Status status = check_on_processor(title, request.options); !status) return status.failure();
  Result<const Library*> library = Library::open(library_file);
  if (!library) return library.failure();
  return std::unique_ptr<OnnxModel>(new OnnxModel(*library.value(), request, provider));
}

Status OnnxModel::prepare(const Load& request, const Provider& provider) {
  Result<std::unique_ptr<OnnxModel>> opened = open(request, &provider);
  if (!opened) return opened.failure();
  OnnxModel& model = *opened.value();
  Result<std::string> content = content_of(model.path_);
  if (!content) return content.failure();
  Result<OnnxNames> names = read_onnx_names(content.value());
  if (!names) return names.failure();
  const std::vector<std::string>& outputs = names.value().outputs;
  for (const std::string& name : request.outputs) {
    if (std::find(outputs.begin(), outputs.end(), name) == outputs.end()) {
      model.inside_.push_back(name);
    }
  }
  const std::string elsewhere = provider.prepared_elsewhere(request);
  if (!elsewhere.empty() && model.inside_.empty()) {
    if (Status copied = copy_file(elsewhere, request.prepared_path); !copied) return copied;
    return provider.fits(request);
  }
  model.keep_at_ = request.prepared_path;
  std::uint32_t threads = 0;
  Result<Owned<OrtSession>> session = model.open_session("", threads);
  if (!session) return session.failure();
  return provider.seal(request);
}

Result<std::unique_ptr<Model>> OnnxModel::load(const Load& request, const Provider* provider) {
  Result<std::unique_ptr<OnnxModel>> opened = open(request, provider);
  if (!opened) return opened.failure();
  std::unique_ptr<OnnxModel> model = std::move(opened).value();
  if (provider != nullptr && !request.prepared_path.empty()) {
    if (Status status = provider->fits(request); !status) return status.failure();
    // Read whole, as the file may go while the model is in use.
    Result<std::string> content = content_of(request.prepared_path);
    if (!content) return content.failure();
    model->prepared_ = std::move(content).value();
  }

  const auto start = std::chrono::steady_clock::now();
  Result<Owned<OrtSession>> session = model->open_session("", model->info_.threads);
  if (!session) return session.failure();
  const auto took = std::chrono::steady_clock::now() - start;
  model->info_.load_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  model->session_ = std::move(session).value();
  if (Status status = model->describe(); !status) return status.failure();
  if (Status status = model->open_inside(request.outputs); !status) return status.failure();
  if (Status status = model->choose_outputs(request.outputs); !status) return status.failure();
  return std::unique_ptr<Model>(std::move(model));
}

OnnxModel::OnnxModel(const Library& library, const Load& request, const Provider* provider)
    : library_(library),
      api_(library.api()),
      provider_(provider),
      request_(request),
      path_(path_of(request, "onnx")),
      profile_prefix_(folder_of(library_path(request, library_name())) + "/layer-times"),
      operators_(library_path(request, DX_OPERATOR_LIBRARY)) {}

Result<Owned<OrtSession>> OnnxModel::open_session(const std::string& profile_prefix,
                                                  std::uint32_t& threads) {
  const bool strict = provider_ != nullptr && !provider_->may_leave(request_.options);
  (void)Library::take_error();
  Result<Owned<OrtSession>> session = open_session(profile_prefix, strict, threads);
  if (provider_ != nullptr) {
    if (Status started = provider_->started(Library::take_error()); !started) {
      return started.failure();
    }
  }
  if (session || !strict) return session;
  return refused(session.failure());
}

Failure OnnxModel::refused(const Failure& failure) const {
  std::uint32_t threads = 0;
  Result<Owned<OrtSession>> session = open_session("", false, threads);
  if (!session) return failure;  // Then what was said first has to do.
  Result<std::vector<LeftNode>> left =
      left_nodes(library_, session.value().get(), provider_->name());
  if (!left || left.value().empty()) return failure;
  return refuse(provider_->title() + " does not run the model as a whole; it leaves to the " +
                "processor: " + left_nodes_text(left.value()) + " (" + provider_->way_out() + ")");
}

Result<Owned<OrtSession>> OnnxModel::open_session(const std::string& profile_prefix, bool strict,
                                                  std::uint32_t& threads) const {
  Result<SessionOptions> options =
      make_session_options(library_, request_.options, profile_prefix, operators_);
  if (!options) return options.failure();
  if (provider_ != nullptr) {
    const std::string counts_at = profile_prefix.empty() ? "" : counts_path();
    Status added =
        provider_->add_to(library_, request_, strict, counts_at, options.value().value.get());
    if (!added) return added.failure();
    // Not by a session that is only to tell which nodes are left.
    if (!keep_at_.empty() && strict != provider_->may_leave(request_.options)) {
      Status kept = provider_->keep(library_, keep_at_, options.value().value.get());
      if (!kept) return kept.failure();
    }
  }
  threads = options.value().threads;
  Result<OrtSession*> session = make_session(options.value().value.get());
  if (!session) return session.failure();
  return Owned<OrtSession>(session.value(), api_.ReleaseSession);
}

Result<OrtSession*> OnnxModel::make_session(const OrtSessionOptions* options) const {
  OrtSession* session = nullptr;
  OrtStatus* status = nullptr;
  if (inside_.empty() && prepared_.empty()) {
    status = api_.CreateSession(library_.environment(), path_.c_str(), options, &session);
  } else {
    Result<std::string> content =
        prepared_.empty() ? content_of(path_) : Result<std::string>(prepared_);
    if (!content) return content.failure();
    const std::string model = with_outputs(std::move(content).value(), inside_);
    status = api_.CreateSessionFromArray(library_.environment(), model.data(), model.size(),
                                         options, &session);
  }
  if (Status made = library_.check(status, "ONNX Runtime refused the model"); !made) {
    return made.failure();
  }
  return session;
}

Status OnnxModel::open_inside(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool is_output = std::any_of(outputs_.begin(), outputs_.end(),
                                       [&name](const Port& port) { return port.name == name; });
    if (!is_output) inside_.push_back(name);
  }
  if (inside_.empty()) return {};
  Result<Owned<OrtSession>> session = open_session("", info_.threads);
  if (!session) {
    return refuse("the model has no tensors " + list_text(inside_) + ": " +
                  session.failure().message);
  }
  session_ = std::move(session).value();
  inputs_.clear();
  outputs_.clear();
  return describe();
}

Status OnnxModel::describe() {
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  const std::string what = "ONNX Runtime does not tell what the model takes";
  if (Status status = library_.check(api_.SessionGetInputCount(session_.get(), &inputs), what);
      !status) {
    return status;
  }
  if (Status status = library_.check(api_.SessionGetOutputCount(session_.get(), &outputs), what);
      !status) {
    return status;
  }
  for (std::size_t i = 0; i < inputs; ++i) {
    Result<Port> port = port_of(i, true);
    if (!port) return port.failure();
    if (port.value().dtype.empty()) {
      return refuse("input '" + printable(port.value().name, 80) +
                    "' is not a tensor of numbers, which is all that can be fed here");
    }
    inputs_.push_back(std::move(port).value());
  }
  for (std::size_t i = 0; i < outputs; ++i) {
    Result<Port> port = port_of(i, false);
    if (!port) return port.failure();
    outputs_.push_back(std::move(port).value());
  }
  return {};
}

Result<Port> OnnxModel::port_of(std::size_t index, bool is_input) const {
  const std::string what = "ONNX Runtime does not tell what the model takes";
  OrtSession* const session = session_.get();
  char* name = nullptr;
  OrtStatus* status = is_input
                          ? api_.SessionGetInputName(session, index, library_.allocator(), &name)
                          : api_.SessionGetOutputName(session, index, library_.allocator(), &name);
  if (Status told = library_.check(status, what); !told) return told.failure();
  Port port;
  port.name = name;
  if (Status freed = library_.check(api_.AllocatorFree(library_.allocator(), name), what); !freed) {
    return freed.failure();
  }

  OrtTypeInfo* type = nullptr;
  status = is_input ? api_.SessionGetInputTypeInfo(session, index, &type)
                    : api_.SessionGetOutputTypeInfo(session, index, &type);
  if (Status told = library_.check(status, what); !told) return told.failure();
  const Owned<OrtTypeInfo> owned(type, api_.ReleaseTypeInfo);
  const OrtTensorTypeAndShapeInfo* tensor = nullptr;
  if (Status told = library_.check(api_.CastTypeInfoToTensorInfo(type, &tensor), what); !told) {
    return told.failure();
  }
  if (tensor == nullptr) return port;  // A sequence, a map.
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::size_t axes = 0;
  if (Status told = library_.check(api_.GetTensorElementType(tensor, &element), what); !told) {
    return told.failure();
  }
  if (Status told = library_.check(api_.GetDimensionsCount(tensor, &axes), what); !told) {
    return told.failure();
  }
  port.dtype = element_name(element);
  port.dims.resize(axes);
  if (Status told = library_.check(api_.GetDimensions(tensor, port.dims.data(), axes), what);
      !told) {
    return told.failure();
  }
  return port;
}

Status OnnxModel::choose_outputs(const std::vector<std::string>& names) {
  if (Status status = choose_ports(outputs_, names); !status) return status;
  for (const Port& port : outputs_) {
    if (port.dtype.empty()) {
      return refuse("output '" + printable(port.name, 80) +
                    "' is not a tensor of numbers, which is all that can be read here");
    }
  }
  info_.inputs = infos_of(inputs_);
  info_.outputs = infos_of(outputs_);
  return {};
}

}  // namespace dx
