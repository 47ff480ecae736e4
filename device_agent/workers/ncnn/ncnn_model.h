// ncnn as a worker's runtime.
#pragma once

#include <allocator.h>
#include <mat.h>
#include <net.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "ncnn_facts.h"
#include "workers/core/runtime.h"
#include "workers/ncnn/param_file.h"

namespace dx {

class NcnnRuntime : public Runtime {
 public:
  const WorkerFacts& facts() const override { return ncnn_worker::kFacts; }
  std::string version() const override;
  std::vector<std::string> features() const override;
  Result<std::unique_ptr<Model>> load(const Load& request) override;
};

// A batch runs sample by sample, so that each sample's numbers are those of a single run.
//
// The first run of inputs of new dims goes layer by layer and compares each layer's input with the
// size of its weights: ncnn itself would read beyond them, or compute nonsense without a word. Its
// time is the sum of the layers'.
class NcnnModel : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Load& request);

  const ModelInfo& info() const override { return info_; }
  Status set_inputs(const std::vector<Tensor>& inputs) override;
  Result<std::int64_t> run() override;
  void stay_awake(bool awake) override;
  Result<std::vector<Tensor>> outputs() const override;
  Result<std::vector<LayerRun>> run_layers() override;

 private:
  using Dims = std::vector<std::int64_t>;
  using Mats = std::vector<ncnn::Mat>;  // one an input, or one an output

  struct Port {
    std::string name;
    int blob = 0;
    Dims dims;  // empty where the file does not say
  };

  NcnnModel() = default;

  Status load_files(const std::string& param, const std::string& bin);
  Status check_int8(const std::string& param) const;
  Status find_inputs();
  Status find_outputs(const std::vector<std::string>& names);
  void mark_needed_layers();
  static TensorInfo info_of(const Port& port);
  void describe();

  Result<std::size_t> samples_of(const std::vector<Tensor>& inputs) const;
  Result<const Tensor*> tensor_for(const Port& port, const std::vector<Tensor>& inputs) const;
  Status check(const Tensor& tensor, const Port& port) const;

  Status begin(ncnn::Extractor& extractor, const Mats& inputs) const;
  Result<std::int64_t> run_whole(const Mats& inputs, Mats& results) const;
  Status run_by_layer(const Mats& inputs, Mats& results, std::vector<LayerRun>& runs) const;
  Status run_layer(ncnn::Extractor& extractor, std::size_t index, std::vector<Dims>& blob_dims,
                   Mats& results, LayerRun& run) const;
  // Those outputs that are among the blobs.
  Status take_outputs(ncnn::Extractor& extractor, const std::vector<int>& blobs,
                      Mats& results) const;
  std::string precision_of(const ncnn::Layer& layer, int element_bits) const;

  // Mats return to the pools that they came from, so these live longest.
  mutable ncnn::PoolAllocator blob_pool_;
  mutable ncnn::PoolAllocator workspace_pool_;
  ncnn::Net net_;
  ParamFile params_;
  ModelInfo info_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
  std::vector<std::size_t> output_order_;  // indexes of outputs_ in the order of their layers
  std::vector<bool> needed_;               // layers that the outputs need

  std::vector<Mats> samples_;
  std::vector<Mats> results_;
  std::vector<Dims> input_dims_;  // of the samples
  std::set<std::vector<Dims>> checked_;
  bool batched_ = false;
};

}  // namespace dx
