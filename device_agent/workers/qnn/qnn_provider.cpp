#include "workers/qnn/qnn_provider.h"

#include <dlfcn.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <vector>

#include "common/text.h"
#include "qnn_facts.h"
#include "workers/core/onnx_file.h"
#include "workers/core/options.h"
#include "workers/core/runtime.h"
#include "workers/onnxruntime/later_api.h"
#include "workers/qnn/beside.h"
#include "workers/qnn/cycles.h"
#include "workers/qnn/npu.h"

namespace dx {
namespace {

constexpr const char* kLibrary = "libonnxruntime_providers_qnn.so";
constexpr const char* kBackend = "libQnnHtp.so";
// In an ONNX file's metadata.
constexpr const char* kChip = "deployx.soc_number";
constexpr const char* kChipName = "deployx.soc";
// It writes to no path without an ending.
constexpr const char* kMade = ".onnx";
#ifdef __x86_64__
constexpr bool kIsEmulator = true;
#else
constexpr bool kIsEmulator = false;
#endif
#ifdef __ANDROID__
constexpr NpuSystem kSystem = NpuSystem::kAndroid;
#else
constexpr NpuSystem kSystem = NpuSystem::kLinux;
#endif
constexpr int kErrors = ORT_LOGGING_LEVEL_ERROR;
// What the provider logs, and nothing more, where the NPU's libraries refuse the board.
constexpr const char* kNotStarted = "QNN SetupBackend failed ";
constexpr const char* kWhat = "QNN does not start";
// A model's file beside it: the NPU's graph of it as Qualcomm's libraries made it on the host.
constexpr const char* kContext = "context";
// They go to the provider as they are.
constexpr std::array<const char*, 3> kPassed{"htp_performance_mode",
                                             "htp_graph_finalization_optimization_mode", "vtcm_mb"};

// It stays open, as the next to ask for it are Qualcomm's libraries.
bool opens(const char* name) { return dlopen(name, RTLD_NOW) != nullptr; }

// What has to be so before the provider's library is loaded.
Status make_ready(const Load& request, const std::string& folder) {
  std::map<std::string, std::string> words;
  // The NPU's own side is looked up there, by a system library of the board's.
  if (!kIsEmulator) words["ADSP_LIBRARY_PATH"] = folder;
  // Others saw version 2.4 find no NPU on Android, as it looks for a device that programs are not
  // shown there, and then tells none at all. So it is asked to tell one for the processor, too:
  // what computes is the library that `entries_of` names, whichever device is told.
  if (kSystem == NpuSystem::kAndroid) words["ORT_QNN_ENABLE_CPU_BACKEND"] = "1";
  for (const auto& [name, value] : words) {
    if (setenv(name.c_str(), value.c_str(), 1) != 0) {
      return Failure{FailureCode::kRuntimeRefused, "the environment takes no " + name,
                     Phase::kLoad};
    }
  }
  // Android's libraries name no folder where those that they need would be looked for.
  if (kSystem == NpuSystem::kAndroid) open_beside(request);
  return {};
}

// The devices of the provider. Its library is loaded once.
Result<std::vector<const later::EpDevice*>> devices_of(const Library& library,
                                                       const std::string& name,
                                                       const Load& request) {
  static bool loaded = false;
  const OrtApi& api = library.api();
  if (!loaded) {
    const std::string path = library_path(request, kLibrary);
    Status ready = make_ready(request, path.substr(0, path.rfind('/')));
    if (!ready) return ready.failure();
    OrtStatus* const status = later::RegisterExecutionProviderLibrary::call(
        api, library.environment(), name.c_str(), path.c_str());
    if (Status done = library.check(status, kWhat); !done) return done.failure();
    loaded = true;
  }
  const later::EpDevice* const* all = nullptr;
  std::size_t count = 0;
  OrtStatus* const status = later::GetEpDevices::call(
      api, static_cast<const OrtEnv*>(library.environment()), &all, &count);
  if (Status done = library.check(status, kWhat); !done) return done.failure();
  std::vector<const later::EpDevice*> own;
  for (std::size_t i = 0; i < count; ++i) {
    if (later::DeviceEpName::call(api, all[i]) == name) own.push_back(all[i]);
  }
  if (own.empty()) {
    return Failure{FailureCode::kRuntimeRefused, "QNN finds no NPU on this board", Phase::kLoad};
  }
  return own;
}

// The chip that a file was made for; both are "" where it does not tell.
struct Chip {
  std::string number;
  std::string name;  // only of one that was asked for

  std::string text() const { return name.empty() ? "chip number " + number : name; }
};

Chip chip_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  Result<OnnxNames> names = read_onnx_names(content.str());
  if (!names) return {};
  return {names.value().metadata[kChip], names.value().metadata[kChipName]};
}

std::map<std::string, std::string> entries_of(const Load& request) {
  std::map<std::string, std::string> entries{{"backend_path", library_path(request, kBackend)},
                                             // It would leave these nodes to the processor.
                                             {"offload_graph_io_quantization", "0"}};
  for (const char* name : kPassed) {
    const auto found = request.options.named.find(name);
    if (found != request.options.named.end()) entries.insert(*found);
  }
  // A board's own HTP is known to the libraries; an emulator is told which one it is to be.
  if (kIsEmulator) {
    const std::string chip = chip_of(path_of(request, "onnx")).number;
    if (!chip.empty()) entries["soc_model"] = chip;
  }
  return entries;
}

}  // namespace

