// Rockchip's NPUs as a worker's runtime.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "rknn_facts.h"
#include "workers/core/mapped_file.h"
#include "workers/core/ports.h"
#include "workers/core/runtime.h"
#include "workers/rknn/context.h"
#include "workers/rknn/library.h"
#include "workers/rknn/versions.h"

namespace dx {

class RknnRuntime : public Runtime {
 public:
  const WorkerFacts& facts() const override { return rknn_worker::kFacts; }
  // The board's library, "" where it cannot be opened.
  std::string version() const override;
  std::vector<std::string> features() const override { return {}; }
  Result<std::unique_ptr<Model>> load(const Load& request) override;
};

// Floats go in and come out, in ONNX's order, as the toolkit's simulator has them. A batch runs
// sample by sample. What is timed is the library's own run; inputs are brought to the NPU before
// it, and outputs back after it.
class RknnModel : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Load& request);

  const ModelInfo& info() const override { return info_; }
  Status set_inputs(const std::vector<Tensor>& inputs) override;
  Result<std::int64_t> run() override;
  Result<std::vector<Tensor>> outputs() const override;
  // From a second context, as a library that keeps times runs slower.
  Result<std::vector<LayerRun>> run_layers() override;

 private:
  struct Place {
    Port port;
    rknn::Attributes attributes;
    std::unique_ptr<RknnMemory> memory;  // null: the library converts and copies
  };
  using Sample = std::vector<std::vector<float>>;  // an input each, in the library's order

  explicit RknnModel(const Library& library) : library_(library), api_(library.api()) {}

  Status open(const Load& request);
  Status describe(const Load& request);
  Result<std::vector<Place>> places(rknn::Query query, std::uint32_t count) const;
  Status share_memory();
  Status set_core_mask(const RknnContext& context, const std::string& mask) const;
  void tell_board();

  Status feed(std::size_t sample);
  Status give(const RknnContext& context, const Sample& sample) const;
  Status take(const RknnContext& context, std::vector<std::string>& contents) const;
  Result<std::vector<LayerRun>> layers_of(std::size_t sample);
  Status failed(const std::string& what, int code) const;

  const Library& library_;
  const RknnApi& api_;
  std::string core_mask_;
  RknnVersions versions_;

  // In this order: contexts end before the file, memory before its context.
  std::unique_ptr<MappedFile> file_;
  std::unique_ptr<RknnContext> context_;
  std::unique_ptr<RknnContext> timed_;  // keeps the times of layers; while they are asked for

  ModelInfo info_;
  std::vector<Place> inputs_;
  std::vector<Place> outputs_;
  std::vector<std::size_t> wanted_;  // of the outputs
  bool shares_memory_ = false;

  std::vector<Sample> samples_;
  bool batched_ = false;
  std::vector<std::vector<std::string>> found_;  // a sample's outputs each, after a run
};

}  // namespace dx
