#include "workers/onnxruntime/onnx_model.h"

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

}  // namespace

OnnxModel::~OnnxModel() { (void)end_profile(); }

// ---- inputs

Status OnnxModel::set_inputs(const std::vector<Tensor>& inputs) {
  (void)end_profile();  // Of a measurement that was cancelled.
  bound_.clear();
  samples_.clear();
  Result<Fed> fed = fit_inputs(inputs_, inputs);
  if (!fed) return fed.failure();
  batched_ = fed.value().batched;
  std::vector<Values> samples(fed.value().samples);
  for (const Tensor* tensor : fed.value().tensors) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      Result<Value> value = value_of(*tensor, i);
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
  Gathered gathered(batched_);
  for (const Bound& bound : bound_) {
    Result<Values> values = values_of(bound);
    if (!values) return values.failure();
    std::vector<Tensor> sample;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      Result<Tensor> tensor = tensor_of(values.value()[i].get(), outputs_[i].name);
      if (!tensor) return tensor.failure();
      sample.push_back(std::move(tensor).value());
    }
    if (Status status = gathered.add(std::move(sample)); !status) return status.failure();
  }
  return std::move(gathered).take();
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

// Where there is a provider, what computed the layer; without one it is the processor anyway.
void OnnxModel::tell_unit(LayerRun& layer) const {
  if (provider_ == nullptr) {
    layer.unit.clear();
    return;
  }
  layer.fell_back = layer.unit != provider_->name();
  layer.unit = layer.fell_back ? "CPU" : provider_->unit();
  // What the processor took over says nothing of what the model is computed in.
  if (layer.fell_back) layer.computes = false;
}

Result<std::vector<std::vector<LayerRun>>> OnnxModel::kept_layers() {
  Result<std::string> path = end_profile();
  if (!path) return path.failure();
  if (path.value().empty()) return std::vector<std::vector<LayerRun>>();
  std::vector<std::vector<LayerRun>> runs = read_profile(path.value());
  (void)std::remove(path.value().c_str());
  for (std::vector<LayerRun>& layers : runs) {
    for (LayerRun& layer : layers) tell_unit(layer);
  }
  if (provider_ != nullptr) provider_->add_parts(counts_path(), runs);
  return without_first(join_samples(std::move(runs), samples_.size()));
}

}  // namespace dx