Status QnnProvider::check(const Load& request) const {
  const std::string& accelerator = request.options.accelerator;
  if (accelerator != "cpu") {
    return Failure{FailureCode::kOptionRefused,
                   "QNN computes on the NPU, not on '" + printable(accelerator, 80) +
                       "': leave the accelerator out",
                   Phase::kLoad};
  }
  for (const char* name : {kLibrary, kBackend}) {
    if (library_path(request, name).empty()) {
      return Failure{FailureCode::kInvalidRequest,
                     std::string(name) + " comes along as a file of role 'library'", Phase::kLoad};
    }
  }
  return kIsEmulator ? Status{} : check_npu(kSystem, "", opens);
}

bool QnnProvider::may_leave(const RunOptions& options) const {
  return switch_of(options, "allow_fallback").value_or(false);
}

Status QnnProvider::add_to(const Library& library, const Load& request, bool strict,
                           const std::string& counts_at, OrtSessionOptions* options) const {
  const OrtApi& api = library.api();
  // Its warnings are of what this build of it has not.
  if (Status done = library.check(api.SetSessionLogSeverityLevel(options, kErrors), kWhat); !done) {
    return done;
  }
  const char* const entry =
      strict ? "session.disable_cpu_ep_fallback" : "session.record_ep_graph_assignment_info";
  if (Status done = library.check(api.AddSessionConfigEntry(options, entry, "1"), kWhat); !done) {
    return done;
  }
  Result<std::vector<const later::EpDevice*>> devices = devices_of(library, name(), request);
  if (!devices) return devices.failure();
  std::vector<const char*> keys;
  std::vector<const char*> values;
  std::map<std::string, std::string> entries = entries_of(request);
  if (!counts_at.empty()) {
    remove_counts(counts_at);  // It would go on in what a measurement that broke off left.
    entries["profiling_level"] = "detailed";
    entries["profiling_file_path"] = counts_at;
  }
  for (const auto& [key, value] : entries) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  OrtStatus* const status = later::AppendExecutionProvider::call(
      api, options, library.environment(), devices.value().data(), std::size_t{1}, keys.data(),
      values.data(), keys.size());
  return library.check(status, "QNN refused an option");
}

void QnnProvider::add_parts(const std::string& counts_at,
                            std::vector<std::vector<LayerRun>>& runs) const {
  dx::add_parts(read_cycles(counts_at), unit(), runs);
  remove_counts(counts_at);
}

Status QnnProvider::keep(const Library& library, const std::string& path,
                         OrtSessionOptions* options) const {
  const std::map<std::string, std::string> entries{{"ep.context_enable", "1"},
                                                   {"ep.context_file_path", path + kMade},
                                                   {"ep.context_embed_mode", "1"}};
  for (const auto& [key, value] : entries) {
    OrtStatus* const status =
        library.api().AddSessionConfigEntry(options, key.c_str(), value.c_str());
    if (Status done = library.check(status, kWhat); !done) return done;
  }
  return {};
}

Status QnnProvider::seal(const Load& request) const {
  const std::string made = request.prepared_path + kMade;
  std::fstream file(made, std::ios::in | std::ios::out | std::ios::binary);
  if (!file) {
    return Failure{FailureCode::kRuntimeRefused, "none of the model's nodes runs on the NPU",
                   Phase::kPrepare};
  }
  const Chip chip = chip_of(path_of(request, "onnx"));
  file.seekp(0, std::ios::end);
  file << metadata_entry(kChip, chip.number) << metadata_entry(kChipName, chip.name);
  file.close();
  if (!file || std::rename(made.c_str(), request.prepared_path.c_str()) != 0) {
    return Failure{FailureCode::kRuntimeRefused, "what was prepared cannot be written",
                   Phase::kPrepare};
  }
  return {};
}

Status QnnProvider::fits(const Load& request) const {
  const Chip made = chip_of(request.prepared_path);
  const Chip wanted = chip_of(path_of(request, "onnx"));
  if (made.number == wanted.number) return {};
  const std::string chips = " is for " + printable(made.text(), 80) + ", the model for " +
                            printable(wanted.text(), 80) + ": ";
  if (!prepared_elsewhere(request).empty()) {
    return Failure{FailureCode::kRuntimeRefused,
                   "the context binary" + chips + "make the bundle once more", Phase::kLoad};
  }
  return Failure{FailureCode::kRuntimeRefused,
                 "what was prepared" + chips + "it is prepared once more", Phase::kLoad};
}

Status QnnProvider::started(const std::string& error) const {
  const std::size_t at = error.find(kNotStarted);
  if (at == std::string::npos) return {};
  return Failure{FailureCode::kRuntimeRefused,
                 "QNN does not start on this board: its libraries do not know the NPU, or its "
                 "driver does not answer (" +
                     error.substr(at + std::string_view(kNotStarted).size()) + ")",
                 Phase::kLoad};
}

std::string QnnProvider::prepared_elsewhere(const Load& request) const {
  for (const OptionFact& option : qnn_worker::kFacts) {
    if (option.remakes && request.options.named.count(std::string(option.name)) != 0) return "";
  }
  return path_of(request, kContext);
}

}  // namespace dx
