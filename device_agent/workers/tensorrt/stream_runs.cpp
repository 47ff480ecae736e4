#include "workers/tensorrt/stream_runs.h"

#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

#include "common/tensors.h"
#include "common/text.h"
#include "workers/tensorrt/elements.h"
#include "workers/tensorrt/operator.h"

namespace dx {
namespace {

constexpr double kNsInMs = 1e6;
constexpr const char* kNotRun = "TensorRT failed to run the model";

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kUnspecified};
}

std::string shown(const std::string& name) { return "'" + printable(name, 80) + "'"; }

}  // namespace

Status StreamRuns::open(nvinfer1::ICudaEngine& engine) {
  context_.reset(engine.createExecutionContext());
  if (!context_) return failed("TensorRT has no memory to run the engine");
  Result<CudaStream> stream = make_stream(library_);
  if (!stream) return stream.failure();
  stream_ = std::move(stream).value();
  return {};
}

Failure StreamRuns::failed(const std::string& what) {
  return refuse(what + because(logger_) + library_.free_memory_text());
}

Status StreamRuns::wait(const std::string& what) {
  return library_.check(cuda_.cudaStreamSynchronize(stream_.get()), what);
}

// ---- inputs

Status StreamRuns::set_inputs(const std::vector<Tensor>& inputs) {
  Result<Fed> fed = fit_inputs(ports_.inputs, inputs);
  if (!fed || !is_ready_for(fed.value())) samples_.clear();
  if (!fed) return fed.failure();
  batched_ = fed.value().batched;
  std::vector<Sample> samples = std::exchange(samples_, {});
  while (samples.size() < fed.value().samples) {
    Result<Sample> sample = make_sample(fed.value());
    if (!sample) return sample.failure();
    samples.push_back(std::move(sample).value());
  }
  for (std::size_t i = 0; i < samples.size(); ++i) {
    Status filled = fill(samples[i], fed.value(), i);
    if (filled) continue;
    (void)wait(kNotRun);  // memory that a copy reads is not given back before it ends
    return filled;
  }
  samples_ = std::move(samples);
  return {};
}

bool StreamRuns::is_ready_for(const Fed& fed) const {
  if (samples_.size() != fed.samples) return false;
  for (const Sample& sample : samples_) {
    for (std::size_t i = 0; i < sample.inputs.size(); ++i) {
      if (sample.inputs[i].dims != sample_dims(*fed.tensors[i])) return false;
    }
  }
  return true;
}

Result<StreamRuns::Sample> StreamRuns::make_sample(const Fed& fed) {
  Sample sample;
  for (std::size_t i = 0; i < ports_.inputs.size(); ++i) {
    Result<Place> place = make_input(*fed.tensors[i], ports_.inputs[i]);
    if (!place) return place.failure();
    sample.inputs.push_back(std::move(place).value());
  }
  if (Status status = add_outputs(sample); !status) return status.failure();
  for (CudaEvent* const event : {&sample.begin, &sample.end}) {
    Result<CudaEvent> made = make_event(library_);
    if (!made) return made.failure();
    *event = std::move(made).value();
  }
  return sample;
}

Result<StreamRuns::Place> StreamRuns::make_input(const Tensor& tensor, const Port& port) {
  Place place{port, sample_dims(tensor), {}};
  const std::optional<std::size_t> bytes = tensor_bytes(tensor.dtype, place.dims);
  if (!bytes) return refuse("input " + shown(tensor.name) + " does not hold what its dims say");
  Result<TensorMemory> memory = make_memory(library_, *bytes);
  if (!memory) return memory.failure();
  place.memory = std::move(memory).value();
  if (!context_->setInputShape(port.name.c_str(), to_dims(place.dims))) {
    return refuse("TensorRT does not take " + dims_text(place.dims) + " for the input " +
                  shown(port.name) + ", as its engine was built for other sizes" +
                  because(logger_));
  }
  return place;
}

