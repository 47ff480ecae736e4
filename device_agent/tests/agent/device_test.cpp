#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "agent/device/clusters.h"
#include "agent/device/cpuinfo.h"
#include "agent/device/describe.h"
#include "agent/device/emulation.h"
#include "agent/device/platform.h"
#include "agent/device/sensors.h"
#include "tests/agent/fake_boards.h"
#include "tests/agent/temporary_folder.h"

namespace {

using dx::SysFiles;
using dx::test::TemporaryFolder;

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

dx::SystemFacts arm_facts() {
  dx::SystemFacts facts;
  facts.machine = "aarch64";
  facts.kernel = "Linux 6.1.0";
  facts.cores = 6;
  facts.free_cores = 3;
  facts.processor_quota = 3.5;
  facts.native = dx::CpuInfoFormat::kArm;
  facts.auxiliary_features = {"fp", "asimd"};
  return facts;
}

}  // namespace

TEST_CASE("a board with little and big cores is described as it is") {
  const TemporaryFolder folder;
  dx::test::make_rk3399(folder);
  const dx::BoardReader reader(SysFiles(folder.path()), arm_facts(), folder.path(), false);
  const dx::Board board = reader.describe();
  CHECK_FALSE(board.emulated);
  CHECK(board.machine == "aarch64");
  CHECK(board.os == "Debian GNU/Linux 12 (bookworm)");
  CHECK(board.soc == "Pine64 RockPro64 v2.1 (rockchip,rk3399)");
  CHECK(board.cpu_model == "4 x Cortex-A53, 2 x Cortex-A72");
  CHECK(board.memory_bytes == 3973120ULL * 1024);
  CHECK(board.memory_available_bytes == 3500000ULL * 1024);
  CHECK(board.disk_free_bytes.value_or(0) > 0);
  CHECK(has(board.isa_features, "asimd"));
  CHECK_FALSE(has(board.isa_features, "sha2"));  // the little cores of this tree lack it

  CHECK(board.free_cores == 3);
  CHECK(board.processor_quota == 3.5);

  REQUIRE(board.clusters.size() == 2);
  CHECK(board.clusters[0].name == "little");
  CHECK(board.clusters[0].cpus == std::vector<std::uint32_t>{0, 1, 2, 3});
  CHECK(board.clusters[0].max_mhz == 1416);
  CHECK(board.clusters[1].name == "big");
  CHECK(board.clusters[1].cpus == std::vector<std::uint32_t>{4, 5});
  CHECK(board.clusters[1].max_mhz == 1800);
}

TEST_CASE("temperatures, clocks and governors come with the path that was read") {
  const TemporaryFolder folder;
  dx::test::make_rk3399(folder);
  const dx::Conditions conditions = dx::read_conditions(SysFiles(folder.path()));
  REQUIRE(conditions.temperatures.size() == 3);
  CHECK(conditions.temperatures[0].name == "cpu-thermal");
  CHECK(conditions.temperatures[0].value == 48.333);
  CHECK(conditions.temperatures[0].source ==
        folder.path() + "/sys/class/thermal/thermal_zone0/temp");
  CHECK(conditions.temperatures[1].name == "gpu-thermal");
  CHECK(conditions.temperatures[2].name == "nvme Composite");
  CHECK(conditions.temperatures[2].value == 36.85);
  REQUIRE(conditions.frequencies.size() == 2);
  CHECK(conditions.frequencies[0].name == "cpu0");
  CHECK(conditions.frequencies[0].value == 600);
  CHECK(conditions.frequencies[1].name == "cpu4");
  CHECK(conditions.frequencies[1].value == 1800);
  CHECK(conditions.governors == std::vector<std::string>{"schedutil", "performance"});
}

