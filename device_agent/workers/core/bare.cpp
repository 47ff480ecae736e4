#include "workers/core/bare.h"

#include <unistd.h>

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/statistics.h"
#include "workers/core/made_up.h"
#include "workers/core/measure.h"

namespace dx {
namespace {

// Prints where nothing is timed; keeps what the summary needs.
class Printer : public MeasureListener {
 public:
  explicit Printer(bool summary) : summary_(summary) {}

  Status on_phase(Phase) override { return {}; }
  Status on_samples(const std::vector<std::int64_t>& ns) override {
    if (summary_) {
      samples_.insert(samples_.end(), ns.begin(), ns.end());
      return {};
    }
    for (const std::int64_t sample : ns) std::printf("%" PRId64 "\n", sample);
    return {};
  }
  bool cancelled() override { return false; }

  const std::vector<std::int64_t>& samples() const { return samples_; }

 private:
  const bool summary_;
  std::vector<std::int64_t> samples_;
};

class Silent : public LoadListener {
 public:
  void on_phase(Phase) override {}
  void on_progress(double, const std::string&) override {}
};

void print_summary(const std::vector<std::int64_t>& samples) {
  const std::optional<Statistics> found = summarize(samples);
  if (!found) return;
  std::printf("min %.1f\nmean %.1f\nstdev %.1f\np50 %.1f\np90 %.1f\np99 %.1f\n", found->min,
              found->mean, found->stdev, found->p50, found->p90, found->p99);
}

void describe(const ModelInfo& info, const BenchDone& done) {
  std::fprintf(stderr, "load %" PRId64 " ns, first run %" PRId64 " ns, threads %u, layers",
               info.load_ns, done.first_run_ns, info.threads);
  for (const PrecisionCount& count : done.precisions) {
    std::fprintf(stderr, " %s %u", count.precision.c_str(), count.layers);
  }
  std::fprintf(stderr, done.precisions.empty() ? " not told" : "");
  for (const UnitCount& count : done.units) {
    std::fprintf(stderr, ", %u on the %s", count.layers, count.unit.c_str());
  }
  std::fprintf(stderr, "\n");
}

}  // namespace

Status run_bare(Runtime& runtime, CommandLine line) {
  const std::string prepared = line.load.prepared_path;
  const bool prepare =
      runtime.facts().prepares && !prepared.empty() && access(prepared.c_str(), F_OK) != 0;
  line.load.prepare = prepare;
  if (prepare) line.load.prepared_path += ".part";
  Silent silent;
  Result<std::unique_ptr<Model>> loaded = load_model(runtime, line.load, silent);
  if (!loaded) return loaded.failure();
  if (prepare && std::rename(line.load.prepared_path.c_str(), prepared.c_str()) != 0) {
    return Failure{FailureCode::kInternal, "cannot write " + prepared, Phase::kPrepare};
  }
  Model& model = *loaded.value();
  for (Tensor& tensor : line.bench.inputs) fill_with_noise(tensor);
  if (Status status = model.set_inputs(line.bench.inputs); !status) return status;
  Printer printer(line.summary);
  Result<BenchDone> done = bench(model, line.bench, printer);
  if (!done) return done.failure();
  if (line.summary) print_summary(printer.samples());
  describe(model.info(), done.value());
  return {};
}

}  // namespace dx
