// OpenVINO as a worker's runtime.
#pragma once

#include <openvino/c/openvino.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "openvino_facts.h"
#include "workers/core/mapped_file.h"
#include "workers/core/onnx_file.h"
#include "workers/core/ports.h"
#include "workers/core/runtime.h"
#include "workers/openvino/library.h"
#include "workers/openvino/properties.h"

namespace dx {

class OpenvinoRuntime : public Runtime {
 public:
  const WorkerFacts& facts() const override { return openvino_worker::kFacts; }
  std::string version() const override { return pinned_version(); }
  std::vector<std::string> features() const override { return {}; }
  // What is prepared is the model after OpenVINO's own rewriting, so that a load neither reads ONNX
  // nor does that again.
  Status prepare(const Load& request, LoadListener& listener) override;
  Result<std::unique_ptr<Model>> load(const Load& request) override;
};

// Where a model's files lie, and what is to become of them.
struct Source {
  std::string onnx;
  std::string plugin;
  std::vector<std::string> inside;  // tensors inside that are outputs, too
  OnnxNames names;
  Properties properties;
};

// A batch runs sample by sample, so that each sample's numbers are those of a single run.
//
// Layer times come from a second compilation, which is there while they are asked for: one that
// notes times is slower.
class OpenvinoModel : public Model {
 public:
  static Result<std::unique_ptr<Model>> load(const Load& request);
  // Makes the file `request.prepared_path`.
  static Status prepare(const Load& request);

  const ModelInfo& info() const override { return info_; }
  Status set_inputs(const std::vector<Tensor>& inputs) override;
  Result<std::int64_t> run() override;
  Result<std::vector<Tensor>> outputs() const override;
  Result<std::vector<LayerRun>> run_layers() override;

 private:
  using OpenvinoPort = Owned<ov_output_const_port_t>;
  using OpenvinoTensor = Owned<ov_tensor_t>;

  // A compiled model with a request for each sample of the inputs.
  struct Compiled {
    Owned<ov_compiled_model_t> model;
    std::vector<OpenvinoPort> inputs;
    std::vector<OpenvinoPort> outputs;
    std::vector<Owned<ov_infer_request_t>> requests;
  };

  OpenvinoModel(const Library& library, Source source);

  static Result<std::unique_ptr<OpenvinoModel>> open(const Load& request);
  Result<Owned<ov_compiled_model_t>> compile(bool notes_times) const;
  Result<Owned<ov_compiled_model_t>> import() const;
  Result<Owned<ov_compiled_model_t>> read() const;

  Status describe(const std::vector<std::string>& wanted);
  Result<std::uint32_t> threads() const;
  Result<Port> port_of(const std::string& name, bool is_input) const;
  // By its name, else by its place in the file: what only hands its input on has one name for both.
  Result<OpenvinoPort> find_port(const ov_compiled_model_t* model, const std::string& name,
                                 bool is_input) const;
  Status find_ports(Compiled& compiled) const;

  Result<OpenvinoTensor> tensor_of(const Tensor& tensor, std::size_t sample) const;
  Status feed(Compiled& compiled) const;
  Result<std::int64_t> run(Compiled& compiled, std::size_t sample) const;
  ov_status_e read_dims(const ov_tensor_t* tensor, std::vector<std::int64_t>& dims) const;
  Result<Tensor> output_of(const ov_infer_request_t* request, std::size_t output) const;
  Result<std::vector<LayerRun>> noted_layers(const ov_infer_request_t* request) const;

  const Library& library_;
  const OpenvinoApi& api_;
  const Source source_;

  Owned<ov_core_t> core_{nullptr, nullptr};
  // Of a model that was prepared: its weights stay there. Null where it is read from its ONNX file.
  std::unique_ptr<MappedFile> prepared_;
  ModelInfo info_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;

  std::vector<std::vector<OpenvinoTensor>> samples_;  // the inputs of each
  bool batched_ = false;
  Compiled compiled_{{nullptr, nullptr}, {}, {}, {}};
  std::unique_ptr<Compiled> noting_;
};

}  // namespace dx
