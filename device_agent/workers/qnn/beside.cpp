#include "workers/qnn/beside.h"

#include <dlfcn.h>

#include <string>
#include <string_view>

namespace dx {
namespace {

constexpr std::string_view kOwn = "libQnn";
constexpr const char* kOfNpu = "Skel.so";  // The NPU itself loads these.
// One may need another that comes after it.
constexpr int kRounds = 2;

bool is_own(const ModelFile& file) {
  return file.role == "library" && file.name.compare(0, kOwn.size(), kOwn) == 0 &&
         file.name.find(kOfNpu) == std::string::npos;
}

}  // namespace

void open_beside(const Load& request) {
  for (int round = 0; round < kRounds; ++round) {
    for (const ModelFile& file : request.files) {
      if (is_own(file)) (void)dlopen(file.path.c_str(), RTLD_NOW);
    }
  }
}

}  // namespace dx
