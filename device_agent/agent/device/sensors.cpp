#include "agent/device/sensors.h"

#include <set>
#include <string>

#include "agent/device/accelerators.h"
#include "agent/device/cpuinfo.h"

namespace dx {
namespace {

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

bool ends_with(const std::string& text, const std::string& suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

// Sensors that are switched off answer with nonsense: what no board survives is left out.
void add_temperature(const SysFiles& files, const std::string& name, const std::string& path,
                     Conditions& conditions) {
  const auto value = files.number(path);
  if (!value) return;
  // Some old kernels give whole degrees instead of thousandths.
  const double celsius = *value > -300 && *value < 300 ? static_cast<double>(*value)
                                                       : static_cast<double>(*value) / 1000;
  if (celsius <= -60 || celsius >= 250 || *value == 0) return;
  conditions.temperatures.push_back({name, celsius, files.full_path(path)});
}

void read_thermal_zones(const SysFiles& files, Conditions& conditions) {
  const std::string folder = "/sys/class/thermal";
  for (const std::string& zone : files.list(folder)) {
    if (!starts_with(zone, "thermal_zone")) continue;
    const std::string path = folder + "/" + zone;
    add_temperature(files, files.text(path + "/type").value_or(zone), path + "/temp", conditions);
  }
}

void read_hwmon(const SysFiles& files, Conditions& conditions) {
  const std::string folder = "/sys/class/hwmon";
  for (const std::string& chip : files.list(folder)) {
    const std::string path = folder + "/" + chip;
    const std::string chip_name = files.text(path + "/name").value_or(chip);
    for (const std::string& file : files.list(path)) {
      if (!starts_with(file, "temp") || !ends_with(file, "_input")) continue;
      const std::string sensor = file.substr(0, file.size() - std::string("_input").size());
      const std::string label = files.text(path + "/" + sensor + "_label").value_or(sensor);
      add_temperature(files, chip_name + " " + label, path + "/" + file, conditions);
    }
  }
}

// One reading a frequency domain: its cores share a clock.
void read_cpufreq(const SysFiles& files, Conditions& conditions) {
  const std::string folder = "/sys/devices/system/cpu";
  std::set<std::uint32_t> covered;
  for (const std::uint32_t cpu : parse_cpu_list(files.text(folder + "/online").value_or(""))) {
    if (covered.count(cpu) != 0) continue;
    const std::string name = "cpu" + std::to_string(cpu);
    const std::string path = folder + "/" + name + "/cpufreq";
    for (const std::uint32_t related :
         parse_cpu_list(files.text(path + "/related_cpus").value_or(""))) {
      covered.insert(related);
    }
    if (const auto khz = files.number(path + "/scaling_cur_freq")) {
      conditions.frequencies.push_back(
          {name, static_cast<double>(*khz) / 1000, files.full_path(path + "/scaling_cur_freq")});
    }
    if (const auto governor = files.text(path + "/scaling_governor")) {
      conditions.governors.push_back(*governor);
    }
  }
}

// Virtual machines have no cpufreq, but their x86 kernels tell a clock here.
void read_cpuinfo_clocks(const SysFiles& files, Conditions& conditions) {
  const CpuInfo info = parse_cpuinfo(files.text("/proc/cpuinfo").value_or(""));
  for (std::size_t cpu = 0; cpu < info.mhz.size(); ++cpu) {
    if (info.mhz[cpu] <= 0) continue;
    conditions.frequencies.push_back(
        {"cpu" + std::to_string(cpu), info.mhz[cpu], files.full_path("/proc/cpuinfo")});
  }
}

}  // namespace

Conditions read_conditions(const SysFiles& files) {
  Conditions conditions;
  read_thermal_zones(files, conditions);
  read_hwmon(files, conditions);
  read_cpufreq(files, conditions);
  if (conditions.frequencies.empty()) read_cpuinfo_clocks(files, conditions);
  read_accelerators(files, conditions);
  return conditions;
}

}  // namespace dx
