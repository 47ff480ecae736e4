#include "workers/qnn/npu.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace dx {
namespace {

constexpr const char* kLibrary = "libcdsprpc.so";
// Where it lies on a phone, for programs whose linker does not look there by itself.
constexpr const char* kOnPhones = "/vendor/lib64/libcdsprpc.so";
// Of newer and older kernels.
constexpr std::array<const char*, 3> kDevices{"/dev/fastrpc-cdsp", "/dev/fastrpc-cdsp-secure",
                                              "/dev/adsprpc-smd"};

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

}  // namespace

Status check_npu(NpuSystem system, const std::string& root,
                 bool (*opens_library)(const char* name)) {
  const bool is_phone = system == NpuSystem::kAndroid;
  std::string closed;
  bool is_open = false;
  for (const char* device : kDevices) {
    const std::string path = root + device;
    const int opened = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (opened >= 0) {
      (void)close(opened);
      is_open = true;
    } else if (errno != ENOENT && closed.empty()) {
      closed = device;
    }
  }
  if (!is_open && closed.empty()) {
    return refuse(std::string("this board has no Qualcomm NPU: there is neither ") + kDevices[0] +
                  " nor " + kDevices[2]);
  }
  if (!is_open && !is_phone) {
    return refuse("this user may not open the NPU's device " + closed +
                  ": put it into the group that owns the device, or take another user");
  }
  if (opens_library(kLibrary) || (is_phone && opens_library(kOnPhones))) return {};
  if (is_phone) {
    return refuse(std::string(kLibrary) +
                  ", which leads to the NPU, cannot be loaded on this phone, nor as " + kOnPhones +
                  ": it comes with the phone's system, whose maker may keep it from programs");
  }
  return refuse(std::string(kLibrary) +
                ", which leads to the NPU, is not on this board: install it with the board's own "
                "packages");
}

}  // namespace dx
