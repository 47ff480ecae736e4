#include "agent/device/emulation.h"

#include <sys/auxv.h>

namespace dx {
namespace {

const char* format_name(CpuInfoFormat format) {
  switch (format) {
    case CpuInfoFormat::kX86:
      return "an x86";
    case CpuInfoFormat::kArm:
      return "an Arm";
    case CpuInfoFormat::kRiscv:
      return "a RISC-V";
    case CpuInfoFormat::kUnknown:
      break;
  }
  return "an unknown";
}

#if defined(__aarch64__) || defined(__arm__)

struct Bit {
  unsigned bit;
  const char* name;
};

#if defined(__arm__)
// AT_HWCAP of 32-bit Arm (Linux, arch/arm/include/uapi/asm/hwcap.h).
constexpr Bit kHwcap[] = {
    {1, "half"},   {2, "thumb"},   {4, "fastmult"}, {6, "vfp"},    {7, "edsp"},
    {12, "neon"},  {13, "vfpv3"},  {15, "tls"},     {16, "vfpv4"}, {17, "idiva"},
    {18, "idivt"}, {19, "vfpd32"}, {20, "lpae"},
};
#else
// AT_HWCAP and AT_HWCAP2 of arm64 (Linux, Documentation/arch/arm64/elf_hwcaps.rst).
constexpr Bit kHwcap[] = {
    {0, "fp"},        {1, "asimd"},    {3, "aes"},     {4, "pmull"},  {5, "sha1"},
    {6, "sha2"},      {7, "crc32"},    {8, "atomics"}, {9, "fphp"},   {10, "asimdhp"},
    {12, "asimdrdm"}, {13, "jscvt"},   {14, "fcma"},   {15, "lrcpc"}, {16, "dcpop"},
    {17, "sha3"},     {20, "asimddp"}, {21, "sha512"}, {22, "sve"},   {23, "asimdfhm"},
    {27, "flagm"},    {28, "ssbs"},    {29, "sb"},     {30, "paca"},  {31, "pacg"},
};
constexpr Bit kHwcap2[] = {
    {0, "dcpodp"}, {1, "sve2"},  {8, "frint"}, {9, "svei8mm"},
    {13, "i8mm"},  {14, "bf16"}, {23, "sme"},
};
#endif

template <std::size_t N>
void add_names(unsigned long word, const Bit (&bits)[N], std::vector<std::string>& names) {
  for (const Bit& known : bits) {
    if (((word >> known.bit) & 1UL) != 0) names.emplace_back(known.name);
  }
}

#endif

}  // namespace

CpuInfoFormat native_cpuinfo_format() {
#if defined(__x86_64__) || defined(__i386__)
  return CpuInfoFormat::kX86;
#elif defined(__aarch64__) || defined(__arm__)
  return CpuInfoFormat::kArm;
#elif defined(__riscv)
  return CpuInfoFormat::kRiscv;
#else
  return CpuInfoFormat::kUnknown;
#endif
}

std::optional<std::string> detect_emulation(CpuInfoFormat native, const CpuInfo& info) {
  if (native == CpuInfoFormat::kUnknown || info.format == CpuInfoFormat::kUnknown ||
      native == info.format) {
    return std::nullopt;
  }
  return std::string("this is ") + format_name(native) + " program, but /proc/cpuinfo is of " +
         format_name(info.format) + " kernel";
}

std::vector<std::string> auxiliary_vector_features() {
  std::vector<std::string> names;
#if defined(__aarch64__)
  add_names(::getauxval(AT_HWCAP), kHwcap, names);
  add_names(::getauxval(AT_HWCAP2), kHwcap2, names);
#elif defined(__arm__)
  add_names(::getauxval(AT_HWCAP), kHwcap, names);
#elif defined(__riscv)
  const unsigned long word = ::getauxval(AT_HWCAP);
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    if (((word >> (letter - 'a')) & 1UL) != 0) names.emplace_back(1, letter);
  }
#endif
  return names;
}

}  // namespace dx
