#include "workers/onnxruntime/onnx_model.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "common/tensors.h"
#include "common/text.h"
#include "workers/onnxruntime/elements.h"
#include "workers/onnxruntime/profile_file.h"

namespace dx {
namespace {

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kUnspecified};
}

// What the model declares, for a person: open axes are '?'.
std::string declared_text(const std::vector<std::int64_t>& dims) {
  if (dims.empty()) return "a single value";
  std::string text;
  for (const std::int64_t dim : dims) {
    text += (text.empty() ? "" : "x") + (dim < 0 ? std::string("?") : std::to_string(dim));
  }
  return text;
}

}  // namespace

OnnxModel::~OnnxModel() { (void)end_profile(); }

bool OnnxModel::Port::is_fixed() const {
  return std::all_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim >= 0; });
}

// ---- inputs

Status OnnxModel::set_inputs(const std::vector<Tensor>& inputs) {
  (void)end_profile();  // Of a measurement that was cancelled.
  bound_.clear();
  samples_.clear();
  if (inputs.size() != inputs_.size()) {
    std::vector<std::string> names;
    for (const Port& port : inputs_) names.push_back(port.name);
    return refuse("the model takes " + std::to_string(inputs_.size()) + " inputs (" +
                  list_text(names) + "), got " + std::to_string(inputs.size()));
  }
  Result<std::size_t> count = samples_of(inputs);
  if (!count) return count.failure();
  std::vector<Values> samples(count.value());
  for (const Port& port : inputs_) {
    Result<const Tensor*> tensor = tensor_for(port, inputs);
    if (!tensor) return tensor.failure();
    if (Status status = check(*tensor.value(), port); !status) return status;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      Result<Value> value = value_of(*tensor.value(), i);
      if (!value) return value.failure();
      samples[i].push_back(std::move(value).value());
    }
  }
  samples_ = std::move(samples);
  Result<std::vector<Bound>> bound = bind(session_.get());
  if (!bound) {
    samples_.clear();
    return bound.failure();
  }
  bound_ = std::move(bound).value();
  return {};
}

Result<std::size_t> OnnxModel::samples_of(const std::vector<Tensor>& inputs) {
  const bool batched = !inputs.empty() && inputs.front().batched;
  const auto count_of = [](const Tensor& tensor) {
    return tensor.dims.empty() ? std::int64_t{0} : tensor.dims.front();
  };
  for (const Tensor& tensor : inputs) {
    const bool alike =
        tensor.batched == batched &&
        (!batched || (count_of(tensor) == count_of(inputs.front()) && count_of(tensor) > 0));
    if (!alike) return refuse("all inputs must hold the same number of samples, at least one");
  }
  batched_ = batched;
  return batched ? static_cast<std::size_t>(count_of(inputs.front())) : std::size_t{1};
}

Result<const Tensor*> OnnxModel::tensor_for(const Port& port,
                                            const std::vector<Tensor>& inputs) const {
  for (const Tensor& tensor : inputs) {
    if (tensor.name == port.name) return &tensor;
  }
  return refuse("input '" + printable(port.name, 80) + "' is missing");
}

Status OnnxModel::check(const Tensor& tensor, const Port& port) const {
  const std::string what = "input '" + printable(port.name, 80) + "': ";
  if (tensor.dtype != port.dtype) {
    return refuse(what + "the model takes " + port.dtype + ", got " + printable(tensor.dtype, 40));
  }
  const Dims dims(tensor.dims.begin() + (tensor.batched ? 1 : 0), tensor.dims.end());
  bool fits = dims.size() == port.dims.size();
  for (std::size_t i = 0; fits && i < dims.size(); ++i) {
    fits = port.dims[i] < 0 || port.dims[i] == dims[i];
  }
  if (fits) return {};
  return refuse(what + "the model takes " + declared_text(port.dims) + ", got " +
                declared_text(dims));
}

