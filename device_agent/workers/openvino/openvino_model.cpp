#include "workers/openvino/openvino_model.h"

#include <chrono>
#include <cstring>
#include <optional>
#include <utility>

#include "common/tensors.h"
#include "common/text.h"
#include "workers/openvino/elements.h"
#include "workers/openvino/layer_times.h"

namespace dx {
namespace {

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kUnspecified};
}

template <class Whole>
std::optional<std::string> beyond_32_bits(const char* data, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; i += sizeof(Whole)) {
    Whole value = 0;
    std::memcpy(&value, data + i, sizeof value);
    if (static_cast<Whole>(static_cast<std::int32_t>(value)) != value) {
      return std::to_string(value);
    }
  }
  return std::nullopt;
}

// The first value of a sample that would become another one.
std::optional<std::string> beyond_32_bits(const Tensor& tensor, std::size_t bytes,
                                          std::size_t sample) {
  const char* const data = tensor.data.data() + sample * bytes;
  if (tensor.dtype == "int64") return beyond_32_bits<std::int64_t>(data, bytes);
  if (tensor.dtype == "uint64") return beyond_32_bits<std::uint64_t>(data, bytes);
  return std::nullopt;
}

}  // namespace

// ---- inputs

Status OpenvinoModel::set_inputs(const std::vector<Tensor>& inputs) {
  noting_.reset();  // Of a measurement that was cancelled.
  samples_.clear();
  Result<Fed> fed = fit_inputs(inputs_, inputs);
  if (!fed) return fed.failure();
  batched_ = fed.value().batched;
  std::vector<std::vector<OpenvinoTensor>> samples(fed.value().samples);
  for (const Tensor* tensor : fed.value().tensors) {
    for (std::size_t i = 0; i < samples.size(); ++i) {
      Result<OpenvinoTensor> made = tensor_of(*tensor, i);
      if (!made) return made.failure();
      samples[i].push_back(std::move(made).value());
    }
  }
  samples_ = std::move(samples);
  Status status = feed(compiled_);
  if (!status) samples_.clear();
  return status;
}

Result<OpenvinoModel::OpenvinoTensor> OpenvinoModel::tensor_of(const Tensor& tensor,
                                                               std::size_t sample) const {
  std::vector<std::int64_t> dims = sample_dims(tensor);
  const std::optional<ov_element_type_e> type = element_type(tensor.dtype);
  const std::optional<std::size_t> bytes = tensor_bytes(tensor.dtype, dims);
  if (!type || !bytes || tensor.data.size() < (sample + 1) * *bytes) {
    return refuse("input '" + printable(tensor.name, 80) + "' does not hold what its dims say");
  }
  if (const auto value = beyond_32_bits(tensor, *bytes, sample)) {
    return refuse("input '" + printable(tensor.name, 80) + "' holds " + *value +
                  "; OpenVINO computes whole numbers of 64 bits in 32");
  }
  const std::string what = "OpenVINO has no memory for the inputs";
  const ov_shape_t shape{static_cast<std::int64_t>(dims.size()), dims.data()};
  ov_tensor_t* made = nullptr;
  if (Status status = library_.check(api_.ov_tensor_create(*type, shape, &made), what); !status) {
    return status.failure();
  }
  OpenvinoTensor owned(made, api_.ov_tensor_free);
  if (*bytes == 0) return owned;
  void* data = nullptr;
  if (Status status = library_.check(api_.ov_tensor_data(made, &data), what); !status) {
    return status.failure();
  }
  std::memcpy(data, tensor.data.data() + sample * *bytes, *bytes);
  return owned;
}

Status OpenvinoModel::feed(Compiled& compiled) const {
  const std::string what = "OpenVINO does not take the tensors";
  while (compiled.requests.size() < samples_.size()) {
    ov_infer_request_t* request = nullptr;
    const ov_status_e made =
        api_.ov_compiled_model_create_infer_request(compiled.model.get(), &request);
    if (Status status = library_.check(made, what); !status) return status;
    compiled.requests.emplace_back(request, api_.ov_infer_request_free);
  }
  while (compiled.requests.size() > samples_.size()) compiled.requests.pop_back();
  for (std::size_t sample = 0; sample < samples_.size(); ++sample) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const ov_status_e set = api_.ov_infer_request_set_tensor_by_const_port(
          compiled.requests[sample].get(), compiled.inputs[i].get(), samples_[sample][i].get());
      if (Status status = library_.check(set, what); !status) return status;
    }
  }
  return {};
}

// ---- runs

Result<std::int64_t> OpenvinoModel::run() {
  std::int64_t ns = 0;
  for (std::size_t sample = 0; sample < samples_.size(); ++sample) {
    Result<std::int64_t> took = run(compiled_, sample);
    if (!took) return took.failure();
    ns += took.value();
  }
  return ns;
}

