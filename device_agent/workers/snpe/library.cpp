#include "workers/snpe/library.h"

#include <dlfcn.h>

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/text.h"
#include "workers/core/runtime.h"

namespace dx {
namespace {

constexpr std::size_t kLongestText = 300;
constexpr const char* kName = "libSNPE.so";

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

std::string reason() {
  const char* const text = dlerror();
  return printable(text == nullptr ? "no reason is given" : text, kLongestText);
}

// "2.39.0" of "2.39.0.250926144150_123-auto".
std::string plain_version(const std::string& said) {
  std::size_t end = 0;
  for (int dots = 0; end < said.size(); ++end) {
    const bool is_digit = std::isdigit(static_cast<unsigned char>(said[end])) != 0;
    if (!is_digit && (said[end] != '.' || ++dots == 3)) break;
  }
  return said.substr(0, end);
}

// "2.39": what has to be the same.
std::string release(const std::string& version) {
  return version.substr(0, version.find('.', version.find('.') + 1));
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// The library looks up what lies beside it by name: what is open already is found. Where one of
// these does not open here, as those for other chips may not, the library tells if it needs it.
void open_beside(const Load& request) {
  for (const ModelFile& file : request.files) {
    if (file.role != "library" || file.name == kName || ends_with(file.name, "Skel.so")) continue;
    (void)dlopen(file.path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
}

}  // namespace

std::string compiled_version() { return plain_version(DX_SNPE_VERSION_TEXT); }

Result<Library> open_library(const Load& request) {
  const std::string path = library_path(request, kName);
  if (path.empty()) return refuse(std::string(kName) + " did not come along with the worker");
  // The DSP's own side is looked up there, by a system library of the board's.
  const std::string folder = path.substr(0, path.rfind('/')) +
                             ";/system/lib/rfsa/adsp;/system/vendor/lib/rfsa/adsp;/vendor/lib/rfsa/"
                             "adsp;/usr/lib/rfsa/adsp;/dsp";
  if (setenv("ADSP_LIBRARY_PATH", folder.c_str(), 1) != 0) {
    return refuse("the environment takes no ADSP_LIBRARY_PATH");
  }
  open_beside(request);
  void* const opened = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (opened == nullptr) return refuse(std::string(kName) + " cannot be opened: " + reason());
  Library library;
  const char* missing = nullptr;
#define DX_FIND(name)                                                  \
  if (void* const found = dlsym(opened, #name); found != nullptr) {    \
    std::memcpy(&library.api_.name, &found, sizeof library.api_.name); \
  } else {                                                             \
    missing = #name;                                                   \
  }
  DX_SNPE_FUNCTIONS(DX_FIND)
#undef DX_FIND
  if (missing != nullptr) {
    return refuse(std::string(kName) + " has no function " + missing + ": it is older than SNPE 2");
  }
  const SnpeApi& api = library.api_;
  const Handle version(api.Snpe_Util_GetLibraryVersion(), api.Snpe_DlVersion_Delete);
  const char* const said = version ? api.Snpe_DlVersion_ToString(version.get()) : nullptr;
  library.version_ = plain_version(said == nullptr ? "" : said);
  if (release(library.version_) != release(compiled_version())) {
    return refuse("this worker was compiled for SNPE " + compiled_version() + ", and " + kName +
                  " is " + (library.version_.empty() ? "of no version" : library.version_) +
                  ": build both from one SDK");
  }
  return library;
}

Result<const Library*> Library::open(const Load& request) {
  static const Result<Library> opened = open_library(request);
  if (!opened) return opened.failure();
  return &opened.value();
}

Failure Library::failure(const std::string& what) const {
  const char* const said = api_.Snpe_ErrorCode_GetLastErrorString();
  const std::string text = said == nullptr ? "" : printable(said, kLongestText);
  return refuse(what + (text.empty() ? "" : ": " + text));
}

}  // namespace dx
