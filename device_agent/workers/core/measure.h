// The timing loops. They know a Model and a listener, and neither sockets nor output: the worker's
// socket loop and its bare mode measure with the same code.
#pragma once

#include <cstdint>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/runtime.h"

namespace dx {

// Is told what happens, always outside of what is timed. A failure ends the measurement.
class MeasureListener {
 public:
  virtual ~MeasureListener() = default;
  // A phase begins, or goes on: a sign of life.
  virtual Status on_phase(Phase phase) = 0;
  // New samples in nanoseconds, in the order in which they were taken.
  virtual Status on_samples(const std::vector<std::int64_t>& ns) = 0;
  // Asked between two runs.
  virtual bool cancelled() = 0;
};

// Times one run of the inputs already set apart, warms up, then times `iterations` runs or runs
// for `seconds` (of the two the one that is not 0), and at last reads the precision of each layer
// in a run of its own. With request.feed_back each run but the first is a step: it takes what the
// one before it gave, and nothing of that is timed. REQUIRES: request.inputs are the model's.
Result<BenchDone> bench(Model& model, const Bench& request, MeasureListener& listener);

struct ProfileResult {
  std::vector<LayerTimes> layers;
  std::vector<std::int64_t> whole_ns;
};

// Times layer by layer and undivided runs in turns, so that a drift of the clock hits both alike.
// Ignores request.inputs.
Result<ProfileResult> profile(Model& model, const Profile& request, MeasureListener& listener);

}  // namespace dx