TEST_CASE("a Jetson tells its power mode, its GPU's load and clock, and the power of its rails") {
  const TemporaryFolder folder;
  dx::test::make_jetson(folder);
  const dx::Conditions conditions = dx::read_conditions(SysFiles(folder.path()));
  CHECK(conditions.settings ==
        std::vector<std::string>{"power mode MODE_15W", "17000000.gpu clock locked at 918 MHz"});
  REQUIRE(conditions.measures.size() == 4);
  CHECK(conditions.measures[0].name == "17000000.gpu clock");
  CHECK(conditions.measures[0].value == 918);
  CHECK(conditions.measures[0].unit == "MHz");
  CHECK(conditions.measures[1].name == "17000000.gpu load");
  CHECK(conditions.measures[1].value == doctest::Approx(45.3));
  CHECK(conditions.measures[1].unit == "%");
  CHECK(conditions.measures[1].source ==
        folder.path() + "/sys/class/devfreq/17000000.gpu/device/load");
  CHECK(conditions.measures[2].name == "power VDD_IN");
  CHECK(conditions.measures[2].value == doctest::Approx(5.04 * 1.2));
  CHECK(conditions.measures[2].unit == "W");
  CHECK(conditions.measures[3].name == "power VDD_CPU_GPU_CV");
}

TEST_CASE("what a Jetson does not tell, or tells wrongly, is left out") {
  const TemporaryFolder folder;
  dx::test::make_jetson(folder);
  folder.write("var/lib/nvpmodel/status", "pmode:0009 fmode:quiet\n");  // none of the list
  folder.write("sys/class/devfreq/17000000.gpu/device/load", "1001\n");
  folder.write("sys/class/devfreq/17000000.gpu/min_freq", "306000000\n");
  folder.write("sys/class/hwmon/hwmon1/curr1_input", "-5\n");
  folder.write("sys/class/hwmon/hwmon1/in2_input", "much\n");
  const dx::Conditions conditions = dx::read_conditions(SysFiles(folder.path()));
  CHECK(conditions.settings == std::vector<std::string>{"power mode 9"});
  REQUIRE(conditions.measures.size() == 1);
  CHECK(conditions.measures[0].name == "17000000.gpu clock");
  folder.write("var/lib/nvpmodel/status", "nothing of it\n");
  folder.write("sys/class/devfreq/17000000.gpu/cur_freq", "0\n");
  const dx::Conditions less = dx::read_conditions(SysFiles(folder.path()));
  CHECK(less.settings.empty());
  CHECK(less.measures.empty());
}

TEST_CASE("an accelerator of another maker is told, too, and memory clocks are not") {
  const TemporaryFolder folder;
  folder.write("sys/class/devfreq/fdab0000.npu/cur_freq", "1000000000\n");
  folder.write("sys/class/devfreq/fdab0000.npu/load", "35@1000000000Hz\n");
  folder.write("sys/class/devfreq/dmc/cur_freq", "528000000\n");
  const dx::Conditions conditions = dx::read_conditions(SysFiles(folder.path()));
  REQUIRE(conditions.measures.size() == 2);
  CHECK(conditions.measures[0].name == "fdab0000.npu clock");
  CHECK(conditions.measures[1].value == 35);
}

TEST_CASE("the load of each core of an NPU is told where this user may read it") {
  const TemporaryFolder folder;
  const std::string path = "sys/kernel/debug/rknpu/load";
  folder.write(path, "NPU load:  Core0: 35%, Core1:  0%, Core2: 100%,\n");
  dx::Conditions conditions = dx::read_conditions(SysFiles(folder.path()));
  REQUIRE(conditions.measures.size() == 3);
  CHECK(conditions.measures[0].name == "npu core0 load");
  CHECK(conditions.measures[0].value == 35);
  CHECK(conditions.measures[2].name == "npu core2 load");
  CHECK(conditions.measures[2].value == 100);
  folder.write(path, "NPU load:  7%\n");
  conditions = dx::read_conditions(SysFiles(folder.path()));
  REQUIRE(conditions.measures.size() == 1);
  CHECK(conditions.measures[0].name == "npu load");
  for (const char* const odd : {"", "%", "NPU load: 101%", "NPU load: many%", "NPU load: 1e3%"}) {
    folder.write(path, odd);
    CHECK(dx::read_conditions(SysFiles(folder.path())).measures.empty());
  }
}

