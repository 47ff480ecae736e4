#include "agent/device/platform.h"

#include <sys/auxv.h>

#include <string_view>
#include <vector>

#if defined(__GLIBC__)
#include <gnu/libc-version.h>
#endif

#include "agent/files/files.h"

namespace dx {
namespace {

constexpr std::size_t kMaxLibraryBytes = std::size_t{8} << 20;

// The value of KEY in a file of KEY=value or KEY="value" lines.
std::optional<std::string> value_of(std::string_view text, std::string_view key) {
  for (std::string_view line : lines_of(text)) {
    line = trimmed(line);
    if (line.size() <= key.size() || line.substr(0, key.size()) != key || line[key.size()] != '=') {
      continue;
    }
    std::string_view value = trimmed(line.substr(key.size() + 1));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    if (!value.empty()) return std::string(value);
  }
  return std::nullopt;
}

std::optional<std::string> android_property(const SysFiles& files, std::string_view key) {
  for (const char* path : {"/system/build.prop", "/vendor/build.prop", "/default.prop"}) {
    const auto text = files.text(path);
    if (!text) continue;
    if (auto value = value_of(*text, key)) return value;
  }
  return std::nullopt;
}

bool is_android(const SysFiles& files) {
  return files.exists("/system/bin/app_process") || files.exists("/system/build.prop");
}

// glibc carries its version as a sentence: "... release version 2.36."
std::optional<std::string> glibc_version(const std::string& path) {
  static constexpr std::string_view kSentence = "release version ";
  const auto library = read_file(path, kMaxLibraryBytes);
  if (!library) return std::nullopt;
  const std::size_t found = library->find(kSentence);
  if (found == std::string::npos) return std::nullopt;
  const std::string_view rest = std::string_view(*library).substr(found + kSentence.size(), 16);
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789.")));
}

}  // namespace

std::string board_libc_name(const SysFiles& files) {
  if (is_android(files)) return "bionic";
  for (const std::string folder : {"/lib", "/lib64", "/usr/lib", "/usr/lib64"}) {
    for (const std::string& name : files.list(folder)) {
      if (name.rfind("ld-musl-", 0) == 0) return "musl";
      const std::string inner = folder + "/" + name;
      const bool is_multiarch = name.find("-linux-gnu") != std::string::npos;
      const std::string candidate = name == "libc.so.6" ? inner : inner + "/libc.so.6";
      if (name != "libc.so.6" && !is_multiarch) continue;
      auto version = glibc_version(files.full_path(candidate));
      if (!version) continue;
      while (!version->empty() && version->back() == '.') version->pop_back();
      return "glibc " + *version;
    }
  }
  return files.exists("/lib/libuClibc.so.1") || files.exists("/lib/ld-uClibc.so.1") ? "uClibc"
                                                                                    : "not found";
}

std::string own_libc_name() {
  // A program with an interpreter was linked dynamically; the kernel tells its base address.
  const char* linkage = ::getauxval(AT_BASE) == 0 ? ", static" : ", dynamic";
#if defined(__GLIBC__)
  return std::string("glibc ") + ::gnu_get_libc_version() + linkage;
#elif defined(__BIONIC__)
  return std::string("bionic") + linkage;
#else
  return std::string("musl") + linkage;
#endif
}

std::string os_name(const SysFiles& files) {
  if (is_android(files)) {
    const auto release = android_property(files, "ro.build.version.release");
    return release ? "Android " + *release : "Android";
  }
  for (const char* path : {"/etc/os-release", "/usr/lib/os-release"}) {
    const auto text = files.text(path);
    if (!text) continue;
    if (auto pretty = value_of(*text, "PRETTY_NAME")) return *pretty;
    if (auto name = value_of(*text, "NAME")) return *name;
  }
  return "";
}

namespace {

// What the kernel knows a chip of Qualcomm's by, "" elsewhere: names may be those of a board or a
// family, as on phones ("qcom,kalama").
std::string qualcomm_number(const SysFiles& files, const std::string& name) {
  const std::string family = files.text("/sys/devices/soc0/family").value_or("");
  const bool is_own = family == "Snapdragon" || name.find("qcom,") != std::string::npos;
  const std::string number = is_own ? files.text("/sys/devices/soc0/soc_id").value_or("") : "";
  const bool is_number = number.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? number : "";
}

}  // namespace

std::optional<std::string> soc_name(const SysFiles& files, const CpuInfo& info) {
  std::string name = files.text("/sys/firmware/devicetree/base/model").value_or("");
  // A list of names that each end in a zero byte; the last is the chip, the most general one.
  if (const auto compatible = files.text("/sys/firmware/devicetree/base/compatible")) {
    const std::string chip = compatible->substr(compatible->rfind('\0') + 1);
    name = name.empty() ? chip : name + " (" + chip + ")";
  }
  if (name.empty()) name = android_property(files, "ro.soc.model").value_or("");
  if (name.empty()) name = android_property(files, "ro.board.platform").value_or("");
  if (name.empty()) name = files.text("/sys/devices/soc0/machine").value_or("");
  if (const std::string number = qualcomm_number(files, name); !number.empty()) {
    name += ", soc_id " + number;
  }
  if (name.empty()) name = info.hardware.value_or("");
  if (name.empty()) return std::nullopt;
  return name;
}

}  // namespace dx
