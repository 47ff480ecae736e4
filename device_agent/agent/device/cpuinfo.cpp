#include "agent/device/cpuinfo.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "agent/device/sysfiles.h"

namespace dx {
namespace {

struct Part {
  unsigned implementer;
  unsigned part;
  const char* name;
};

// MIDR_EL1 implementer and part numbers, from the technical reference manuals of the cores (the
// same table stands in Linux's arch/arm64/include/asm/cputype.h).
constexpr Part kParts[] = {
    {0x41, 0xc05, "Cortex-A5"},     {0x41, 0xc07, "Cortex-A7"},
    {0x41, 0xc08, "Cortex-A8"},     {0x41, 0xc09, "Cortex-A9"},
    {0x41, 0xc0d, "Cortex-A17"},    {0x41, 0xc0e, "Cortex-A17"},
    {0x41, 0xc0f, "Cortex-A15"},    {0x41, 0xd01, "Cortex-A32"},
    {0x41, 0xd03, "Cortex-A53"},    {0x41, 0xd04, "Cortex-A35"},
    {0x41, 0xd05, "Cortex-A55"},    {0x41, 0xd06, "Cortex-A65"},
    {0x41, 0xd07, "Cortex-A57"},    {0x41, 0xd08, "Cortex-A72"},
    {0x41, 0xd09, "Cortex-A73"},    {0x41, 0xd0a, "Cortex-A75"},
    {0x41, 0xd0b, "Cortex-A76"},    {0x41, 0xd0c, "Neoverse-N1"},
    {0x41, 0xd0d, "Cortex-A77"},    {0x41, 0xd0e, "Cortex-A76AE"},
    {0x41, 0xd40, "Neoverse-V1"},   {0x41, 0xd41, "Cortex-A78"},
    {0x41, 0xd42, "Cortex-A78AE"},  {0x41, 0xd44, "Cortex-X1"},
    {0x41, 0xd46, "Cortex-A510"},   {0x41, 0xd47, "Cortex-A710"},
    {0x41, 0xd48, "Cortex-X2"},     {0x41, 0xd49, "Neoverse-N2"},
    {0x41, 0xd4b, "Cortex-A78C"},   {0x41, 0xd4c, "Cortex-X1C"},
    {0x41, 0xd4d, "Cortex-A715"},   {0x41, 0xd4e, "Cortex-X3"},
    {0x41, 0xd4f, "Neoverse-V2"},   {0x41, 0xd80, "Cortex-A520"},
    {0x41, 0xd81, "Cortex-A720"},   {0x41, 0xd82, "Cortex-X4"},
    {0x41, 0xd85, "Cortex-X925"},   {0x41, 0xd87, "Cortex-A725"},
    {0x4e, 0x003, "Denver 2"},      {0x4e, 0x004, "Carmel"},
    {0x51, 0x001, "Oryon"},         {0x51, 0x201, "Kryo"},
    {0x51, 0x205, "Kryo"},          {0x51, 0x211, "Kryo"},
    {0x51, 0x800, "Kryo 2xx Gold"}, {0x51, 0x801, "Kryo 2xx Silver"},
    {0x51, 0x802, "Kryo 3xx Gold"}, {0x51, 0x803, "Kryo 3xx Silver"},
    {0x51, 0x804, "Kryo 4xx Gold"}, {0x51, 0x805, "Kryo 4xx Silver"},
};

std::string part_name(const std::string& implementer, const std::string& part) {
  const unsigned long maker = std::strtoul(implementer.c_str(), nullptr, 16);
  const unsigned long number = std::strtoul(part.c_str(), nullptr, 16);
  for (const Part& known : kParts) {
    if (known.implementer == maker && known.part == number) return known.name;
  }
  return "part " + part + " of maker " + implementer;
}

class Parser {
 public:
  CpuInfo parse(std::string_view text) {
    for (const std::string_view line : lines_of(text)) {
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) continue;
      take(std::string(trimmed(line.substr(0, colon))),
           std::string(trimmed(line.substr(colon + 1))));
    }
    if (!info_.model && !info_.core_kinds.empty()) info_.model = counted_kinds();
    return std::move(info_);
  }

 private:
  void take(const std::string& key, const std::string& value) {
    if (key == "vendor_id" || key == "flags") info_.format = CpuInfoFormat::kX86;
    if (key == "Features" || key == "CPU implementer") info_.format = CpuInfoFormat::kArm;
    if (key == "isa" || key == "hart") info_.format = CpuInfoFormat::kRiscv;
    if (key == "flags" || key == "Features") merge(words_of(value));
    if (key == "isa") merge(riscv_extensions(value));
    if (key == "CPU implementer") implementer_ = value;
    if (key == "CPU part") info_.core_kinds.push_back(part_name(implementer_, value));
    if (key == "uarch") info_.core_kinds.push_back(value);
    if (key == "Hardware" && !value.empty()) info_.hardware = value;
    if (key == "cpu MHz") info_.mhz.push_back(std::strtod(value.c_str(), nullptr));
    // Arm kernels write "ARMv7 Processor rev 4 (v7l)" here, which says less than the part.
    if (key == "model name" && info_.format == CpuInfoFormat::kX86) info_.model = value;
  }

  // Keeps what all cores share.
  void merge(std::vector<std::string> features) {
    if (std::exchange(has_features_, true)) {
      const auto missing = [&features](const std::string& name) {
        return std::find(features.begin(), features.end(), name) == features.end();
      };
      auto& kept = info_.features;
      kept.erase(std::remove_if(kept.begin(), kept.end(), missing), kept.end());
      return;
    }
    info_.features = std::move(features);
  }

  // "rv64imafdcv_zicsr_zfh" -> rv64imafdcv, zicsr, zfh
  static std::vector<std::string> riscv_extensions(std::string value) {
    std::replace(value.begin(), value.end(), '_', ' ');
    return words_of(value);
  }

  std::string counted_kinds() const {
    std::vector<std::pair<std::string, unsigned>> counts;
    for (const std::string& kind : info_.core_kinds) {
      const auto same = [&kind](const auto& entry) { return entry.first == kind; };
      const auto known = std::find_if(counts.begin(), counts.end(), same);
      if (known == counts.end()) {
        counts.emplace_back(kind, 1U);
      } else {
        ++known->second;
      }
    }
    if (counts.size() == 1) return counts[0].first;
    std::string text;
    for (const auto& [kind, count] : counts) {
      text += (text.empty() ? "" : ", ") + std::to_string(count) + " x " + kind;
    }
    return text;
  }

  CpuInfo info_;
  std::string implementer_;
  bool has_features_ = false;
};

}  // namespace

CpuInfo parse_cpuinfo(std::string_view text) { return Parser().parse(text); }

}  // namespace dx
