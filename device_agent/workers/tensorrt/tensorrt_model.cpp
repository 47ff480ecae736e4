#include "workers/tensorrt/tensorrt_model.h"

#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "common/tensors.h"
#include "common/text.h"
#include "workers/tensorrt/elements.h"

namespace dx {
namespace {

constexpr double kNsInMs = 1e6;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kUnspecified};
}

std::string shown(const std::string& name) { return "'" + printable(name, 80) + "'"; }

}  // namespace

// ---- inputs

Status TensorrtModel::set_inputs(const std::vector<Tensor>& inputs) {
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

Result<TensorrtModel::Sample> TensorrtModel::make_sample(const Fed& fed, std::size_t index) {
  Sample sample;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Result<Place> place = input_of(*fed.tensors[i], inputs_[i], index);
    if (!place) return place.failure();
    sample.inputs.push_back(std::move(place).value());
  }
  if (Status status = add_outputs(sample); !status) return status.failure();
  if (Status status = copy_in(sample); !status) return status.failure();
  return sample;
}

Result<TensorrtModel::Place> TensorrtModel::input_of(const Tensor& tensor, const Port& port,
                                                     std::size_t sample) {
  Place place{port, sample_dims(tensor), {}};
  const std::optional<std::size_t> bytes = tensor_bytes(tensor.dtype, place.dims);
  if (!bytes || tensor.data.size() < (sample + 1) * *bytes) {
    return refuse("input " + shown(tensor.name) + " does not hold what its dims say");
  }
  Result<TensorMemory> memory = make_memory(library_, *bytes);
  if (!memory) return memory.failure();
  place.memory = std::move(memory).value();
  std::memcpy(place.memory.host.get(), tensor.data.data() + sample * *bytes, *bytes);
  if (!context_->setInputShape(port.name.c_str(), to_dims(place.dims))) {
    return refuse("TensorRT does not take " + dims_text(place.dims) + " for the input " +
                  shown(port.name) +
                  ", as its engine was built for other sizes: " + logger_.take_errors());
  }
  return place;
}

// Their dims follow from the inputs', which are set.
Status TensorrtModel::add_outputs(Sample& sample) {
  for (const std::vector<Port>* const ports : {&outputs_, &discarded_}) {
    for (const Port& port : *ports) {
      Place place{port, dims_of(context_->getTensorShape(port.name.c_str())), {}};
      const std::optional<std::size_t> bytes = tensor_bytes(port.dtype, place.dims);
      if (!bytes) {
        return refuse("output " + shown(port.name) + " is " + dims_text(place.dims) +
                      ": its size depends on values, or it holds more than 1 GiB");
      }
      Result<TensorMemory> memory = make_memory(library_, *bytes);
      if (!memory) return memory.failure();
      place.memory = std::move(memory).value();
      sample.outputs.push_back(std::move(place));
    }
  }
  return {};
}

Status TensorrtModel::copy_in(Sample& sample) {
  for (const Place& place : sample.inputs) {
    const TensorMemory& memory = place.memory;
    const cudaError_t copied =
        cuda_.cudaMemcpyAsync(memory.device.get(), memory.host.get(), memory.bytes,
                              cudaMemcpyHostToDevice, stream_.get());
    if (Status status = library_.check(copied, "an input does not reach the GPU"); !status) {
      return status;
    }
  }
  return library_.check(cuda_.cudaStreamSynchronize(stream_.get()),
                        "an input does not reach the GPU");
}

// ---- runs

Result<std::int64_t> TensorrtModel::run() {
  std::int64_t ns = 0;
  for (Sample& sample : samples_) {
    Result<std::int64_t> took = run_sample(sample);
    if (!took) return took.failure();
    ns += took.value();
  }
  return ns;
}

Result<std::int64_t> TensorrtModel::run_sample(Sample& sample) {
  const std::string what = "TensorRT failed to run the model";
  if (uses_graphs_ && sample.graph == nullptr) {
    if (Status status = record_graph(sample); !status) return status.failure();
  }
  if (sample.graph == nullptr) {
    if (Status status = bind(sample); !status) return status.failure();
  }
  if (Status status = library_.check(cuda_.cudaEventRecord(begin_.get(), stream_.get()), what);
      !status) {
    return status.failure();
  }
  if (Status status = start(sample); !status) return status.failure();
  if (Status status = library_.check(cuda_.cudaEventRecord(end_.get(), stream_.get()), what);
      !status) {
    return status.failure();
  }
  if (Status status = copy_out(sample); !status) return status.failure();
  float ms = 0;
  const cudaError_t told = cuda_.cudaEventElapsedTime(&ms, begin_.get(), end_.get());
  if (Status status = library_.check(told, "CUDA does not tell a run's time"); !status) {
    return status.failure();
  }
  return static_cast<std::int64_t>(std::llround(static_cast<double>(ms) * kNsInMs));
}