Result<OnnxModel::Value> OnnxModel::value_of(const Tensor& tensor, std::size_t sample) const {
  const Dims dims(tensor.dims.begin() + (tensor.batched ? 1 : 0), tensor.dims.end());
  const std::optional<ONNXTensorElementDataType> type = element_type(tensor.dtype);
  const std::optional<std::size_t> bytes = tensor_bytes(tensor.dtype, dims);
  if (!type || !bytes || tensor.data.size() < (sample + 1) * *bytes) {
    return refuse("input '" + printable(tensor.name, 80) + "' does not hold what its dims say");
  }
  const std::string what = "ONNX Runtime has no memory for the inputs";
  OrtValue* value = nullptr;
  if (Status status = library_.check(api_.CreateTensorAsOrtValue(library_.allocator(), dims.data(),
                                                                 dims.size(), *type, &value),
                                     what);
      !status) {
    return status.failure();
  }
  Value owned(value, api_.ReleaseValue);
  void* data = nullptr;
  if (Status status = library_.check(api_.GetTensorMutableData(value, &data), what); !status) {
    return status.failure();
  }
  if (*bytes > 0) std::memcpy(data, tensor.data.data() + sample * *bytes, *bytes);
  return owned;
}

Result<std::vector<OnnxModel::Bound>> OnnxModel::bind(OrtSession* session) const {
  const std::string what = "ONNX Runtime does not take the tensors";
  std::vector<Bound> all;
  for (const Values& values : samples_) {
    OrtIoBinding* binding = nullptr;
    if (Status status = library_.check(api_.CreateIoBinding(session, &binding), what); !status) {
      return status.failure();
    }
    Bound bound{{binding, api_.ReleaseIoBinding}, false};
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      OrtStatus* const status = api_.BindInput(binding, inputs_[i].name.c_str(), values[i].get());
      if (Status done = library_.check(status, what); !done) return done.failure();
    }
    for (const Port& port : outputs_) {
      OrtStatus* const status =
          api_.BindOutputToDevice(binding, port.name.c_str(), library_.memory());
      if (Status done = library_.check(status, what); !done) return done.failure();
    }
    all.push_back(std::move(bound));
  }
  return all;
}

// ---- runs

Result<std::int64_t> OnnxModel::run() { return run(session_.get(), bound_); }

Result<std::int64_t> OnnxModel::run(OrtSession* session, std::vector<Bound>& all) const {
  std::int64_t ns = 0;
  for (Bound& bound : all) {
    const auto start = std::chrono::steady_clock::now();
    OrtStatus* const status = api_.RunWithBinding(session, nullptr, bound.binding.get());
    const auto took = std::chrono::steady_clock::now() - start;
    if (Status done = library_.check(status, "ONNX Runtime failed to run the model"); !done) {
      return done.failure();
    }
    ns += std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
    if (Status kept = keep_outputs(bound); !kept) return kept.failure();
  }
  return ns;
}

Status OnnxModel::keep_outputs(Bound& bound) const {
  if (bound.keeps_outputs) return {};
  bound.keeps_outputs = true;
  Result<Values> values = values_of(bound);
  if (!values) return values.failure();
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const Port& port = outputs_[i];
    Result<Tensor> tensor = tensor_of(values.value()[i].get(), port.name);
    if (!tensor) return tensor.failure();
    if (!port.is_fixed() || tensor.value().dims != port.dims) continue;
    OrtStatus* const status =
        api_.BindOutput(bound.binding.get(), port.name.c_str(), values.value()[i].get());
    if (Status done = library_.check(status, "ONNX Runtime does not take the outputs"); !done) {
      return done;
    }
  }
  return {};
}

Result<OnnxModel::Values> OnnxModel::values_of(const Bound& bound) const {
  OrtValue** found = nullptr;
  std::size_t count = 0;
  OrtStatus* const status =
      api_.GetBoundOutputValues(bound.binding.get(), library_.allocator(), &found, &count);
  const std::string what = "ONNX Runtime does not give the outputs";
  if (Status done = library_.check(status, what); !done) return done.failure();
  Values values;
  for (std::size_t i = 0; i < count; ++i) values.emplace_back(found[i], api_.ReleaseValue);
  if (Status done = library_.check(api_.AllocatorFree(library_.allocator(), found), what); !done) {
    return done.failure();
  }
  if (count != outputs_.size()) return refuse(what + ": " + std::to_string(count) + " of them");
  return values;
}

