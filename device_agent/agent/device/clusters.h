// Which cores are fast and which are slow.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/device/board.h"
#include "agent/device/sysfiles.h"

namespace dx {

// What is known of one core. Zero: not known.
struct CoreSpeed {
  std::uint32_t cpu = 0;
  std::int64_t capacity = 0;  // the scheduler's measure, 1024 for the fastest core
  double max_mhz = 0;
};

// The cores that are online, with their speeds.
std::vector<CoreSpeed> read_core_speeds(const SysFiles& files);

// Groups cores of one speed, the slowest first: "all" where there is one group, else "little" for
// the slowest and "big" for every other. Speeds within 10 % are one: cores of one kind differ by
// their turbo.
std::vector<Cluster> group_cores(std::vector<CoreSpeed> cores);

}  // namespace dx