Status TensorrtModel::bind(Sample& sample) {
  for (const Place& place : sample.inputs) {
    const char* const name = place.port.name.c_str();
    if (!context_->setInputShape(name, to_dims(place.dims)) ||
        !context_->setTensorAddress(name, place.memory.device.get())) {
      return failed("TensorRT does not take the input " + shown(place.port.name));
    }
  }
  for (const Place& place : sample.outputs) {
    if (!context_->setTensorAddress(place.port.name.c_str(), place.memory.device.get())) {
      return failed("TensorRT does not take a place for the output " + shown(place.port.name));
    }
  }
  return {};
}

Status TensorrtModel::start(Sample& sample) {
  if (sample.graph == nullptr) return enqueue();
  return library_.check(cuda_.cudaGraphLaunch(sample.graph.get(), stream_.get()),
                        "the recorded run does not start");
}

Status TensorrtModel::enqueue() {
  if (context_->enqueueV3(stream_.get())) return {};
  return failed("TensorRT failed to run the model");
}

// The first run of new shapes does what a recording cannot hold.
Status TensorrtModel::record_graph(Sample& sample) {
  const std::string what =
      "the run cannot be recorded, leave the option cuda_graph off for this model";
  if (Status status = bind(sample); !status) return status;
  if (Status status = enqueue(); !status) return status;
  cudaStream_t const stream = stream_.get();
  if (Status status = library_.check(cuda_.cudaStreamSynchronize(stream), what); !status) {
    return status;
  }
  const cudaError_t begun = cuda_.cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
  if (Status status = library_.check(begun, what); !status) return status;
  Status queued = enqueue();
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cuda_.cudaStreamEndCapture(stream, &graph);
  if (!queued) return queued;
  if (Status status = library_.check(ended, what); !status) return status;
  cudaGraphExec_t made = nullptr;
  const cudaError_t instantiated = cuda_.cudaGraphInstantiateWithFlags(&made, graph, 0);
  (void)cuda_.cudaGraphDestroy(graph);
  if (Status status = library_.check(instantiated, what); !status) return status;
  sample.graph = CudaGraph(made, cuda_.cudaGraphExecDestroy);
  return {};
}

// ---- outputs

Status TensorrtModel::copy_out(Sample& sample) {
  const std::string what = "an output does not come back from the GPU";
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const TensorMemory& memory = sample.outputs[i].memory;
    const cudaError_t copied =
        cuda_.cudaMemcpyAsync(memory.host.get(), memory.device.get(), memory.bytes,
                              cudaMemcpyDeviceToHost, stream_.get());
    if (Status status = library_.check(copied, what); !status) return status;
  }
  return library_.check(cuda_.cudaStreamSynchronize(stream_.get()), what);
}

Result<std::vector<Tensor>> TensorrtModel::outputs() const {
  Gathered gathered(batched_);
  for (const Sample& sample : samples_) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const Place& place = sample.outputs[i];
      Tensor tensor;
      tensor.name = place.port.name;
      tensor.dtype = place.port.dtype;
      tensor.dims = place.dims;
      tensor.data.assign(static_cast<const char*>(place.memory.host.get()), place.memory.bytes);
      tensors.push_back(std::move(tensor));
    }
    if (Status status = gathered.add(std::move(tensors)); !status) return status.failure();
  }
  return std::move(gathered).take();
}

// ---- layer times

Result<std::vector<LayerRun>> TensorrtModel::run_layers() {
  std::vector<LayerRun> layers;
  LayerProfiler profiler;
  for (Sample& sample : samples_) {
    if (Status status = bind(sample); !status) return status.failure();
    context_->setProfiler(&profiler);
    Status queued = enqueue();
    const cudaError_t ended = cuda_.cudaStreamSynchronize(stream_.get());
    context_->setProfiler(nullptr);
    if (!queued) return queued.failure();
    if (Status status = library_.check(ended, "TensorRT failed to run the model"); !status) {
      return status.failure();
    }
    const std::vector<LayerRun> told = layers_of(described(), profiler.take());
    if (layers.empty()) {
      layers = told;
      continue;
    }
    for (std::size_t i = 0; i < layers.size() && i < told.size(); ++i) layers[i].ns += told[i].ns;
  }
  return layers;
}

const std::vector<LayerRun>& TensorrtModel::described() {
  if (!described_.empty()) return described_;
  const std::unique_ptr<nvinfer1::IEngineInspector> inspector(engine_->createEngineInspector());
  if (!inspector) return described_;
  (void)inspector->setExecutionContext(context_.get());
  for (std::int32_t i = 0; i < engine_->getNbLayers(); ++i) {
    const char* const told =
        inspector->getLayerInformation(i, nvinfer1::LayerInformationFormat::kJSON);
    described_.push_back(described_layer(told == nullptr ? "" : told));
  }
  return described_;
}

}  // namespace dx