TEST_CASE("what would be the host's is absent under emulation") {
  const TemporaryFolder folder;
  dx::test::make_x86(folder);
  const dx::BoardReader reader(SysFiles(folder.path()), arm_facts(), folder.path(), false);
  const dx::Board board = reader.describe();
  CHECK(board.emulated);
  CHECK(board.emulated_reason == "this is an Arm program, but /proc/cpuinfo is of an x86 kernel");
  CHECK_FALSE(board.cpu_model);
  CHECK_FALSE(board.soc);
  CHECK(board.os.empty());
  CHECK(board.libc == dx::own_libc_name());
  CHECK_FALSE(board.memory_bytes);
  CHECK_FALSE(board.memory_available_bytes);
  CHECK(board.conditions.temperatures.empty());
  CHECK(board.conditions.frequencies.empty());
  CHECK(reader.conditions().frequencies.empty());
  CHECK(board.isa_features == std::vector<std::string>{"fp", "asimd"});
  REQUIRE(board.clusters.size() == 1);
  CHECK(board.clusters[0].max_mhz == 0);
}

TEST_CASE("an agent that is told so is emulated") {
  const TemporaryFolder folder;
  dx::test::make_rk3399(folder);
  const dx::BoardReader reader(SysFiles(folder.path()), arm_facts(), folder.path(), true);
  CHECK(reader.emulated());
  CHECK(reader.describe().emulated_reason == "the agent was started as emulated");
  CHECK_FALSE(reader.describe().cpu_model);
}

TEST_CASE("a virtual x86 machine tells its clock by /proc/cpuinfo") {
  const TemporaryFolder folder;
  dx::test::make_x86(folder);
  dx::SystemFacts facts = arm_facts();
  facts.native = dx::CpuInfoFormat::kX86;
  const dx::Board board =
      dx::BoardReader(SysFiles(folder.path()), facts, folder.path(), false).describe();
  CHECK_FALSE(board.emulated);
  CHECK(board.cpu_model == "AMD EPYC");
  CHECK(has(board.isa_features, "avx2"));
  REQUIRE(board.clusters.size() == 1);
  CHECK(board.clusters[0].name == "all");
  REQUIRE(board.conditions.frequencies.size() == 2);
  CHECK(board.conditions.frequencies[1].value == 2596.122);
  CHECK_FALSE(board.soc);
}

TEST_CASE("RISC-V extensions are separate words") {
  const dx::CpuInfo info = dx::parse_cpuinfo(
      "processor\t: 0\nhart\t\t: 1\nisa\t\t: rv64imafdcv_zicsr_zfh\nmmu\t\t: sv39\n"
      "uarch\t\t: sifive,u74-mc\n");
  CHECK(info.format == dx::CpuInfoFormat::kRiscv);
  CHECK(info.features == std::vector<std::string>{"rv64imafdcv", "zicsr", "zfh"});
  CHECK(info.model == "sifive,u74-mc");
}

TEST_CASE("an unknown Arm core is told by its numbers") {
  const dx::CpuInfo info =
      dx::parse_cpuinfo("Features\t: fp\nCPU implementer\t: 0x99\nCPU part\t: 0xabc\n");
  CHECK(info.model == "part 0xabc of maker 0x99");
}

TEST_CASE("cores are grouped by capacity, else by clock; turbo makes no group") {
  CHECK(dx::group_cores({}).empty());
  CHECK(dx::group_cores({{0, 0, 4900}, {1, 0, 5000}, {2, 0, 4900}}).size() == 1);
  CHECK(dx::group_cores({{0, 0, 0}, {1, 0, 0}}).at(0).name == "all");
  // The same clock, but not the same core.
  const auto by_capacity = dx::group_cores({{0, 400, 2000}, {1, 1024, 2000}});
  REQUIRE(by_capacity.size() == 2);
  CHECK(by_capacity[1].cpus == std::vector<std::uint32_t>{1});
  const auto three = dx::group_cores({{7, 1024, 3000}, {0, 250, 1800}, {4, 870, 2600}});
  REQUIRE(three.size() == 3);
  CHECK(three[0].name == "little");
  CHECK(three[1].name == "big");
  CHECK(three[2].name == "big");
  CHECK(three[2].cpus == std::vector<std::uint32_t>{7});
}

TEST_CASE("an Android device is told by its properties") {
  const TemporaryFolder folder;
  folder.write("system/build.prop", "ro.build.version.release=14\n# x\n");
  folder.write("vendor/build.prop", "ro.board.platform=kalama\n");
  const SysFiles files(folder.path());
  CHECK(dx::os_name(files) == "Android 14");
  CHECK(dx::soc_name(files, {}) == "kalama");
  CHECK(dx::board_libc_name(files) == "bionic");
}

