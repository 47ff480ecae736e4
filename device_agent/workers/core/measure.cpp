#include "workers/core/measure.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "common/processors.h"
#include "workers/core/steps.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

// Samples travel in groups, and a silence is never longer than this and one run.
constexpr std::chrono::milliseconds kGroupTime{100};
constexpr double kLongestSeconds = 86400;
constexpr std::int64_t kLongestPauseNs = 3600LL * 1000 * 1000 * 1000;

Failure refuse(const std::string& message) { return {FailureCode::kInvalidRequest, message, {}}; }

// Passes samples on in groups, says that the worker lives, and asks whether to go on.
class Reporter {
 public:
  explicit Reporter(MeasureListener& listener) : listener_(listener) {}

  Status enter(Phase phase) {
    phase_ = phase;
    last_message_ = Clock::now();
    return listener_.on_phase(phase);
  }

  void add(std::int64_t ns) { samples_.push_back(ns); }

  // Between two runs. Fails where the measurement was cancelled.
  Status step() {
    if (listener_.cancelled()) {
      return Failure{FailureCode::kCancelled, "the measurement was cancelled", phase_};
    }
    if (Clock::now() - last_message_ < kGroupTime) return {};
    return samples_.empty() ? enter(phase_) : flush();
  }

  Status flush() {
    if (samples_.empty()) return {};
    last_message_ = Clock::now();
    Status status = listener_.on_samples(samples_);
    samples_.clear();
    return status;
  }

 private:
  MeasureListener& listener_;
  Phase phase_ = Phase::kUnspecified;
  Clock::time_point last_message_ = Clock::now();
  std::vector<std::int64_t> samples_;
};

Status pause(std::int64_t pause_ns, Reporter& reporter) {
  const Clock::time_point end = Clock::now() + std::chrono::nanoseconds(pause_ns);
  for (Clock::time_point now = Clock::now(); now < end; now = Clock::now()) {
    std::this_thread::sleep_for(std::min<Clock::duration>(end - now, kGroupTime));
    if (Status status = reporter.step(); !status) return status;
  }
  return {};
}

Status check(const Bench& request) {
  const bool by_time = request.seconds != 0;
  if (by_time == (request.iterations != 0)) {
    return refuse("a bench takes either iterations or seconds, one of them above 0");
  }
  // Written so that a NaN is refused too.
  if (by_time && !(request.seconds > 0 && request.seconds <= kLongestSeconds)) {
    return refuse("a bench takes more than 0 and at most 86400 seconds, got " +
                  std::to_string(request.seconds));
  }
  if (request.pause_ns < 0 || request.pause_ns > kLongestPauseNs) {
    return refuse("the pause between two runs is 0 to 3600 s, got " +
                  std::to_string(request.pause_ns) + " ns");
  }
  return {};
}

// The runs of one bench, each of them a step where outputs are fed back.
class BenchRuns {
 public:
  BenchRuns(Model& model, const Bench& request) : model_(model), request_(request) {}

  Result<std::int64_t> run() {
    if (has_run_ && !request_.feed_back.empty()) {
      if (Status status = step(); !status) return status.failure();
    }
    has_run_ = true;
    return model_.run();
  }

 private:
  Status step() {
    if (!has_begun_) {
      if (Status status = steps_.begin(request_.inputs, request_.feed_back); !status) return status;
      has_begun_ = true;
    }
    Result<std::vector<Tensor>> outputs = model_.outputs();
    if (!outputs) return outputs.failure();
    if (Status status = steps_.end(outputs.value(), request_.feed_back); !status) return status;
    return model_.set_inputs(steps_.inputs());
  }

  Model& model_;
  const Bench& request_;
  Steps steps_;
  bool has_run_ = false;
  bool has_begun_ = false;
};

template <class Runs>
Status warm_up(Runs& model, std::uint32_t runs, Reporter& reporter) {
  for (std::uint32_t i = 0; i < runs; ++i) {
    if (Result<std::int64_t> ns = model.run(); !ns) return ns.failure();
    if (Status status = reporter.step(); !status) return status;
  }
  return {};
}

