// Loading a model and finding what it takes and gives.
#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <string_view>
#include <utility>

#include "common/text.h"
#include "workers/core/cores.h"
#include "workers/openvino/elements.h"
#include "workers/openvino/openvino_model.h"

namespace dx {
namespace {

// In the model's metadata where layers of it must not run in half floats; the converter writes it.
constexpr const char* kKeptFloat = "deployx.kept_float";
constexpr const char* kDevice = "CPU";

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

Result<Source> source_of(const Load& request) {
  Source source;
  source.onnx = path_of(request, "onnx");
  source.plugin = library_path(request, plugin_name());
  if (source.onnx.empty() || source.plugin.empty() ||
      library_path(request, library_name()).empty()) {
    return Failure{FailureCode::kInvalidRequest,
                   "a model for OpenVINO is a file of role 'onnx', and " + library_name() +
                       " and " + plugin_name() + " come along as files of role 'library'",
                   Phase::kLoad};
  }
  Result<std::unique_ptr<MappedFile>> file = MappedFile::open(source.onnx);
  if (!file) return file.failure();
  Result<OnnxNames> names = read_onnx_names(file.value()->content());
  if (!names) return names.failure();
  source.names = std::move(names).value();
  const std::vector<std::string>& own = source.names.outputs;
  for (const std::string& name : request.outputs) {
    if (std::find(own.begin(), own.end(), name) == own.end()) source.inside.push_back(name);
  }
  source.properties = properties_of(request.options, source.names.metadata.count(kKeptFloat) > 0);
  return source;
}

}  // namespace

Status OpenvinoRuntime::prepare(const Load& request, LoadListener&) {
  try {
    return OpenvinoModel::prepare(request);
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be prepared: ") + error.what());
  }
}

Result<std::unique_ptr<Model>> OpenvinoRuntime::load(const Load& request) {
  try {
    return OpenvinoModel::load(request);
  } catch (const std::exception& error) {
    return refuse(std::string("the model cannot be loaded: ") + error.what());
  }
}

OpenvinoModel::OpenvinoModel(const Library& library, Source source)
    : library_(library), api_(library.api()), source_(std::move(source)) {}

Result<std::unique_ptr<OpenvinoModel>> OpenvinoModel::open(const Load& request) {
  Result<Source> source = source_of(request);
  if (!source) return source.failure();
  if (Status status = check_on_processor("OpenVINO", request.options); !status) {
    return status.failure();
  }
  Result<const Library*> library = Library::open(library_path(request, library_name()));
  if (!library) return library.failure();
  std::unique_ptr<OpenvinoModel> model(
      new OpenvinoModel(*library.value(), std::move(source).value()));
  Result<Owned<ov_core_t>> core = model->library_.make_core(model->source_.plugin);
  if (!core) return core.failure();
  model->core_ = std::move(core).value();
  if (request.prepared_path.empty()) return model;
  Result<std::unique_ptr<MappedFile>> prepared = MappedFile::open(request.prepared_path);
  if (!prepared) return prepared.failure();
  model->prepared_ = std::move(prepared).value();
  return model;
}

Status OpenvinoModel::prepare(const Load& request) {
  Load from_onnx = request;
  from_onnx.prepared_path.clear();
  Result<std::unique_ptr<OpenvinoModel>> model = open(from_onnx);
  if (!model) return model.failure();
  OpenvinoModel& opened = *model.value();
  Result<Owned<ov_compiled_model_t>> compiled = opened.compile(false);
  if (!compiled) return compiled.failure();
  const ov_status_e status = opened.api_.ov_compiled_model_export_model(
      compiled.value().get(), request.prepared_path.c_str());
  return opened.library_.check(status, "OpenVINO cannot write what it prepared");
}

Result<std::unique_ptr<Model>> OpenvinoModel::load(const Load& request) {
  const auto start = std::chrono::steady_clock::now();
  Result<std::unique_ptr<OpenvinoModel>> opened = open(request);
  if (!opened) return opened.failure();
  std::unique_ptr<OpenvinoModel> model = std::move(opened).value();
  Result<Owned<ov_compiled_model_t>> compiled = model->compile(false);
  if (!compiled) return compiled.failure();
  model->compiled_.model = std::move(compiled).value();
  const auto took = std::chrono::steady_clock::now() - start;
  model->info_.load_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  if (Status status = model->describe(request.outputs); !status) return status.failure();
  return std::unique_ptr<Model>(std::move(model));
}

Result<Owned<ov_compiled_model_t>> OpenvinoModel::compile(bool notes_times) const {
  Properties properties = source_.properties;
  properties["PERF_COUNT"] = notes_times ? "YES" : "NO";
  const std::vector<ov_property_t> list = listed(properties);
  const ov_status_e set =
      api_.ov_core_set_properties(core_.get(), kDevice, list.size(), list.data());
  if (Status status = library_.check(set, "OpenVINO refused an option"); !status) {
    return Failure{FailureCode::kOptionRefused, status.failure().message, Phase::kLoad};
  }
  return prepared_ == nullptr ? read() : import();
}

Result<Owned<ov_compiled_model_t>> OpenvinoModel::import() const {
  const std::string_view content = prepared_->content();
  ov_compiled_model_t* compiled = nullptr;
  const ov_status_e imported =
      api_.ov_core_import_model(core_.get(), content.data(), content.size(), kDevice, &compiled);
  if (Status status = library_.check(imported, "OpenVINO refused what it had prepared"); !status) {
    return status.failure();
  }
  return Owned<ov_compiled_model_t>(compiled, api_.ov_compiled_model_free);
}

Result<Owned<ov_compiled_model_t>> OpenvinoModel::read() const {
  Result<std::unique_ptr<MappedFile>> file = MappedFile::open(source_.onnx);
  if (!file) return file.failure();
  std::string_view content = file.value()->content();
  std::string with_inside;
  std::string what = "OpenVINO refused the model";
  if (!source_.inside.empty()) {
    with_inside = with_outputs(std::string(content), source_.inside);
    content = with_inside;
    what = "the model has no tensors " + list_text(source_.inside);
  }
  ov_model_t* model = nullptr;
  const ov_status_e read = api_.ov_core_read_model_from_memory_buffer(
      core_.get(), content.data(), content.size(), nullptr, &model);
  if (Status status = library_.check(read, what); !status) return status.failure();
  const Owned<ov_model_t> owned(model, api_.ov_model_free);
  ov_compiled_model_t* compiled = nullptr;
  const ov_status_e done =
      api_.ov_core_compile_model_props(core_.get(), model, kDevice, 0, nullptr, &compiled);
  if (Status status = library_.check(done, what); !status) return status.failure();
  return Owned<ov_compiled_model_t>(compiled, api_.ov_compiled_model_free);
}

Status OpenvinoModel::describe(const std::vector<std::string>& wanted) {
  for (const std::string& name : source_.names.inputs) {
    Result<Port> port = port_of(name, true);
    if (!port) return port.failure();
    if (port.value().dtype.empty()) {
      return refuse("input '" + printable(name, 80) +
                    "' is not a tensor of numbers, which is all that can be fed here");
    }
    inputs_.push_back(std::move(port).value());
  }
  std::vector<std::string> names = source_.names.outputs;
  names.insert(names.end(), source_.inside.begin(), source_.inside.end());
  for (const std::string& name : names) {
    Result<Port> port = port_of(name, false);
    if (!port) return port.failure();
    outputs_.push_back(std::move(port).value());
  }
  if (Status status = choose_ports(outputs_, wanted); !status) return status;
  for (const Port& port : outputs_) {
    if (port.dtype.empty()) {
      return refuse("output '" + printable(port.name, 80) +
                    "' is not a tensor of numbers, which is all that can be read here");
    }
  }
  info_.inputs = infos_of(inputs_);
  info_.outputs = infos_of(outputs_);
  Result<std::uint32_t> count = threads();
  if (!count) return count.failure();
  info_.threads = count.value();
  return find_ports(compiled_);
}

// As many as it takes of those that were asked for.
Result<std::uint32_t> OpenvinoModel::threads() const {
  char* text = nullptr;
  const ov_status_e told =
      api_.ov_compiled_model_get_property(compiled_.model.get(), "INFERENCE_NUM_THREADS", &text);
  if (Status status = library_.check(told, "OpenVINO does not tell its threads"); !status) {
    return status.failure();
  }
  const std::string_view digits = text == nullptr ? "" : text;
  std::uint32_t count = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), count);
  api_.ov_free(text);
  return count;
}

