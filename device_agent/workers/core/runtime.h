// What a worker knows of its inference runtime: one class for the runtime, one for a loaded model.
// Calls come from one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

struct ModelInfo {
  std::int64_t load_ns = 0;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
  std::uint32_t threads = 0;
};

// One layer of one run, as it really ran.
struct LayerRun {
  std::uint32_t index = 0;
  std::string name;
  std::string type;
  std::vector<std::int64_t> dims;  // of its first output, slowest axis first, of one sample
  std::uint32_t element_bits = 0;  // of one scalar of it
  std::uint32_t packing = 0;       // scalars per element
  std::string precision;           // "fp32", "fp16", "bf16", "int8"
  bool computes = false;           // false: it only hands on or moves data
  std::int64_t ns = 0;             // summed over the samples of a batch
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;

  // Checks the tensors and copies them into the runtime's layout; every later run takes them.
  // They must be float32 and dense. After a failure there are no inputs.
  virtual Status set_inputs(const std::vector<Tensor>& inputs) = 0;

  // Runs all samples; nanoseconds around the runtime's own calls. REQUIRES: inputs are set.
  virtual Result<std::int64_t> run() = 0;

  // The outputs of the last run() as dense float32. REQUIRES: it succeeded.
  virtual Result<std::vector<Tensor>> outputs() const = 0;

  // Runs all samples, timing each layer that the outputs need. REQUIRES: inputs are set.
  virtual Result<std::vector<LayerRun>> run_layers() = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual std::string name() const = 0;
  virtual std::string version() const = 0;
  // What this build can do beyond the plain CPU, e.g. "vulkan".
  virtual std::vector<std::string> features() const = 0;
  virtual Result<std::unique_ptr<Model>> load(const Load& request) = 0;
};

}  // namespace dx
