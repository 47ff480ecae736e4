#include "agent/device/describe.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <utility>

#include "agent/device/clusters.h"
#include "agent/device/emulation.h"
#include "agent/device/platform.h"
#include "agent/device/sensors.h"
#include "agent/files/files.h"
#include "common/processors.h"

namespace dx {
namespace {

std::uint32_t usable_cores() {
  const std::size_t allowed = allowed_processors().size();
  if (allowed > 0) return static_cast<std::uint32_t>(allowed);
  return static_cast<std::uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

// "MemTotal:  16316412 kB" in bytes.
std::optional<std::uint64_t> memory_line(std::string_view text, std::string_view key) {
  for (const std::string_view line : lines_of(text)) {
    if (line.substr(0, key.size()) != key) continue;
    const std::string number(trimmed(line.substr(key.size())));
    const unsigned long long kib = std::strtoull(number.c_str(), nullptr, 10);
    if (kib > 0) return std::uint64_t{kib} * 1024;
  }
  return std::nullopt;
}

}  // namespace

SystemFacts ask_system() {
  SystemFacts facts;
  struct utsname names{};
  if (::uname(&names) == 0) {
    facts.machine = names.machine;
    facts.kernel = std::string(names.sysname) + " " + names.release;
  }
  facts.cores = usable_cores();
  facts.free_cores = static_cast<std::uint32_t>(free_cores());
  facts.processor_quota = processor_quota();
  facts.native = native_cpuinfo_format();
  facts.auxiliary_features = auxiliary_vector_features();
  return facts;
}

BoardReader::BoardReader(SysFiles files, SystemFacts facts, std::string work_folder,
                         bool told_emulated)
    : files_(std::move(files)), facts_(std::move(facts)), work_folder_(std::move(work_folder)) {
  const CpuInfo info = parse_cpuinfo(files_.text("/proc/cpuinfo").value_or(""));
  emulated_reason_ = detect_emulation(facts_.native, info);
  if (!emulated_reason_ && told_emulated) emulated_reason_ = "the agent was started as emulated";
}

Conditions BoardReader::conditions() const {
  return emulated() ? Conditions{} : read_conditions(files_);
}

Board BoardReader::describe() const {
  Board board;
  board.machine = facts_.machine;
  board.kernel = facts_.kernel;
  board.libc = own_libc_name();
  board.cores = facts_.cores;
  board.free_cores = facts_.free_cores;
  board.processor_quota = facts_.processor_quota;
  board.disk_free_bytes = free_bytes(work_folder_);
  board.emulated = emulated();
  board.emulated_reason = emulated_reason_.value_or("");
  if (emulated()) {
    // The files tell of the host, whose system, clocks and kinds of cores mean nothing here; its
    // number of cores is what there is.
    board.isa_features = facts_.auxiliary_features;
    Cluster all{"all", std::vector<std::uint32_t>(board.cores), 0};
    std::iota(all.cpus.begin(), all.cpus.end(), 0U);
    board.clusters.push_back(std::move(all));
    return board;
  }
  add_native_facts(parse_cpuinfo(files_.text("/proc/cpuinfo").value_or("")), board);
  return board;
}

void BoardReader::add_native_facts(const CpuInfo& info, Board& board) const {
  board.os = os_name(files_);
  board.libc = board_libc_name(files_) + "; agent: " + own_libc_name();
  board.soc = soc_name(files_, info);
  board.cpu_model = info.model;
  board.isa_features = info.features.empty() ? facts_.auxiliary_features : info.features;
  board.clusters = group_cores(read_core_speeds(files_));
  const std::string memory = files_.text("/proc/meminfo").value_or("");
  board.memory_bytes = memory_line(memory, "MemTotal:");
  board.memory_available_bytes = memory_line(memory, "MemAvailable:");
  board.conditions = read_conditions(files_);
}

}  // namespace dx
