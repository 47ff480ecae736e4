// Trees of files as real kernels write them.
#pragma once

#include <string>

#include "tests/agent/temporary_folder.h"

namespace dx::test {

// A RockPro64: four Cortex-A53 and two Cortex-A72, Debian 12.
inline void make_rk3399(const TemporaryFolder& root) {
  std::string cpuinfo;
  for (int cpu = 0; cpu < 6; ++cpu) {
    const bool big = cpu >= 4;
    cpuinfo += "processor\t: " + std::to_string(cpu) +
               "\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 " +
               std::string(big ? "sha2 " : "") +
               "crc32 cpuid\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\n"
               "CPU part\t: " +
               std::string(big ? "0xd08" : "0xd03") + "\nCPU revision\t: 4\n\n";
    const std::string folder = "sys/devices/system/cpu/cpu" + std::to_string(cpu);
    root.write(folder + "/cpu_capacity", big ? "1024\n" : "485\n");
    root.write(folder + "/cpufreq/cpuinfo_max_freq", big ? "1800000\n" : "1416000\n");
    root.write(folder + "/cpufreq/scaling_cur_freq", big ? "1800000\n" : "600000\n");
    root.write(folder + "/cpufreq/scaling_governor", big ? "performance\n" : "schedutil\n");
    root.write(folder + "/cpufreq/related_cpus", big ? "4 5\n" : "0 1 2 3\n");
  }
  root.write("proc/cpuinfo", cpuinfo);
  root.write("sys/devices/system/cpu/online", "0-5\n");
  root.write("proc/meminfo",
             "MemTotal:        3973120 kB\nMemFree:          200000 kB\n"
             "MemAvailable:    3500000 kB\n");
  root.write("etc/os-release",
             "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  root.write("sys/firmware/devicetree/base/model", std::string("Pine64 RockPro64 v2.1\0", 22));
  root.write("sys/firmware/devicetree/base/compatible",
             std::string("pine64,rockpro64-v2.1\0pine64,rockpro64\0rockchip,rk3399\0", 55));
  root.write("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n");
  root.write("sys/class/thermal/thermal_zone0/temp", "48333\n");
  root.write("sys/class/thermal/thermal_zone1/type", "gpu-thermal\n");
  root.write("sys/class/thermal/thermal_zone1/temp", "47777\n");
  root.write("sys/class/thermal/cooling_device0/type", "cpufreq-cpu0\n");
  root.write("sys/class/hwmon/hwmon0/name", "nvme\n");
  root.write("sys/class/hwmon/hwmon0/temp1_label", "Composite\n");
  root.write("sys/class/hwmon/hwmon0/temp1_input", "36850\n");
}

// What a Jetson Orin Nano has beside its processor: nvpmodel in mode 1, jetson_clocks run.
inline void make_jetson(const TemporaryFolder& root) {
  root.write("var/lib/nvpmodel/status", "pmode:0001 fmode:quiet\n");
  root.write("etc/nvpmodel.conf",
             "# < POWER_MODEL ID=1 NAME=OLD >\n< POWER_MODEL ID=0 NAME=MAXN >\n"
             "CPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=MODE_15W >\n"
             "< POWER_MODEL ID=10 NAME=MODE_7W >\n< PM_CONFIG DEFAULT=1 >\n");
  const std::string gpu = "sys/class/devfreq/17000000.gpu";
  root.write(gpu + "/cur_freq", "918000000\n");
  root.write(gpu + "/min_freq", "918000000\n");
  root.write(gpu + "/max_freq", "918000000\n");
  root.write(gpu + "/device/load", "453\n");
  root.write("sys/class/hwmon/hwmon1/name", "ina3221\n");
  root.write("sys/class/hwmon/hwmon1/in1_label", "VDD_IN\n");
  root.write("sys/class/hwmon/hwmon1/in1_input", "5040\n");
  root.write("sys/class/hwmon/hwmon1/curr1_input", "1200\n");
  root.write("sys/class/hwmon/hwmon1/in2_label", "VDD_CPU_GPU_CV\n");
  root.write("sys/class/hwmon/hwmon1/in2_input", "5040\n");
  root.write("sys/class/hwmon/hwmon1/curr2_input", "400\n");
  root.write("sys/class/hwmon/hwmon1/in7_label", "sum of shunt voltages\n");
}

// A virtual machine of two cores without cpufreq and sensors.
inline void make_x86(const TemporaryFolder& root) {
  std::string cpuinfo;
  for (int cpu = 0; cpu < 2; ++cpu) {
    cpuinfo += "processor\t: " + std::to_string(cpu) +
               "\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC\ncpu MHz\t\t: 2596.122\n"
               "flags\t\t: fpu sse sse2 avx avx2 sha_ni\npower management:\n\n";
  }
  root.write("proc/cpuinfo", cpuinfo);
  root.write("proc/meminfo", "MemTotal:       24684084 kB\nMemAvailable:   23608000 kB\n");
  root.write("sys/devices/system/cpu/online", "0-1\n");
  root.write("sys/devices/system/cpu/cpu0/cpu_capacity", "1024\n");
  root.write("sys/devices/system/cpu/cpu1/cpu_capacity", "1024\n");
}

}  // namespace dx::test
