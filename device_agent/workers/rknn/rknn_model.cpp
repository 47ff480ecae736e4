#include "workers/rknn/rknn_model.h"

#include <chrono>
#include <cstring>
#include <utility>

#include "common/tensors.h"
#include "workers/rknn/elements.h"
#include "workers/rknn/layer_table.h"

namespace dx {
namespace {

constexpr const char* kNotRun = "the NPU did not run the model";

std::string_view sample_of(const Tensor& tensor, std::size_t index, std::size_t bytes) {
  return std::string_view(tensor.data).substr(index * bytes, bytes);
}

}  // namespace

Status RknnModel::set_inputs(const std::vector<Tensor>& inputs) {
  samples_.clear();
  found_.clear();
  timed_.reset();
  std::vector<Port> ports;
  for (const Place& place : inputs_) ports.push_back(place.port);
  Result<Fed> fed = fit_inputs(ports, inputs);
  if (!fed) return fed.failure();
  batched_ = fed.value().batched;
  std::vector<Sample> samples(fed.value().samples);
  for (std::size_t sample = 0; sample < samples.size(); ++sample) {
    for (std::size_t i = 0; i < inputs_.size(); ++i) {
      const Place& place = inputs_[i];
      const std::size_t bytes = place.attributes.elements * sizeof(float);
      const Tensor& tensor = *fed.value().tensors[i];
      if (tensor.data.size() < (sample + 1) * bytes) {
        return Failure{FailureCode::kRuntimeRefused,
                       "input '" + place.port.name + "' does not hold what its dims say",
                       Phase::kUnspecified};
      }
      samples[sample].push_back(in_order(sample_of(tensor, sample, bytes), place.attributes));
    }
  }
  samples_ = std::move(samples);
  return shares_memory_ && samples_.size() == 1 ? feed(0) : Status{};
}

// Before what is timed.
Status RknnModel::feed(std::size_t sample) {
  if (!shares_memory_) return give(*context_, samples_[sample]);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Place& place = inputs_[i];
    write_elements(samples_[sample][i], place.attributes, place.memory->address());
  }
  return {};
}

Status RknnModel::give(const RknnContext& context, const Sample& sample) const {
  std::vector<rknn::Input> given;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    rknn::Input input{};
    input.index = static_cast<std::uint32_t>(i);
    input.data = const_cast<float*>(sample[i].data());
    input.bytes = static_cast<std::uint32_t>(sample[i].size() * sizeof(float));
    input.type = rknn::kFloat32;
    input.format = inputs_[i].attributes.format;
    given.push_back(input);
  }
  const int code =
      api_.set_inputs(context.handle(), static_cast<std::uint32_t>(given.size()), given.data());
  if (code == rknn::kSuccess) return {};
  return failed("an input does not reach the NPU", code);
}

Result<std::int64_t> RknnModel::run() {
  std::int64_t ns = 0;
  std::vector<std::vector<std::string>> found;
  for (std::size_t sample = 0; sample < samples_.size(); ++sample) {
    // Inputs in shared memory stay there; those that the library took are given again.
    if (samples_.size() > 1 || !shares_memory_) {
      if (Status status = feed(sample); !status) return status.failure();
    }
    const auto start = std::chrono::steady_clock::now();
    const int code = api_.run(context_->handle(), nullptr);
    const auto took = std::chrono::steady_clock::now() - start;
    if (code != rknn::kSuccess) return failed(kNotRun, code).failure();
    ns += std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
    std::vector<std::string> contents;
    if (Status status = take(*context_, contents); !status) return status.failure();
    found.push_back(std::move(contents));
  }
  found_ = std::move(found);
  return ns;
}

// All outputs, also where some are not wanted: newer libraries insist on it.
Status RknnModel::take(const RknnContext& context, std::vector<std::string>& contents) const {
  const bool are_shared = shares_memory_ && &context == context_.get();
  std::vector<rknn::Output> taken;
  for (const Place& place : outputs_) {
    contents.emplace_back(place.attributes.elements * sizeof(float), '\0');
    std::string& content = contents.back();
    if (are_shared) std::memcpy(content.data(), place.memory->address(), content.size());
    rknn::Output output{};
    output.wants_float = 1;
    output.is_ours = 1;
    output.index = place.attributes.index;
    output.bytes = static_cast<std::uint32_t>(content.size());
    taken.push_back(output);
  }
  if (are_shared) return {};
  for (std::size_t i = 0; i < taken.size(); ++i) taken[i].data = contents[i].data();
  const auto count = static_cast<std::uint32_t>(taken.size());
  const int code = api_.get_outputs(context.handle(), count, taken.data(), nullptr);
  if (code != rknn::kSuccess) return failed("an output does not come back from the NPU", code);
  (void)api_.release_outputs(context.handle(), count, taken.data());
  return {};
}

Result<std::vector<Tensor>> RknnModel::outputs() const {
  Gathered gathered(batched_);
  for (const std::vector<std::string>& contents : found_) {
    std::vector<Tensor> tensors;
    for (const std::size_t index : wanted_) {
      const Place& place = outputs_[index];
      Tensor tensor;
      tensor.name = place.port.name;
      tensor.dtype = place.port.dtype;
      tensor.dims = place.port.dims;
      tensor.data = in_onnx_order(contents[index], place.attributes);
      tensors.push_back(std::move(tensor));
    }
    if (Status status = gathered.add(std::move(tensors)); !status) return status.failure();
  }
  return std::move(gathered).take();
}

Result<std::vector<LayerRun>> RknnModel::run_layers() {
  if (timed_ == nullptr) {
    int code = rknn::kSuccess;
    timed_ = RknnContext::open(api_, file_->content(), rknn::kCollectTimes, code);
    if (timed_ == nullptr) {
      return failed("the model does not load once more to time its layers", code).failure();
    }
    if (Status status = set_core_mask(*timed_, core_mask_); !status) return status.failure();
  }
  std::vector<LayerRun> layers;
  for (std::size_t sample = 0; sample < samples_.size(); ++sample) {
    Result<std::vector<LayerRun>> told = layers_of(sample);
    if (!told) return told.failure();
    if (layers.empty()) {
      layers = std::move(told).value();
      continue;
    }
    for (std::size_t i = 0; i < layers.size() && i < told.value().size(); ++i) {
      layers[i].ns += told.value()[i].ns;
    }
  }
  return layers;
}

Result<std::vector<LayerRun>> RknnModel::layers_of(std::size_t sample) {
  if (Status status = give(*timed_, samples_[sample]); !status) return status.failure();
  if (const int code = api_.run(timed_->handle(), nullptr); code != rknn::kSuccess) {
    return failed(kNotRun, code).failure();
  }
  // Times are told once the outputs were fetched.
  std::vector<std::string> contents;
  if (Status status = take(*timed_, contents); !status) return status.failure();
  rknn::TimesText times{};
  const int code = timed_->ask(rknn::kLayerTimes, times);
  if (code != rknn::kSuccess || times.text == nullptr) {
    return failed("the library does not tell the times of layers", code).failure();
  }
  return read_layer_table({times.text, static_cast<std::size_t>(times.length)});
}

}  // namespace dx
