#include "workers/core/runtime.h"

#include <utility>

#include "workers/core/options.h"

namespace dx {

namespace {

Failure one_at_a_time() {
  return {FailureCode::kInternal, "this model runs one input at a time", Phase::kRun};
}

}  // namespace

Status Model::start(const std::vector<Tensor>&) { return one_at_a_time(); }

Result<Finished> Model::finish() { return one_at_a_time(); }

Status Runtime::prepare(const Load&, LoadListener&) {
  return Failure{FailureCode::kInvalidRequest,
                 std::string(facts().name) + " prepares nothing on a board", Phase::kPrepare};
}

Result<std::unique_ptr<Model>> load_model(Runtime& runtime, Load request, LoadListener& listener) {
  listener.on_phase(request.prepare ? Phase::kPrepare : Phase::kLoad);
  if (Status status = settle_options(runtime.facts(), request.options); !status) {
    return status.failure();
  }
  if (request.prepare) {
    if (Status status = runtime.prepare(request, listener); !status) return status.failure();
    listener.on_phase(Phase::kLoad);
  }
  return runtime.load(request);
}

std::string path_of(const Load& request, const std::string& role) {
  for (const ModelFile& file : request.files) {
    if (file.role == role) return file.path;
  }
  return "";
}

std::string library_path(const Load& request, const std::string& name) {
  for (const ModelFile& file : request.files) {
    if (file.role == "library" && file.name == name) return file.path;
  }
  return "";
}

}  // namespace dx
