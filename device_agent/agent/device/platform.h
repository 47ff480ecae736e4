// The operating system, C library and SoC of the board, from the files that name them.
#pragma once

#include <optional>
#include <string>

#include "agent/device/cpuinfo.h"
#include "agent/device/sysfiles.h"

namespace dx {

// "Debian GNU/Linux 12 (bookworm)", "Android 14"; "" where no file says.
std::string os_name(const SysFiles& files);

// The board's own C library: "glibc 2.36", "musl", "bionic", "uClibc" or "not found".
std::string board_libc_name(const SysFiles& files);

// This program's: "musl, static".
std::string own_libc_name();

// "Raspberry Pi 4 Model B Rev 1.4 (brcm,bcm2711)"
std::optional<std::string> soc_name(const SysFiles& files, const CpuInfo& info);

}  // namespace dx
