#include "agent/device/clusters.h"

#include <algorithm>
#include <tuple>

namespace dx {
namespace {

constexpr double kSameSpeed = 1.10;

bool differs(double slower, double faster) { return faster > slower * kSameSpeed; }

// Capacity says more than clock: a big core at the clock of a little one is still the faster.
bool starts_new_group(const CoreSpeed& previous, const CoreSpeed& next) {
  if (previous.capacity > 0 && next.capacity > 0 && previous.capacity != next.capacity) {
    return differs(static_cast<double>(previous.capacity), static_cast<double>(next.capacity));
  }
  return differs(previous.max_mhz, next.max_mhz);
}

}  // namespace

std::vector<CoreSpeed> read_core_speeds(const SysFiles& files) {
  const std::string folder = "/sys/devices/system/cpu";
  std::vector<CoreSpeed> cores;
  for (const std::uint32_t cpu : parse_cpu_list(files.text(folder + "/online").value_or(""))) {
    const std::string core = folder + "/cpu" + std::to_string(cpu);
    const double khz =
        static_cast<double>(files.number(core + "/cpufreq/cpuinfo_max_freq").value_or(0));
    cores.push_back({cpu, files.number(core + "/cpu_capacity").value_or(0), khz / 1000.0});
  }
  return cores;
}

std::vector<Cluster> group_cores(std::vector<CoreSpeed> cores) {
  std::sort(cores.begin(), cores.end(), [](const CoreSpeed& a, const CoreSpeed& b) {
    return std::tie(a.capacity, a.max_mhz, a.cpu) < std::tie(b.capacity, b.max_mhz, b.cpu);
  });
  std::vector<Cluster> clusters;
  for (std::size_t i = 0; i < cores.size(); ++i) {
    if (i == 0 || starts_new_group(cores[i - 1], cores[i])) clusters.emplace_back();
    Cluster& cluster = clusters.back();
    cluster.cpus.push_back(cores[i].cpu);
    cluster.max_mhz = std::max(cluster.max_mhz, cores[i].max_mhz);
  }
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    clusters[i].name = clusters.size() == 1 ? "all" : i == 0 ? "little" : "big";
    std::sort(clusters[i].cpus.begin(), clusters[i].cpus.end());
  }
  return clusters;
}

}  // namespace dx