Result<std::int64_t> OpenvinoModel::run(Compiled& compiled, std::size_t sample) const {
  ov_infer_request_t* const request = compiled.requests[sample].get();
  const auto start = std::chrono::steady_clock::now();
  const ov_status_e ran = api_.ov_infer_request_infer(request);
  const auto took = std::chrono::steady_clock::now() - start;
  if (Status status = library_.check(ran, "OpenVINO failed to run the model"); !status) {
    return status.failure();
  }
  return std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
}

Result<std::vector<Tensor>> OpenvinoModel::outputs() const {
  Gathered gathered(batched_);
  for (const auto& request : compiled_.requests) {
    std::vector<Tensor> sample;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      Result<Tensor> tensor = output_of(request.get(), i);
      if (!tensor) return tensor.failure();
      sample.push_back(std::move(tensor).value());
    }
    if (Status status = gathered.add(std::move(sample)); !status) return status.failure();
  }
  return std::move(gathered).take();
}

// The C interface refuses to give the shape of a single value.
ov_status_e OpenvinoModel::read_dims(const ov_tensor_t* tensor,
                                     std::vector<std::int64_t>& dims) const {
  ov_shape_t shape{};
  std::size_t elements = 0;
  if (const ov_status_e status = api_.ov_tensor_get_shape(tensor, &shape); status != OK) {
    const bool is_single = api_.ov_tensor_get_size(tensor, &elements) == OK && elements == 1;
    return is_single ? OK : status;
  }
  dims.assign(shape.dims, shape.dims + shape.rank);
  api_.ov_shape_free(&shape);
  return OK;
}

Result<Tensor> OpenvinoModel::output_of(const ov_infer_request_t* request,
                                        std::size_t output) const {
  Tensor tensor;
  tensor.name = outputs_[output].name;
  const std::string what = "OpenVINO does not give output '" + printable(tensor.name, 80) + "'";
  ov_tensor_t* found = nullptr;
  const ov_status_e given = api_.ov_infer_request_get_tensor_by_const_port(
      request, compiled_.outputs[output].get(), &found);
  if (Status status = library_.check(given, what); !status) return status.failure();
  const OpenvinoTensor owned(found, api_.ov_tensor_free);
  ov_element_type_e type = DYNAMIC;
  const ov_status_e typed = api_.ov_tensor_get_element_type(found, &type);
  if (Status status = library_.check(typed, what); !status) return status.failure();
  tensor.dtype = element_name(type);
  if (Status status = library_.check(read_dims(found, tensor.dims), what); !status) {
    return status.failure();
  }
  const std::optional<std::size_t> bytes = tensor_bytes(tensor.dtype, tensor.dims);
  if (!bytes) return refuse(what + ": it holds more than 1 GiB: " + dims_text(tensor.dims));
  if (*bytes == 0) return tensor;
  void* data = nullptr;
  if (Status status = library_.check(api_.ov_tensor_data(found, &data), what); !status) {
    return status.failure();
  }
  tensor.data.assign(static_cast<const char*>(data), *bytes);
  return tensor;
}

// ---- layer times

Result<std::vector<LayerRun>> OpenvinoModel::run_layers() {
  const bool is_new = noting_ == nullptr;
  if (is_new) {
    Result<Owned<ov_compiled_model_t>> model = compile(true);
    if (!model) return model.failure();
    noting_ = std::make_unique<Compiled>(Compiled{std::move(model).value(), {}, {}, {}});
    if (Status status = find_ports(*noting_); !status) return status.failure();
    if (Status status = feed(*noting_); !status) return status.failure();
  }
  std::vector<LayerRun> layers;
  // The first run makes room for what the later ones need.
  for (std::size_t sample = 0; is_new && sample < samples_.size(); ++sample) {
    if (Result<std::int64_t> ran = run(*noting_, sample); !ran) return ran.failure();
  }
  for (std::size_t sample = 0; sample < samples_.size(); ++sample) {
    if (Result<std::int64_t> ran = run(*noting_, sample); !ran) return ran.failure();
    Result<std::vector<LayerRun>> noted = noted_layers(noting_->requests[sample].get());
    if (!noted) return noted.failure();
    if (sample == 0) {
      layers = std::move(noted).value();
    } else {
      add_times(layers, noted.value());
    }
  }
  return layers;
}

Result<std::vector<LayerRun>> OpenvinoModel::noted_layers(const ov_infer_request_t* request) const {
  ov_profiling_info_list_t noted{};
  const ov_status_e told = api_.ov_infer_request_get_profiling_info(request, &noted);
  if (Status status = library_.check(told, "OpenVINO does not give the layers' times"); !status) {
    return status.failure();
  }
  std::vector<LayerRun> layers = layers_of(noted);
  api_.ov_profiling_info_list_free(&noted);
  return layers;
}

}  // namespace dx