Result<Tensor> OnnxModel::tensor_of(const OrtValue* value, const std::string& name) const {
  const std::string what = "ONNX Runtime does not give output '" + printable(name, 80) + "'";
  OrtTensorTypeAndShapeInfo* info = nullptr;
  if (Status done = library_.check(api_.GetTensorTypeAndShape(value, &info), what); !done) {
    return done.failure();
  }
  const Owned<OrtTensorTypeAndShapeInfo> owned(info, api_.ReleaseTensorTypeAndShapeInfo);
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  std::size_t axes = 0;
  if (Status done = library_.check(api_.GetTensorElementType(info, &element), what); !done) {
    return done.failure();
  }
  if (Status done = library_.check(api_.GetDimensionsCount(info, &axes), what); !done) {
    return done.failure();
  }
  Tensor tensor;
  tensor.name = name;
  tensor.dtype = element_name(element);
  tensor.dims.resize(axes);
  if (Status done = library_.check(api_.GetDimensions(info, tensor.dims.data(), axes), what);
      !done) {
    return done.failure();
  }
  const std::optional<std::size_t> bytes = tensor_bytes(tensor.dtype, tensor.dims);
  if (!bytes) return refuse(what + ": it holds more than 1 GiB: " + dims_text(tensor.dims));
  void* data = nullptr;
  // The interface has one function for reading and writing.
  OrtStatus* const status = api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data);
  if (Status done = library_.check(status, what); !done) return done.failure();
  if (*bytes > 0) tensor.data.assign(static_cast<const char*>(data), *bytes);
  return tensor;
}

Result<std::vector<Tensor>> OnnxModel::outputs() const {
  std::vector<Tensor> all;
  for (std::size_t sample = 0; sample < bound_.size(); ++sample) {
    Result<Values> values = values_of(bound_[sample]);
    if (!values) return values.failure();
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      Result<Tensor> tensor = tensor_of(values.value()[i].get(), outputs_[i].name);
      if (!tensor) return tensor.failure();
      Tensor& one = tensor.value();
      if (batched_) {
        one.dims.insert(one.dims.begin(), 1);
        one.batched = true;
      }
      if (sample == 0) {
        all.push_back(std::move(one));
        continue;
      }
      Tensor& whole = all[i];
      if (!std::equal(whole.dims.begin() + 1, whole.dims.end(), one.dims.begin() + 1,
                      one.dims.end())) {
        return refuse("output '" + printable(one.name, 80) + "' has another shape in sample " +
                      std::to_string(sample) + ": run the samples one by one");
      }
      ++whole.dims.front();
      whole.data += one.data;
    }
  }
  return all;
}

// ---- layer times

Result<std::vector<LayerRun>> OnnxModel::run_layers() {
  if (Status status = start_profile(); !status) return status.failure();
  Result<std::int64_t> ns = run(profiled_->session.get(), profiled_->bound);
  if (!ns) return ns.failure();
  return std::vector<LayerRun>();
}

Status OnnxModel::start_profile() {
  if (profiled_) return {};
  std::uint32_t threads = 0;
  Result<Owned<OrtSession>> session = open_session(profile_prefix_, threads);
  if (!session) return session.failure();
  profiled_ = std::make_unique<Profiled>(Profiled{std::move(session).value(), {}});
  Result<std::vector<Bound>> bound = bind(profiled_->session.get());
  if (!bound) return bound.failure();
  profiled_->bound = std::move(bound).value();
  // The first run makes room for what the later ones need.
  Result<std::int64_t> first = run(profiled_->session.get(), profiled_->bound);
  return first ? Status{} : Status(first.failure());
}

// The path of the file with the times; "" where none is written.
Result<std::string> OnnxModel::end_profile() {
  if (!profiled_) return std::string();
  const std::unique_ptr<Profiled> profiled = std::move(profiled_);
  char* name = nullptr;
  const std::string what = "ONNX Runtime does not give the layers' times";
  OrtStatus* const status =
      api_.SessionEndProfiling(profiled->session.get(), library_.allocator(), &name);
  if (Status done = library_.check(status, what); !done) return done.failure();
  std::string path = name;
  if (Status done = library_.check(api_.AllocatorFree(library_.allocator(), name), what); !done) {
    return done.failure();
  }
  return path;
}

Result<std::vector<std::vector<LayerRun>>> OnnxModel::kept_layers() {
  Result<std::string> path = end_profile();
  if (!path) return path.failure();
  if (path.value().empty()) return std::vector<std::vector<LayerRun>>();
  std::vector<std::vector<LayerRun>> runs = read_profile(path.value());
  (void)std::remove(path.value().c_str());
  return without_first(join_samples(std::move(runs), samples_.size()));
}

}  // namespace dx
