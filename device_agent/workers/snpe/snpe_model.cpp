#include "workers/snpe/snpe_model.h"

#include <chrono>
#include <optional>
#include <utility>

#include "common/tensors.h"
#include "common/text.h"

namespace dx {
namespace {

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kUnspecified};
}

std::string shown(const std::string& name) { return "'" + printable(name, 80) + "'"; }

}  // namespace

Status SnpeModel::set_inputs(const std::vector<Tensor>& inputs) {
  samples_.clear();
  Result<Fed> fed = fit_inputs(inputs_, inputs);
  if (!fed) return fed.failure();
  batched_ = fed.value().batched;
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < fed.value().samples; ++i) {
    Result<Sample> sample = make_sample(fed.value(), i);
    if (!sample) return sample.failure();
    samples.push_back(std::move(sample).value());
  }
  samples_ = std::move(samples);
  return {};
}

Result<SnpeModel::Sample> SnpeModel::make_sample(const Fed& fed, std::size_t index) const {
  const SnpeApi& api = library_.api();
  Sample sample{std::vector<std::string>(inputs_.size()),
                std::vector<std::string>(outputs_.size()),
                {},
                Handle(api.Snpe_UserBufferMap_Create(), api.Snpe_UserBufferMap_Delete),
                Handle(api.Snpe_UserBufferMap_Create(), api.Snpe_UserBufferMap_Delete)};
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const Tensor& tensor = *fed.tensors[i];
    const std::size_t bytes = tensor.data.size() / fed.samples;
    sample.inputs[i] = tensor.data.substr(index * bytes, bytes);
    if (Status status = add_buffer(sample, sample.input_map, inputs_[i], sample.inputs[i]);
        !status) {
      return status.failure();
    }
  }
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const std::optional<std::size_t> bytes = tensor_bytes("float32", outputs_[i].dims);
    if (!bytes) {
      return refuse("output " + shown(outputs_[i].name) + " is " + dims_text(outputs_[i].dims) +
                    ", which is more than 1 GiB");
    }
    sample.outputs[i].assign(*bytes, '\0');
    if (Status status = add_buffer(sample, sample.output_map, outputs_[i], sample.outputs[i]);
        !status) {
      return status.failure();
    }
  }
  return sample;
}

// Strides are bytes, dense, slowest axis first.
Status SnpeModel::add_buffer(Sample& sample, const Handle& map, const Port& port,
                             std::string& bytes) const {
  const SnpeApi& api = library_.api();
  std::vector<std::size_t> strides(port.dims.size());
  std::size_t stride = sizeof(float);
  for (std::size_t i = port.dims.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= static_cast<std::size_t>(port.dims[i]);
  }
  const Handle shape(api.Snpe_TensorShape_CreateDimsSize(strides.data(), strides.size()),
                     api.Snpe_TensorShape_Delete);
  const Handle floats(api.Snpe_UserBufferEncodingFloat_Create(),
                      api.Snpe_UserBufferEncodingFloat_Delete);
  Handle buffer(
      api.Snpe_Util_CreateUserBuffer(bytes.data(), bytes.size(), shape.get(), floats.get()),
      api.Snpe_IUserBuffer_Delete);
  if (!buffer ||
      api.Snpe_UserBufferMap_Add(map.get(), port.name.c_str(), buffer.get()) != SNPE_SUCCESS) {
    return library_.failure("SNPE takes no buffer for " + shown(port.name));
  }
  sample.buffers.push_back(std::move(buffer));
  return {};
}

Result<std::int64_t> SnpeModel::run() {
  std::int64_t ns = 0;
  for (Sample& sample : samples_) {
    const auto start = std::chrono::steady_clock::now();
    const Snpe_ErrorCode_t ran = library_.api().Snpe_SNPE_ExecuteUserBuffers(
        built_.network.get(), sample.input_map.get(), sample.output_map.get());
    const auto took = std::chrono::steady_clock::now() - start;
    if (ran != SNPE_SUCCESS) return library_.failure("SNPE failed to run the model");
    ns += std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
  }
  return ns;
}

Result<std::vector<Tensor>> SnpeModel::outputs() const {
  Gathered gathered(batched_);
  for (const Sample& sample : samples_) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      tensors.push_back({outputs_[i].name, "float32", outputs_[i].dims, sample.outputs[i], false});
    }
    if (Status status = gathered.add(std::move(tensors)); !status) return status.failure();
  }
  return std::move(gathered).take();
}

Result<std::vector<LayerRun>> SnpeModel::run_layers() {
  Result<std::int64_t> ns = run();
  if (!ns) return ns.failure();
  std::vector<LayerRun> layers;
  for (const Place& place : built_.order.places) {
    const bool is_first = layers.empty();
    LayerRun layer;
    layer.index = static_cast<std::uint32_t>(layers.size());
    layer.name = is_first ? "the whole model, as SNPE tells no layers"
                          : "what " + layers.back().type + " refuses of it";
    layer.type = place.name;
    layer.precision = place.precision;
    layer.unit = place.unit;
    layer.computes = true;
    layer.fell_back = !is_first && place.name == processor().name;
    layer.ns = is_first ? ns.value() : 0;
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace dx
