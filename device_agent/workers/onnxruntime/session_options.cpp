#include "workers/onnxruntime/session_options.h"

#include <optional>

#include "common/processors.h"
#include "workers/core/options.h"

namespace dx {
namespace {

GraphOptimizationLevel level_of(const std::string& name) {
  if (name == "off") return ORT_DISABLE_ALL;
  if (name == "basic") return ORT_ENABLE_BASIC;
  if (name == "extended") return ORT_ENABLE_EXTENDED;
  return ORT_ENABLE_ALL;
}

// Sets one option after the other and keeps the first failure.
class Setter {
 public:
  Setter(const Library& library, OrtSessionOptions* options)
      : library_(library), api_(library.api()), options_(options) {}

  template <class Function, class... Values>
  void call(Function function, Values... values) {
    if (!status_) return;
    status_ = library_.check(function(options_, values...), "ONNX Runtime refused an option");
  }

  void entry(const char* key, std::optional<bool> on) {
    if (on) call(api_.AddSessionConfigEntry, key, *on ? "1" : "0");
  }

  Status status() const { return status_; }

 private:
  const Library& library_;
  const OrtApi& api_;
  OrtSessionOptions* const options_;
  Status status_;
};

}  // namespace

Result<SessionOptions> make_session_options(const Library& library, const RunOptions& request,
                                            const std::string& profile_prefix,
                                            const std::string& operators) {
  const OrtApi& api = library.api();
  OrtSessionOptions* made = nullptr;
  if (Status status = library.check(api.CreateSessionOptions(&made), "ONNX Runtime has no memory");
      !status) {
    return status.failure();
  }
  SessionOptions options{{made, api.ReleaseSessionOptions}, request.threads};
  // The cores asked for are those of this thread's affinity by now.
  if (options.threads == 0) options.threads = static_cast<std::uint32_t>(free_cores());

  Setter set(library, made);
  set.call(api.SetIntraOpNumThreads, static_cast<int>(options.threads));
  if (const auto threads = number_of(request, "inter_threads")) {
    set.call(api.SetInterOpNumThreads, static_cast<int>(*threads));
  }
  const bool parallel = text_of(request, "execution_mode") == "parallel";
  set.call(api.SetSessionExecutionMode, parallel ? ORT_PARALLEL : ORT_SEQUENTIAL);
  set.call(api.SetSessionGraphOptimizationLevel,
           level_of(text_of(request, "optimization").value_or("all")));
  if (const auto on = switch_of(request, "arena")) {
    set.call(*on ? api.EnableCpuMemArena : api.DisableCpuMemArena);
  }
  if (const auto on = switch_of(request, "memory_pattern")) {
    set.call(*on ? api.EnableMemPattern : api.DisableMemPattern);
  }
  set.entry("session.intra_op.allow_spinning", switch_of(request, "spinning"));
  set.entry("session.inter_op.allow_spinning", switch_of(request, "spinning"));
  if (!operators.empty()) set.call(api.RegisterCustomOpsLibrary_V2, operators.c_str());
  if (!profile_prefix.empty()) set.call(api.EnableProfiling, profile_prefix.c_str());
  if (!set.status()) return set.status().failure();
  return options;
}

}  // namespace dx