Result<std::uint64_t> timed_runs(BenchRuns& model, const Bench& request, Reporter& reporter) {
  const Clock::time_point start = Clock::now();
  const std::chrono::duration<double> limit(request.seconds);
  std::uint64_t runs = 0;
  for (;;) {
    Result<std::int64_t> ns = model.run();
    if (!ns) return ns.failure();
    reporter.add(ns.value());
    ++runs;
    const bool done =
        request.iterations != 0 ? runs >= request.iterations : Clock::now() - start >= limit;
    if (done) break;
    if (Status status = reporter.step(); !status) return status.failure();
    if (Status status = pause(request.pause_ns, reporter); !status) return status.failure();
  }
  if (Status status = reporter.flush(); !status) return status.failure();
  return runs;
}

// As many runs as were timed alone, so many beside each other as the model takes.
Result<Throughput> measure_throughput(Model& model, const Bench& request, std::uint64_t runs,
                                      Reporter& reporter) {
  const std::size_t streams = model.streams();
  if (streams < 2 || !request.feed_back.empty() || request.pause_ns > 0) return Throughput{};
  const Clock::time_point start = Clock::now();
  std::uint64_t started = 0;
  std::uint64_t finished = 0;
  // What ends it leaves no run going on, which the model would not expect later.
  const auto ended = [&](Failure failure) {
    for (; finished < started; ++finished) (void)model.finish();
    return failure;
  };
  while (finished < runs) {
    for (; started < runs && started - finished < streams; ++started) {
      if (Status status = model.start(request.inputs); !status) return ended(status.failure());
    }
    Result<Finished> run = model.finish();
    ++finished;
    if (!run) return ended(run.failure());
    if (Status status = reporter.step(); !status) return ended(status.failure());
  }
  const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start);
  return Throughput{static_cast<std::uint32_t>(streams), runs, took.count()};
}

// Looked at around the timed runs, never within them.
struct Waits {
  std::optional<std::int64_t> waited_ns = dx::waited_ns();
  std::optional<std::int64_t> throttled_ns = dx::throttled_ns();
};

std::optional<std::int64_t> grown(std::optional<std::int64_t> before,
                                  std::optional<std::int64_t> after) {
  if (!before || !after) return std::nullopt;
  return std::max<std::int64_t>(0, *after - *before);
}

std::vector<PrecisionCount> count_precisions(const std::vector<LayerRun>& layers) {
  std::vector<PrecisionCount> counts;
  for (const LayerRun& layer : layers) {
    if (!layer.computes || layer.precision.empty()) continue;
    const auto known = std::find_if(counts.begin(), counts.end(), [&](const PrecisionCount& count) {
      return count.precision == layer.precision;
    });
    if (known != counts.end()) {
      ++known->layers;
    } else {
      counts.push_back({layer.precision, 1});
    }
  }
  return counts;
}

std::vector<UnitCount> count_units(const std::vector<LayerRun>& layers) {
  std::vector<UnitCount> counts;
  for (const LayerRun& layer : layers) {
    if (layer.unit.empty() || layer.cycles) continue;  // The layer that it is a part of counts.
    auto known = std::find_if(counts.begin(), counts.end(),
                              [&](const UnitCount& count) { return count.unit == layer.unit; });
    if (known == counts.end()) known = counts.insert(counts.end(), {layer.unit, 0, 0});
    ++known->layers;
    if (layer.fell_back) ++known->fell_back;
  }
  return counts;
}

std::vector<std::string> left_layers(const std::vector<LayerRun>& layers) {
  std::vector<std::string> names;
  for (const LayerRun& layer : layers) {
    if (layer.fell_back) names.push_back(layer.name);
  }
  return names;
}

LayerTimes without_times(const LayerRun& layer) {
  LayerTimes times;
  times.index = layer.index;
  times.name = layer.name;
  times.type = layer.type;
  times.dims = layer.dims;
  times.element_bits = layer.element_bits;
  times.packing = layer.packing;
  times.precision = layer.precision;
  times.unit = layer.unit;
  times.fell_back = layer.fell_back;
  return times;
}

Status profile_whole(Model& model, ProfileResult& result) {
  Result<std::int64_t> ns = model.run();
  if (!ns) return ns.failure();
  result.whole_ns.push_back(ns.value());
  return {};
}