// Their dims follow from the inputs', which are set.
Status StreamRuns::add_outputs(Sample& sample) {
  for (const std::vector<Port>* const ports : {&ports_.outputs, &ports_.discarded}) {
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

Status StreamRuns::fill(Sample& sample, const Fed& fed, std::size_t index) {
  for (std::size_t i = 0; i < sample.inputs.size(); ++i) {
    const Tensor& tensor = *fed.tensors[i];
    const TensorMemory& memory = sample.inputs[i].memory;
    if (tensor.data.size() < (index + 1) * memory.bytes) {
      return refuse("input " + shown(tensor.name) + " does not hold what its dims say");
    }
    std::memcpy(memory.host.get(), tensor.data.data() + index * memory.bytes, memory.bytes);
    const cudaError_t copied =
        cuda_.cudaMemcpyAsync(memory.device.get(), memory.host.get(), memory.bytes,
                              cudaMemcpyHostToDevice, stream_.get());
    if (Status status = library_.check(copied, "an input does not reach the GPU"); !status) {
      return status;
    }
  }
  return {};
}

// ---- runs

Status StreamRuns::start() {
  for (Sample& sample : samples_) {
    Status started = start_sample(sample);
    if (started) continue;
    (void)wait(kNotRun);  // of this run nothing goes on
    return started;
  }
  return {};
}

Status StreamRuns::start_sample(Sample& sample) {
  if (uses_graph_ && sample.graph == nullptr) {
    if (Status status = record_graph(sample); !status) return status;
  }
  if (sample.graph == nullptr) {
    if (Status status = bind(sample); !status) return status;
  }
  cudaStream_t const stream = stream_.get();
  const cudaError_t begun = cuda_.cudaEventRecord(sample.begin.get(), stream);
  if (Status status = library_.check(begun, kNotRun); !status) return status;
  Status queued = sample.graph == nullptr
                      ? enqueue()
                      : library_.check(cuda_.cudaGraphLaunch(sample.graph.get(), stream),
                                       "the recorded run does not start");
  if (!queued) return queued;
  const cudaError_t ended = cuda_.cudaEventRecord(sample.end.get(), stream);
  if (Status status = library_.check(ended, kNotRun); !status) return status;
  return copy_out(sample);
}

Result<std::int64_t> StreamRuns::finish() {
  if (Status status = wait("an output does not come back from the GPU"); !status) {
    return status.failure();
  }
  std::int64_t ns = 0;
  for (const Sample& sample : samples_) {
    float ms = 0;
    const cudaError_t told = cuda_.cudaEventElapsedTime(&ms, sample.begin.get(), sample.end.get());
    if (Status status = library_.check(told, "CUDA does not tell a run's time"); !status) {
      return status.failure();
    }
    ns += static_cast<std::int64_t>(std::llround(static_cast<double>(ms) * kNsInMs));
  }
  return ns;
}

Status StreamRuns::bind(Sample& sample) {
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

Status StreamRuns::enqueue() {
  if (context_->enqueueV3(stream_.get())) return {};
  return failed(kNotRun);
}

// The first run of new shapes does what a recording cannot hold.
Status StreamRuns::record_graph(Sample& sample) {
  const std::string what =
      "the run cannot be recorded, leave the option cuda_graph off for this model";
  if (Status status = bind(sample); !status) return status;
  if (Status status = enqueue(); !status) return status;
  if (Status status = wait(what); !status) return status;
  cudaStream_t const stream = stream_.get();
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

Status StreamRuns::copy_out(Sample& sample) {
  for (std::size_t i = 0; i < ports_.outputs.size(); ++i) {
    const TensorMemory& memory = sample.outputs[i].memory;
    const cudaError_t copied =
        cuda_.cudaMemcpyAsync(memory.host.get(), memory.device.get(), memory.bytes,
                              cudaMemcpyDeviceToHost, stream_.get());
    const std::string what = "an output does not come back from the GPU";
    if (Status status = library_.check(copied, what); !status) return status;
  }
  return {};
}

Result<std::vector<Tensor>> StreamRuns::outputs() const {
  Gathered gathered(batched_);
  for (const Sample& sample : samples_) {
    std::vector<Tensor> tensors;
    for (std::size_t i = 0; i < ports_.outputs.size(); ++i) {
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

Result<std::vector<LayerTimings>> StreamRuns::time_layers() {
  std::vector<LayerTimings> all;
  LayerProfiler profiler;
  for (Sample& sample : samples_) {
    if (Status status = bind(sample); !status) return status.failure();
    context_->setProfiler(&profiler);
    Status queued = enqueue();
    Status ended = wait(kNotRun);
    context_->setProfiler(nullptr);
    if (!queued) return queued.failure();
    if (!ended) return ended.failure();
    all.push_back(profiler.take());
  }
  return all;
}

}  // namespace dx
