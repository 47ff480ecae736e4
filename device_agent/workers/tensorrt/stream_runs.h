// Runs of an engine on one stream, with an execution context and memory of its own.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/ports.h"
#include "workers/tensorrt/device_memory.h"
#include "workers/tensorrt/layers.h"
#include "workers/tensorrt/library.h"
#include "workers/tensorrt/logger.h"

namespace dx {

// An engine's inputs and outputs.
struct EnginePorts {
  std::vector<Port> inputs;
  std::vector<Port> outputs;    // those that are wanted
  std::vector<Port> discarded;  // the engine's others, which want a place, too
};

// A batch runs sample by sample, so that each sample's numbers are those of a single run. All goes
// through the stream in its order: inputs to the GPU, the run between two events, outputs back.
class StreamRuns {
 public:
  // REQUIRES: all that is referred to outlives it.
  StreamRuns(const Library& library, Logger& logger, const EnginePorts& ports, bool uses_graph)
      : library_(library),
        cuda_(library.cuda()),
        logger_(logger),
        ports_(ports),
        uses_graph_(uses_graph) {}

  Status open(nvinfer1::ICudaEngine& engine);

  // Sends inputs on their way, into the memory of those before where their dims are the same.
  // After a failure there are none.
  Status set_inputs(const std::vector<Tensor>& inputs);
  // Waits for all that is in the stream; `what` is the beginning of the sentence.
  Status wait(const std::string& what);

  // Sends a run of all samples on its way. REQUIRES: inputs are set.
  Status start();
  // Waits for it; its nanoseconds on the GPU, without copies.
  Result<std::int64_t> finish();
  // REQUIRES: a run has finished.
  Result<std::vector<Tensor>> outputs() const;

  // Runs sample by sample, each with the times that TensorRT tells of its layers.
  Result<std::vector<LayerTimings>> time_layers();

  const nvinfer1::IExecutionContext& context() const { return *context_; }

 private:
  struct Place {
    Port port;                       // with the dims of this sample
    std::vector<std::int64_t> dims;  // none open
    TensorMemory memory;
  };
  struct Sample {
    std::vector<Place> inputs;
    std::vector<Place> outputs;
    CudaEvent begin{nullptr, nullptr};
    CudaEvent end{nullptr, nullptr};
    CudaGraph graph{nullptr, nullptr};
  };

  bool is_ready_for(const Fed& fed) const;
  Result<Sample> make_sample(const Fed& fed);
  Result<Place> make_input(const Tensor& tensor, const Port& port);
  Status add_outputs(Sample& sample);
  Status fill(Sample& sample, const Fed& fed, std::size_t index);
  Status bind(Sample& sample);
  Status start_sample(Sample& sample);
  Status copy_out(Sample& sample);
  Status enqueue();
  Status record_graph(Sample& sample);
  Failure failed(const std::string& what);

  const Library& library_;
  const CudaApi& cuda_;
  Logger& logger_;
  const EnginePorts& ports_;
  const bool uses_graph_;

  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  CudaStream stream_{nullptr, nullptr};
  std::vector<Sample> samples_;
  bool batched_ = false;
};

}  // namespace dx
