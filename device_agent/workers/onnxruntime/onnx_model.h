// ONNX Runtime as a worker's runtime.
#pragma once

#include <onnxruntime_c_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/ports.h"
#include "workers/core/runtime.h"
#include "workers/onnxruntime/library.h"
#include "workers/onnxruntime/provider.h"

namespace dx {

// On the processor, or by a provider, which it does not own.
class OnnxRuntime : public Runtime {
 public:
  explicit OnnxRuntime(const WorkerFacts& facts, const Provider* provider = nullptr)
      : facts_(facts), provider_(provider) {}

  const WorkerFacts& facts() const override { return facts_; }
  std::string version() const override {
    return provider_ == nullptr ? pinned_version() : provider_->version();
  }
  std::vector<std::string> features() const override { return {}; }
  Status prepare(const Load& request, LoadListener& listener) override;
  Result<std::unique_ptr<Model>> load(const Load& request) override;

 private:
  const WorkerFacts& facts_;
  const Provider* const provider_;
};

// A batch runs sample by sample, so that each sample's numbers are those of a single run.
//
// Inputs are copied into the library's own memory once. An output whose shape the model tells, and
// that has it in the first run, is written into the same memory by every later run.
//
// Tensors inside the model can be asked for, which keeps nodes from being joined there.
//
// Layer times come from a second session, which is there while they are asked for: a session that
// notes times is slower, and tells them when it ends.
class OnnxModel : public Model {
 public:
  // Makes the file `request.prepared_path`, which holds the tensors that are asked for, too.
  static Status prepare(const Load& request, const Provider& provider);
  static Result<std::unique_ptr<Model>> load(const Load& request, const Provider* provider);
  ~OnnxModel() override;

  const ModelInfo& info() const override { return info_; }
  Status set_inputs(const std::vector<Tensor>& inputs) override;
  Result<std::int64_t> run() override;
  Result<std::vector<Tensor>> outputs() const override;
  Result<std::vector<LayerRun>> run_layers() override;
  Result<std::vector<std::vector<LayerRun>>> kept_layers() override;

 private:
  using Dims = std::vector<std::int64_t>;
  using Value = Owned<OrtValue>;
  using Values = std::vector<Value>;

  // One sample of the inputs, bound to a session.
  struct Bound {
    Owned<OrtIoBinding> binding;
    bool keeps_outputs = false;
  };

  // The session that notes times.
  struct Profiled {
    Owned<OrtSession> session;
    std::vector<Bound> bound;
  };

  OnnxModel(const Library& library, const Load& request, const Provider* provider);

  static Result<std::unique_ptr<OnnxModel>> open(const Load& request, const Provider* provider);

  Result<Owned<OrtSession>> open_session(const std::string& profile_prefix, std::uint32_t& threads);
  Result<Owned<OrtSession>> open_session(const std::string& profile_prefix, bool strict,
                                         std::uint32_t& threads) const;
  // A refusal by the provider, with the nodes that it leaves to the processor.
  Failure refused(const Failure& failure) const;
  Result<OrtSession*> make_session(const OrtSessionOptions* options) const;
  Status describe();
  // Opens the session again, with those of `names` among its outputs that are tensors inside.
  Status open_inside(const std::vector<std::string>& names);
  Result<Port> port_of(std::size_t index, bool is_input) const;
  Status choose_outputs(const std::vector<std::string>& names);

  Result<Value> value_of(const Tensor& tensor, std::size_t sample) const;
  Result<std::vector<Bound>> bind(OrtSession* session) const;

  Result<std::int64_t> run(OrtSession* session, std::vector<Bound>& bound) const;
  Status keep_outputs(Bound& bound) const;
  Result<Values> values_of(const Bound& bound) const;
  Result<Tensor> tensor_of(const OrtValue* value, const std::string& name) const;

  Status start_profile();
  Result<std::string> end_profile();
  void tell_unit(LayerRun& layer) const;
  // Where a provider writes what its nodes take.
  std::string counts_path() const { return profile_prefix_ + ".csv"; }

  const Library& library_;
  const OrtApi& api_;
  const Provider* const provider_;
  const Load request_;
  const std::string path_;
  const std::string profile_prefix_;
  std::string prepared_;  // the content of what was prepared, "" where the model is read itself
  std::string keep_at_;   // where a session writes what it makes of the model, "" for nowhere
  const std::string operators_;  // the library of operators of our own, "" for none

  std::vector<std::string> inside_;  // tensors inside that are outputs, too
  Owned<OrtSession> session_{nullptr, nullptr};
  ModelInfo info_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;

  std::vector<Values> samples_;  // the inputs of each
  std::vector<Bound> bound_;     // of session_
  bool batched_ = false;
  std::unique_ptr<Profiled> profiled_;
};

}  // namespace dx
