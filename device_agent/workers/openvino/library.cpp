#include "workers/openvino/library.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kLongestText = 600;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  void* const found = dlsym(library, name);
  std::memcpy(&function, &found, sizeof function);
  return found != nullptr;
}

// What is meant of a message of many lines: places in its own source, and conditions that did not
// hold, stand before it.
std::string plain_reason(const std::string& message) {
  std::string reason;
  std::size_t start = 0;
  while (start <= message.size()) {
    const std::size_t end = std::min(message.find('\n', start), message.size());
    const std::string line = message.substr(start, end - start);
    start = end + 1;
    const bool is_place = line.rfind("Exception from ", 0) == 0 || line.rfind("Check '", 0) == 0;
    if (line.empty() || is_place) continue;
    reason += (reason.empty() ? "" : " ") + line;
  }
  return printable(reason.empty() ? message : reason, kLongestText);
}

// With the number of a build behind it; "unknown" where it does not say.
std::string version_of(const OpenvinoApi& api) {
  ov_version_t version{};
  if (api.ov_get_openvino_version == nullptr || api.ov_version_free == nullptr) return "unknown";
  if (api.ov_get_openvino_version(&version) != OK || version.buildNumber == nullptr) {
    return "unknown";
  }
  const std::string found = version.buildNumber;
  api.ov_version_free(&version);
  return found;
}

std::string escaped(const std::string& path) {
  std::string text;
  for (const char letter : path) {
    switch (letter) {
      case '&':
        text += "&amp;";
        break;
      case '<':
        text += "&lt;";
        break;
      case '"':
        text += "&quot;";
        break;
      default:
        text += letter;
    }
  }
  return text;
}

// A file in memory: nothing is left behind, whatever happens.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& content) : file_(memfd_create("plugins", MFD_CLOEXEC)) {
    const ssize_t size = static_cast<ssize_t>(content.size());
    is_written_ = file_ >= 0 && ::write(file_, content.data(), content.size()) == size;
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() {
    if (file_ >= 0) ::close(file_);
  }

  bool is_written() const { return is_written_; }
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  const int file_;
  bool is_written_ = false;
};

}  // namespace

std::string pinned_version() { return DX_OPENVINO_VERSION; }

std::string library_name() { return DX_OPENVINO_LIBRARY; }

std::string plugin_name() { return DX_OPENVINO_PLUGIN; }

Result<const Library*> Library::open(const std::string& path) {
  void* const loaded = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (loaded == nullptr) {
    const char* const reason = dlerror();
    return refuse("OpenVINO's libraries cannot be loaded on this board: " +
                  printable(reason == nullptr ? path : reason, kLongestText));
  }
  // Lives as long as the process, as what it loaded does.
  static Library library;
  OpenvinoApi& api = library.api_;
  const char* missing = nullptr;
#define DX_FIND(name) \
  if (!find(loaded, #name, api.name) && missing == nullptr) missing = #name;
  DX_OPENVINO_FUNCTIONS(DX_FIND)
#undef DX_FIND
  const std::string found = version_of(api);
  if (found.rfind(pinned_version() + "-", 0) != 0) {
    return refuse("the worker was built for OpenVINO " + pinned_version() + ", the library " +
                  path + " is version " + printable(found, 80) +
                  ": push the libraries of this build");
  }
  if (missing == nullptr) return &library;
  return refuse(path + " is not whole: it has no " + missing);
}

Result<Owned<ov_core_t>> Library::make_core(const std::string& plugin) const {
  const MemoryFile list("<ie><plugins><plugin name=\"CPU\" location=\"" + escaped(plugin) +
                        "\"/></plugins></ie>");
  if (!list.is_written()) return refuse("the board has no memory for a list of OpenVINO's plugins");
  ov_core_t* core = nullptr;
  if (Status status = check(api_.ov_core_create_with_config(list.path().c_str(), &core),
                            "OpenVINO does not start");
      !status) {
    return status.failure();
  }
  return Owned<ov_core_t>(core, api_.ov_core_free);
}

Status Library::check(ov_status_e status, const std::string& what) const {
  if (status == OK) return {};
  const char* const last = api_.ov_get_last_err_msg();
  const char* const kind = api_.ov_get_error_info(status);
  std::string text = last == nullptr ? "" : plain_reason(last);
  api_.ov_free(last);
  if (text.empty()) text = kind == nullptr ? "no reason told" : printable(kind, kLongestText);
  return refuse(what + ": " + text);
}

}  // namespace dx
