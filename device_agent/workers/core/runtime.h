// What a worker knows of its inference runtime: one class for the runtime, one for a loaded model.
// Calls come from one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/facts.h"

namespace dx {

struct ModelInfo {
  std::int64_t load_ns = 0;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::uint32_t threads = 0;
  std::string runtime_version = {};     // where only loading tells it; "": Runtime::version()
  std::uint64_t accelerator_bytes = 0;  // of an accelerator's memory; 0: not told
};

// One layer of one run, as it really ran. What the runtime does not tell is 0 or "".
struct LayerRun {
  std::uint32_t index = 0;  // tells it from the other layers of the model
  std::string name;
  std::string type;
  std::vector<std::int64_t> dims;  // of its first output, slowest axis first, of one sample
  std::uint32_t element_bits = 0;  // of one scalar of it
  std::uint32_t packing = 0;       // scalars per element
  std::string precision;           // "fp32", "fp16", "bf16", "int8"
  bool computes = false;           // false: it only hands on or moves data
  std::int64_t ns = 0;             // summed over the samples of a batch
  std::string unit = {};           // of a runtime that has several: "NPU", "GPU", "CPU"
  bool fell_back = false;          // an accelerator was asked to compute it, and left it to `unit`
  // Of a part of the layer before it that tells no time, summed likewise; its `ns` is 0 then.
  std::optional<std::int64_t> cycles = {};
};

// What a run that was started gave.
struct Finished {
  std::int64_t ns = 0;  // as of run(); where others ran meanwhile, with what it waited for them
  std::vector<Tensor> outputs;
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;

  // Checks the tensors and copies them into the runtime's layout; every later run takes them.
  // After a failure there are no inputs. REQUIRES: check_tensor() of each: type, dims and bytes
  // belong together. Which types and dims the model takes is for the runtime to say.
  virtual Status set_inputs(const std::vector<Tensor>& inputs) = 0;

  // Runs all samples; nanoseconds around the runtime's own calls. REQUIRES: inputs are set.
  virtual Result<std::int64_t> run() = 0;

  // How many runs can go on beside each other, by start() and finish(); 1: only run() is there.
  virtual std::size_t streams() const { return 1; }

  // Begins a run of these inputs, and waits for nothing. After a failure it has not begun.
  // REQUIRES: as set_inputs(); fewer than streams() runs are going on.
  virtual Status start(const std::vector<Tensor>& inputs);

  // Waits for the run that began first. REQUIRES: one is going on.
  virtual Result<Finished> finish();

  // Whether threads of the runtime that wait for work may keep the processor meanwhile, as runs
  // that are measured want it; others leave it to whoever else is there. At first they may.
  virtual void stay_awake(bool awake) { (void)awake; }

  // The outputs of the last run(), dense. REQUIRES: it succeeded.
  virtual Result<std::vector<Tensor>> outputs() const = 0;

  // Runs all samples, timing each layer that the outputs need. REQUIRES: inputs are set.
  // A runtime that tells times only once the last run is over gives nothing here, and all of them
  // by kept_layers(); one that never tells them gives nothing there either.
  virtual Result<std::vector<LayerRun>> run_layers() = 0;

  // The layers of every run_layers() since this was asked last, one list a run.
  virtual Result<std::vector<std::vector<LayerRun>>> kept_layers() {
    return std::vector<std::vector<LayerRun>>();
  }
};

// Is told how far a load is.
class LoadListener {
 public:
  virtual ~LoadListener() = default;
  virtual void on_phase(Phase phase) = 0;
  // Of a preparation; as often as the runtime lets it. `fraction` is 0 to 1, below 0 where it is
  // not known; `text` says what is being done, or is empty.
  virtual void on_progress(double fraction, const std::string& text) = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  // What the worker's worker.json says.
  virtual const WorkerFacts& facts() const = 0;
  // Of the library; "" where only a load tells it.
  virtual std::string version() const = 0;
  // What this build can do beyond the plain CPU, e.g. "vulkan".
  virtual std::vector<std::string> features() const = 0;

  // Makes the file `request.prepared_path` of the model. Who asked for it keeps the file once the
  // model has been loaded from it, and removes it otherwise. REQUIRES: facts().prepares; as load().
  virtual Status prepare(const Load& request, LoadListener& listener);

  // Where the worker prepares, from `request.prepared_path`, which is there; where that is empty,
  // from the model's files alone, and nothing is kept.
  // REQUIRES: settle_options() of the request's options succeeded.
  virtual Result<std::unique_ptr<Model>> load(const Load& request) = 0;
};

// What every worker does with a Load, over its socket and alone: checks the options, prepares where
// that is asked for, loads.
Result<std::unique_ptr<Model>> load_model(Runtime& runtime, Load request, LoadListener& listener);

// The path of the file of that role; "" where there is none.
std::string path_of(const Load& request, const std::string& role);

// The path of the shared library of that name; "" where none came along.
std::string library_path(const Load& request, const std::string& name);

}  // namespace dx