Result<Port> OpenvinoModel::port_of(const std::string& name, bool is_input) const {
  Result<OpenvinoPort> found = find_port(compiled_.model.get(), name, is_input);
  if (!found) return found.failure();
  const std::string what = "OpenVINO does not tell what the model takes";
  ov_element_type_e type = DYNAMIC;
  const ov_status_e told = api_.ov_port_get_element_type(found.value().get(), &type);
  if (Status status = library_.check(told, what); !status) return status.failure();
  ov_partial_shape_t shape{};
  const ov_status_e shaped = api_.ov_port_get_partial_shape(found.value().get(), &shape);
  if (Status status = library_.check(shaped, what); !status) return status.failure();
  Port port{name, element_name(type), {}};
  const bool is_ranked = shape.rank.min == shape.rank.max;
  for (std::int64_t i = 0; is_ranked && i < shape.rank.max; ++i) {
    const bool is_fixed = shape.dims[i].min == shape.dims[i].max;
    port.dims.push_back(is_fixed ? shape.dims[i].max : -1);
  }
  api_.ov_partial_shape_free(&shape);
  if (is_input && !is_ranked) {
    return refuse("input '" + printable(name, 80) + "' does not say how many axes it has");
  }
  return port;
}

Result<OpenvinoModel::OpenvinoPort> OpenvinoModel::find_port(const ov_compiled_model_t* model,
                                                             const std::string& name,
                                                             bool is_input) const {
  ov_output_const_port_t* port = nullptr;
  const std::vector<std::string>& names = is_input ? source_.names.inputs : source_.names.outputs;
  const auto place = std::find(names.begin(), names.end(), name);
  const auto index = static_cast<std::size_t>(place - names.begin());
  ov_status_e found = is_input ? api_.ov_compiled_model_input_by_name(model, name.c_str(), &port)
                               : api_.ov_compiled_model_output_by_name(model, name.c_str(), &port);
  if (found != OK && place != names.end()) {
    found = is_input ? api_.ov_compiled_model_input_by_index(model, index, &port)
                     : api_.ov_compiled_model_output_by_index(model, index, &port);
  }
  const std::string what = std::string("OpenVINO has no ") + (is_input ? "input" : "output");
  if (Status status = library_.check(found, what + " '" + printable(name, 80) + "'"); !status) {
    return status.failure();
  }
  return OpenvinoPort(port, api_.ov_output_const_port_free);
}

Status OpenvinoModel::find_ports(Compiled& compiled) const {
  for (const Port& port : inputs_) {
    Result<OpenvinoPort> found = find_port(compiled.model.get(), port.name, true);
    if (!found) return found.failure();
    compiled.inputs.push_back(std::move(found).value());
  }
  for (const Port& port : outputs_) {
    Result<OpenvinoPort> found = find_port(compiled.model.get(), port.name, false);
    if (!found) return found.failure();
    compiled.outputs.push_back(std::move(found).value());
  }
  return {};
}

}  // namespace dx
