#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <utility>
#include <vector>

#include "tests/worker/test_model.h"
#include "tests/worker/tested_runtime.h"
#include "workers/core/runtime.h"

namespace dx::test {

class DeafListener : public LoadListener {
 public:
  void on_phase(Phase) override {}
  void on_progress(double, const std::string&) override {}
};

// What a worker does with a Load.
inline Result<std::unique_ptr<Model>> load(const Load& request) {
  const std::unique_ptr<Runtime> runtime = tested_runtime();
  DeafListener listener;
  return load_model(*runtime, request, listener);
}

// A model that must load.
inline std::unique_ptr<Model> loaded(const Load& request) {
  Result<std::unique_ptr<Model>> model = load(request);
  REQUIRE_MESSAGE(model.ok(), (model.ok() ? std::string() : model.failure().message));
  return std::move(model).value();
}

// Options under which the numbers are plain float32 arithmetic, on one thread.
inline RunOptions fp32() {
  RunOptions options;
  options.threads = 1;
  options.precision = "fp32";
  return options;
}

// The outputs of one run that must succeed.
inline std::vector<Tensor> run_of(Model& model, const std::vector<Tensor>& inputs) {
  const Status status = model.set_inputs(inputs);
  REQUIRE_MESSAGE(status.ok(), (status.ok() ? std::string() : status.failure().message));
  const Result<std::int64_t> ns = model.run();
  REQUIRE_MESSAGE(ns.ok(), (ns.ok() ? std::string() : ns.failure().message));
  CHECK(ns.value() > 0);
  Result<std::vector<Tensor>> outputs = model.outputs();
  REQUIRE(outputs);
  return std::move(outputs).value();
}

// Whether so many layers of the small net computed.
inline bool has_computing_layers(std::size_t count) {
  const Expected wanted = expected();
  return wanted.fuses ? count >= wanted.computing_layers : count == wanted.computing_layers;
}

// Whether the failure is of this code and its text holds all of these.
template <class T>
bool fails(const Result<T>& result, FailureCode code, const std::vector<std::string>& texts) {
  if (result) return false;
  CHECK(result.failure().code == code);
  for (const std::string& text : texts) {
    CAPTURE(text);
    CAPTURE(result.failure().message);
    CHECK(result.failure().message.find(text) != std::string::npos);
  }
  return result.failure().message.find('\n') == std::string::npos;
}

}  // namespace dx::test