// Adds one run's times to the layers. One that ran several times (in a loop) counts with their sum,
// one that did not run (in a branch) with 0.
void add_run(const std::vector<LayerRun>& layers, std::size_t run, ProfileResult& result) {
  for (const LayerRun& layer : layers) {
    auto known = std::find_if(result.layers.begin(), result.layers.end(),
                              [&layer](const LayerTimes& it) { return it.index == layer.index; });
    if (known == result.layers.end()) {
      known = result.layers.insert(result.layers.end(), without_times(layer));
    }
    std::vector<std::int64_t>& told = layer.cycles ? known->cycles : known->ns;
    told.resize(run + 1);
    told[run] += layer.cycles.value_or(layer.ns);
  }
}

Status profile_layers(Model& model, std::size_t& runs, ProfileResult& result) {
  Result<std::vector<LayerRun>> layers = model.run_layers();
  if (!layers) return layers.failure();
  if (!layers.value().empty()) add_run(layers.value(), runs++, result);
  return {};
}

Status take_kept_layers(Model& model, std::size_t& runs, ProfileResult& result) {
  Result<std::vector<std::vector<LayerRun>>> kept = model.kept_layers();
  if (!kept) return kept.failure();
  for (const std::vector<LayerRun>& layers : kept.value()) add_run(layers, runs++, result);
  for (LayerTimes& layer : result.layers) {
    (layer.cycles.empty() ? layer.ns : layer.cycles).resize(runs);
  }
  return {};
}

// Of one run; none where the model does not tell.
Result<std::vector<LayerRun>> layers_of_a_run(Model& model) {
  Result<std::vector<LayerRun>> layers = model.run_layers();
  if (!layers || !layers.value().empty()) return layers;
  Result<std::vector<std::vector<LayerRun>>> kept = model.kept_layers();
  if (!kept) return kept.failure();
  if (kept.value().empty()) return std::vector<LayerRun>();
  return std::move(kept.value().back());
}

}  // namespace

Result<BenchDone> bench(Model& model, const Bench& request, MeasureListener& listener) {
  if (Status status = check(request); !status) return status.failure();
  Reporter reporter(listener);
  BenchDone done;
  BenchRuns steps(model, request);

  if (Status status = reporter.enter(Phase::kFirstRun); !status) return status.failure();
  Result<std::int64_t> first = steps.run();
  if (!first) return first.failure();
  done.first_run_ns = first.value();

  if (Status status = reporter.enter(Phase::kRun); !status) return status.failure();
  if (Status status = warm_up(steps, request.warmup, reporter); !status) return status.failure();
  const Waits before;
  Result<std::uint64_t> runs = timed_runs(steps, request, reporter);
  if (!runs) return runs.failure();
  const Waits after;
  done.runs = runs.value();
  done.waited_ns = grown(before.waited_ns, after.waited_ns);
  done.throttled_ns = grown(before.throttled_ns, after.throttled_ns);

  Result<Throughput> beside = measure_throughput(model, request, done.runs, reporter);
  if (!beside) return beside.failure();
  done.throughput = beside.value();

  Result<std::vector<LayerRun>> layers = layers_of_a_run(model);
  if (!layers) return layers.failure();
  done.precisions = count_precisions(layers.value());
  done.fell_back = left_layers(layers.value());
  done.units = count_units(layers.value());
  return done;
}

Result<ProfileResult> profile(Model& model, const Profile& request, MeasureListener& listener) {
  if (request.iterations == 0) return refuse("a profile takes at least 1 iteration");
  Reporter reporter(listener);
  if (Status status = reporter.enter(Phase::kFirstRun); !status) return status.failure();
  if (Result<std::int64_t> first = model.run(); !first) return first.failure();
  if (Status status = reporter.enter(Phase::kRun); !status) return status.failure();
  if (Status status = warm_up(model, request.warmup, reporter); !status) return status.failure();

  ProfileResult result;
  std::size_t runs = 0;  // whose layers are known
  for (std::uint32_t i = 0; i < request.iterations; ++i) {
    // Who goes first changes too: the one that follows may find warmer caches.
    const bool whole_first = i % 2 == 0;
    Status one = whole_first ? profile_whole(model, result) : profile_layers(model, runs, result);
    if (!one) return one.failure();
    if (Status status = reporter.step(); !status) return status.failure();
    Status other = whole_first ? profile_layers(model, runs, result) : profile_whole(model, result);
    if (!other) return other.failure();
    if (Status status = reporter.step(); !status) return status.failure();
  }
  if (Status status = take_kept_layers(model, runs, result); !status) return status.failure();
  return result;
}

}  // namespace dx