TEST_CASE("a chip of Qualcomm's has the number that the kernel knows it by") {
  const TemporaryFolder folder;
  const SysFiles files(folder.path());
  folder.write("sys/firmware/devicetree/base/model", "Kalama MTP");
  folder.write("sys/devices/soc0/soc_id", "519\n");
  CHECK(dx::soc_name(files, {}) == "Kalama MTP");
  folder.write("sys/devices/soc0/family", "Snapdragon\n");
  CHECK(dx::soc_name(files, {}) == "Kalama MTP, soc_id 519");
  folder.write("sys/devices/soc0/family", "Tegra\n");
  CHECK(dx::soc_name(files, {}) == "Kalama MTP");
  folder.write("sys/firmware/devicetree/base/compatible",
               std::string("qcom,kalama-mtp\0qcom,kalama\0", 28));
  CHECK(dx::soc_name(files, {}) == "Kalama MTP (qcom,kalama), soc_id 519");
  folder.write("sys/devices/soc0/soc_id", "jep106:0070:0519\n");
  CHECK(dx::soc_name(files, {}) == "Kalama MTP (qcom,kalama)");
}

TEST_CASE("the board's C library is found where it lies") {
  const TemporaryFolder folder;
  const SysFiles files(folder.path());
  CHECK(dx::board_libc_name(files) == "not found");
  folder.write("usr/lib/aarch64-linux-gnu/libc.so.6",
               "\x7f"
               "ELF...GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\nCopy");
  CHECK(dx::board_libc_name(files) == "glibc 2.36");
  folder.write("lib/ld-musl-aarch64.so.1", "x");
  CHECK(dx::board_libc_name(files) == "musl");
}

TEST_CASE("a board without any of these files is described without them") {
  const TemporaryFolder folder;
  const dx::Board board =
      dx::BoardReader(SysFiles(folder.path()), arm_facts(), folder.path(), false).describe();
  CHECK(board.os.empty());
  CHECK_FALSE(board.soc);
  CHECK_FALSE(board.cpu_model);
  CHECK_FALSE(board.memory_bytes);
  CHECK(board.clusters.empty());
  CHECK(board.isa_features == std::vector<std::string>{"fp", "asimd"});
}

TEST_CASE("sensors that speak nonsense are left out") {
  const TemporaryFolder folder;
  folder.write("sys/class/thermal/thermal_zone0/temp", "-274000\n");
  folder.write("sys/class/thermal/thermal_zone1/temp", "hot\n");
  folder.write("sys/class/thermal/thermal_zone2/temp", "0\n");
  folder.write("sys/class/thermal/thermal_zone3/temp", "\xff\xfe\n");
  folder.write("sys/class/thermal/thermal_zone4/temp", "99999999999999999999\n");
  folder.write("sys/class/thermal/thermal_zone5/temp", "51\n");  // whole degrees
  folder.write("sys/class/thermal/cooling_device0/temp", "40000\n");
  const auto temperatures = dx::read_conditions(SysFiles(folder.path())).temperatures;
  REQUIRE(temperatures.size() == 1);
  CHECK(temperatures[0].value == 51);
  CHECK(temperatures[0].name == "thermal_zone5");
}

TEST_CASE("lists of cores are read as the kernel writes them") {
  using Cpus = std::vector<std::uint32_t>;
  CHECK(dx::parse_cpu_list("0-3,6") == Cpus{0, 1, 2, 3, 6});
  CHECK(dx::parse_cpu_list("0 1 2 3\n") == Cpus{0, 1, 2, 3});
  CHECK(dx::parse_cpu_list("") == Cpus{});
  CHECK(dx::parse_cpu_list("3-1,x,2,1-,-4,99999999999,0-99999999") == Cpus{2});
}

TEST_CASE("this machine is described without a fault") {
  const dx::Board board = dx::BoardReader(SysFiles(), dx::ask_system(), "/tmp", false).describe();
  CHECK_FALSE(board.machine.empty());
  CHECK(board.cores >= 1);
  CHECK(board.memory_bytes.value_or(0) > 0);
  CHECK_FALSE(board.clusters.empty());
}
