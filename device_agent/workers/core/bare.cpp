#include "workers/core/bare.h"

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "common/statistics.h"
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

// Uniform in [-1, 1), the same numbers on every machine: zeros would be faster than data.
void fill(Tensor& tensor) {
  tensor.data.resize(float_bytes(tensor.dims).value_or(0));
  std::uint32_t state = 1;
  for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
    const float value = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
    std::memcpy(&tensor.data[at], &value, sizeof value);
  }
}

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
  std::fprintf(stderr, "\n");
}

}  // namespace

Status run_bare(Runtime& runtime, CommandLine line) {
  Result<std::unique_ptr<Model>> loaded = runtime.load(line.load);
  if (!loaded) return loaded.failure();
  Model& model = *loaded.value();
  for (Tensor& tensor : line.bench.inputs) fill(tensor);
  if (Status status = model.set_inputs(line.bench.inputs); !status) return status;
  Printer printer(line.summary);
  Result<BenchDone> done = bench(model, line.bench, printer);
  if (!done) return done.failure();
  if (line.summary) print_summary(printer.samples());
  describe(model.info(), done.value());
  return {};
}

}  // namespace dx
