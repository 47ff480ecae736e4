#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "common/processors.h"
#include "tests/worker/loaded.h"
#include "workers/core/measure.h"

using namespace dx;
using namespace dx::test;

namespace {

class Record : public MeasureListener {
 public:
  Status on_phase(Phase phase) override {
    if (phases.empty() || phases.back() != phase) phases.push_back(phase);
    return {};
  }
  Status on_samples(const std::vector<std::int64_t>& ns) override {
    samples.insert(samples.end(), ns.begin(), ns.end());
    return {};
  }
  bool cancelled() override { return ++asked > allowed; }

  std::vector<Phase> phases;
  std::vector<std::int64_t> samples;
  int asked = 0;
  int allowed = std::numeric_limits<int>::max();
};

struct Ready {
  Ready() { REQUIRE(model->set_inputs({noise("in0", {8, 6, 6}, 1)})); }
  TemporaryFolder folder;
  std::unique_ptr<Model> model = loaded(load_small_net(folder, fp32()));
  Record record;
};

Bench of_iterations(std::uint32_t iterations) {
  Bench request;
  request.iterations = iterations;
  return request;
}

std::vector<std::string> names_of(const ProfileResult& result) {
  std::vector<std::string> names;
  for (const LayerTimes& layer : result.layers) names.push_back(layer.name);
  return names;
}

}  // namespace

TEST_CASE_FIXTURE(Ready, "a bench takes as many samples as it was asked for") {
  Bench request = of_iterations(37);
  request.warmup = 3;
  const Result<BenchDone> done = bench(*model, request, record);
  REQUIRE(done);
  CHECK(done.value().runs == 37);
  CHECK(done.value().first_run_ns > 0);
  CHECK(record.samples.size() == 37);
  for (const std::int64_t ns : record.samples) CHECK(ns > 0);
  CHECK(record.phases == std::vector<Phase>{Phase::kFirstRun, Phase::kRun});
  // Split and Concat only move data.
  REQUIRE(done.value().precisions.size() == 1);
  CHECK(done.value().precisions[0].precision == "fp32");
  CHECK(has_computing_layers(done.value().precisions[0].layers));
}

TEST_CASE_FIXTURE(Ready, "a bench by time ends and has at least one sample") {
  Bench request;
  request.seconds = 0.001;
  request.pause_ns = 1000;
  const Result<BenchDone> done = bench(*model, request, record);
  REQUIRE(done);
  CHECK(done.value().runs >= 1);
  CHECK(done.value().runs == record.samples.size());
  // Told wherever this kernel counts it.
  CHECK(done.value().waited_ns.has_value() == waited_ns().has_value());
  CHECK(done.value().throttled_ns.has_value() == throttled_ns().has_value());
}

TEST_CASE_FIXTURE(Ready, "a bench that contradicts itself is refused") {
  const auto refused = [&](Bench request, const std::vector<std::string>& texts) {
    return fails(bench(*model, request, record), FailureCode::kInvalidRequest, texts);
  };
  Bench request;
  CHECK(refused(request, {"either iterations or seconds"}));
  request.iterations = 1;
  request.seconds = 1;
  CHECK(refused(request, {"either iterations or seconds"}));
  request.iterations = 0;
  for (const double seconds : {-1.0, 1e9, std::nan(""), HUGE_VAL}) {
    request.seconds = seconds;
    CHECK(refused(request, {"86400"}));
  }
  request = of_iterations(1);
  request.pause_ns = -1;
  CHECK(refused(request, {"pause", "-1"}));
  CHECK(record.samples.empty());
}

TEST_CASE_FIXTURE(Ready, "a cancel ends a bench between two runs, also while it pauses") {
  record.allowed = 10;
  CHECK(fails(bench(*model, of_iterations(1000000), record), FailureCode::kCancelled, {}));
  CHECK(record.asked == 11);
  record = Record();
  record.allowed = 1;
  Bench request = of_iterations(2);
  request.pause_ns = 3000000000;
  CHECK(fails(bench(*model, request, record), FailureCode::kCancelled, {}));
}

TEST_CASE_FIXTURE(Ready, "a profile has every layer and the whole once an iteration") {
  Profile request;
  request.warmup = 2;
  request.iterations = 9;
  const Result<ProfileResult> result = profile(*model, request, record);
  REQUIRE(result);
  CHECK(result.value().whole_ns.size() == 9);
  REQUIRE(result.value().layers.size() >= expected().computing_layers);
  for (const LayerTimes& layer : result.value().layers) {
    CHECK(layer.ns.size() == 9);
    CHECK(layer.element_bits == expected().element_bits);
  }
  if (!expected().layer_names.empty()) {
    CHECK(names_of(result.value()) == expected().layer_names);
    CHECK(result.value().layers[0].dims == std::vector<std::int64_t>{16, 6, 6});
  }
  request.iterations = 0;
  CHECK(fails(profile(*model, request, record), FailureCode::kInvalidRequest, {"at least 1"}));
}

TEST_CASE_FIXTURE(Ready, "a batch is profiled over all of its samples") {
  Tensor batch = noise("in0", {3, 8, 6, 6}, 1);
  batch.batched = true;
  REQUIRE(model->set_inputs({batch}));
  Profile request;
  request.iterations = 1;
  const Result<ProfileResult> result = profile(*model, request, record);
  REQUIRE(result);
  REQUIRE(result.value().layers.size() >= expected().computing_layers);
  for (const LayerTimes& layer : result.value().layers) CHECK(layer.ns.size() == 1);
  if (expected().layer_names.empty()) return;
  CHECK(result.value().layers[0].dims == std::vector<std::int64_t>{16, 6, 6});
}
