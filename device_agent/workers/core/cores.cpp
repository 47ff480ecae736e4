#include "workers/core/cores.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "common/processors.h"
#include "common/text.h"

namespace dx {
namespace {

constexpr std::uint32_t kMostThreads = 1024;

Failure refuse(const std::string& message) {
  return {FailureCode::kOptionRefused, message, Phase::kLoad};
}

// In kHz; 0 where the system does not tell.
long highest_clock(int processor) {
  std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(processor) +
                     "/cpufreq/cpuinfo_max_freq");
  long clock = 0;
  return file >> clock ? clock : 0;
}

}  // namespace

Status bind_to_cores(CoreSelection cores) {
  if (cores == CoreSelection::kAll) return {};
  std::vector<std::pair<int, long>> clocks;
  for (const int processor : allowed_processors()) {
    clocks.emplace_back(processor, highest_clock(processor));
  }
  const auto [low, high] =
      std::minmax_element(clocks.begin(), clocks.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; });
  if (clocks.empty() || low->second == 0 || low->second == high->second) {
    return refuse("the board does not tell little cores from big ones: ask for cores 'all'");
  }
  const long middle = (low->second + high->second) / 2;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const auto& [processor, clock] : clocks) {
    const bool is_big = clock > middle;
    if (is_big == (cores == CoreSelection::kBig))
      CPU_SET(static_cast<std::size_t>(processor), &set);
  }
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    return refuse(std::string("the cores cannot be chosen: ") + std::strerror(errno));
  }
  return {};
}

Status check_on_processor(const std::string& title, const RunOptions& request) {
  if (request.accelerator != "cpu") {
    return refuse("this " + title + " computes on the cpu only, not on '" +
                  printable(request.accelerator, 80) + "'");
  }
  if (request.threads > kMostThreads) {
    return refuse("expected at most 1024 threads, got " + std::to_string(request.threads));
  }
  return bind_to_cores(request.cores);
}

}  // namespace dx
