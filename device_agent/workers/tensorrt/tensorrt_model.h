// TensorRT as a worker's runtime.
#pragma once

#include <NvInferRuntime.h>

#include <cstddef>
#include <cstdint>
#include <deque>
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
#include "workers/tensorrt/layers.h"
#include "workers/tensorrt/library.h"
#include "workers/tensorrt/logger.h"
#include "workers/tensorrt/stream_runs.h"

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

// Has as many streams as the option says, each with an execution context and memory of its own.
// What is timed is the GPU's work, between two events on the stream; inputs are copied to the GPU
// before, and outputs back after it.
class TensorrtModel : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Load& request);

  const ModelInfo& info() const override { return info_; }
  // Of the first stream.
  Status set_inputs(const std::vector<Tensor>& inputs) override;
  Result<std::int64_t> run() override;
  Result<std::vector<Tensor>> outputs() const override;
  Result<std::vector<LayerRun>> run_layers() override;
  // Of all streams in turns.
  std::size_t streams() const override { return streams_.size(); }
  Status start(const std::vector<Tensor>& inputs) override;
  Result<Finished> finish() override;

 private:
  explicit TensorrtModel(const Library& library) : library_(library) {}

  Result<std::string_view> find_engine(const Load& request,
                                       std::unique_ptr<nvinfer1::IHostMemory>& built,
                                       std::unique_ptr<MappedFile>& prepared) const;
  Status open(const Load& request);
  Status open_streams(const RunOptions& options);
  Status describe(const std::vector<std::string>& wanted);
  Result<Port> port_of(const char* name) const;

  Status failed(const std::string& what);
  const std::vector<LayerRun>& described();

  const Library& library_;
  Logger logger_;
  bool wants_dla_ = false;

  std::unique_ptr<nvinfer1::IRuntime> runtime_;
  std::unique_ptr<nvinfer1::ICudaEngine> engine_;

  ModelInfo info_;
  EnginePorts ports_;
  std::vector<std::unique_ptr<StreamRuns>> streams_;
  std::size_t next_ = 0;                // stream to start on
  std::deque<std::size_t> going_ = {};  // streams whose runs go on, the first first
  std::vector<LayerRun> described_;
};

}  // namespace dx
