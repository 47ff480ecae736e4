// /proc/cpuinfo in the formats of x86, Arm and RISC-V.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dx {

enum class CpuInfoFormat { kUnknown, kX86, kArm, kRiscv };

struct CpuInfo {
  CpuInfoFormat format = CpuInfoFormat::kUnknown;
  // "AMD EPYC"; "4 x Cortex-A53, 4 x Cortex-A73"; "sifive,u74-mc"
  std::optional<std::string> model;
  // What every core can do, in the kernel's own words.
  std::vector<std::string> features;
  // The SoC's name where an Arm kernel tells it here.
  std::optional<std::string> hardware;
  // The microarchitecture of each core in order, empty where not told.
  std::vector<std::string> core_kinds;
  // The clock of each core in MHz, where it is told here (x86).
  std::vector<double> mhz;
};

CpuInfo parse_cpuinfo(std::string_view text);

}  // namespace dx
