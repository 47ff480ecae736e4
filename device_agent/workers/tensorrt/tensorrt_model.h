// TensorRT as a worker's runtime.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "tensorrt_facts.h"
#include "workers/core/mapped_file.h"
#include "workers/core/ports.h"
#include "workers/core/runtime.h"
#include "workers/tensorrt/device_memory.h"
#include "workers/tensorrt/layers.h"
#include "workers/tensorrt/library.h"
#include "workers/tensorrt/logger.h"

namespace dx {

class TensorrtRuntime : public Runtime {
 public:
  const WorkerFacts& facts() const override { return tensorrt_worker::kFacts; }
  // The board's, so that an engine of another version is never looked for.
  std::string version() const override { return board_version(); }
  // The GPU ("sm_87"), for which alone an engine is.
  std::vector<std::string> features() const override;
  // What is prepared is an engine, which takes minutes.
  Status prepare(const Load& request, LoadListener& listener) override;
  Result<std::unique_ptr<Model>> load(const Load& request) override;
};

// A batch runs sample by sample, so that each sample's numbers are those of a single run. What is
// timed is the GPU's work, between two events on the stream; inputs are copied to the GPU before,
// and outputs back after it.
class TensorrtModel : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Load& request);

  const ModelInfo& info() const override { return info_; }
  Status set_inputs(const std::vector<Tensor>& inputs) override;
  Result<std::int64_t> run() override;
  Result<std::vector<Tensor>> outputs() const override;
  Result<std::vector<LayerRun>> run_layers() override;

 private:
  struct Place {
    Port port;                       // with the dims of this sample
    std::vector<std::int64_t> dims;  // none open
    TensorMemory memory;
  };
  struct Sample {
    std::vector<Place> inputs;
    std::vector<Place> outputs;
    CudaGraph graph{nullptr, nullptr};
  };

  explicit TensorrtModel(const Library& library) : library_(library), cuda_(library.cuda()) {}

  Result<std::string_view> find_engine(const Load& request,
                                       std::unique_ptr<nvinfer1::IHostMemory>& built,
                                       std::unique_ptr<MappedFile>& prepared) const;
  Status open(const Load& request);
  Status describe(const std::vector<std::string>& wanted);
  Result<Port> port_of(const char* name) const;

  Result<Place> input_of(const Tensor& tensor, const Port& port, std::size_t sample);
  Result<Sample> make_sample(const Fed& fed, std::size_t index);
  Status add_outputs(Sample& sample);
  Status bind(Sample& sample);
  Status copy_in(Sample& sample);
  Status copy_out(Sample& sample);
  Status start(Sample& sample);
  Status enqueue();
  Status record_graph(Sample& sample);
  Result<std::int64_t> run_sample(Sample& sample);
  Status failed(const std::string& what);
  const std::vector<LayerRun>& described();

  const Library& library_;
  const CudaApi& cuda_;
  Logger logger_;
  bool uses_graphs_ = false;

  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;
  std::unique_ptr<nvinfer1::IExecutionContext> context_;
  CudaStream stream_{nullptr, nullptr};
  CudaEvent begin_{nullptr, nullptr};
  CudaEvent end_{nullptr, nullptr};

  ModelInfo info_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;    // those that are wanted
  std::vector<Port> discarded_;  // the engine's others, which want a place, too

  std::vector<Sample> samples_;
  bool batched_ = false;
  std::vector<LayerRun> described_;
};

}  // namespace dx
