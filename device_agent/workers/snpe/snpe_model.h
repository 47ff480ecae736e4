// SNPE as a worker's runtime.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "snpe_facts.h"
#include "workers/core/ports.h"
#include "workers/core/runtime.h"
#include "workers/snpe/build.h"
#include "workers/snpe/library.h"

namespace dx {

class SnpeRuntime : public Runtime {
 public:
  const WorkerFacts& facts() const override { return snpe_worker::kFacts; }
  // Of the SDK that it was compiled with, from which the library comes along.
  std::string version() const override { return compiled_version(); }
  std::vector<std::string> features() const override { return {}; }
  Result<std::unique_ptr<Model>> load(const Load& request) override;
};

// A batch runs sample by sample. Buffers are ours, in float32: SNPE itself turns them into what a
// quantized model computes in, within the call that is timed.
class SnpeModel : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Load& request);
  ~SnpeModel() override;

  const ModelInfo& info() const override { return info_; }
  Status set_inputs(const std::vector<Tensor>& inputs) override;
  Result<std::int64_t> run() override;
  Result<std::vector<Tensor>> outputs() const override;
  // SNPE's interface tells no layers, so that the whole model is one, on the runtimes that it was
  // built for; and one beside it stands for what the processor took because others refused it.
  Result<std::vector<LayerRun>> run_layers() override;

 private:
  struct Sample {
    std::vector<std::string> inputs;  // their bytes, in the order of the ports
    std::vector<std::string> outputs;
    std::vector<Handle> buffers;
    Handle input_map;
    Handle output_map;
  };

  SnpeModel(const Library& library, Built built) : library_(library), built_(std::move(built)) {}

  Status describe();
  Status start_log(const RunOptions& options);
  Result<Port> port_of(const std::string& name) const;
  Result<Sample> make_sample(const Fed& fed, std::size_t index) const;
  Status add_buffer(Sample& sample, const Handle& map, const Port& port, std::string& bytes) const;

  const Library& library_;
  Built built_;
  void* log_ = nullptr;  // the network's own
  ModelInfo info_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
  std::vector<Sample> samples_;
  bool batched_ = false;
};

}  // namespace dx
