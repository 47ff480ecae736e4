// The whole description of the board, and its state at a moment.
#pragma once

#include <optional>
#include <string>

#include "agent/device/board.h"
#include "agent/device/cpuinfo.h"
#include "agent/device/sysfiles.h"

namespace dx {

// What is not read from files. Tests give values of their own.
struct SystemFacts {
  std::string machine;                             // uname -m
  std::string kernel;                              // uname -s and -r
  std::uint32_t cores = 0;                         // that this process may use
  std::uint32_t free_cores = 0;                    // see dx::free_cores()
  std::optional<double> processor_quota;           // see dx::processor_quota()
  CpuInfoFormat native = CpuInfoFormat::kUnknown;  // see native_cpuinfo_format()
  std::vector<std::string> auxiliary_features;     // see auxiliary_vector_features()
};

SystemFacts ask_system();

// Tells of one board. Thread-safe after construction.
class BoardReader {
 public:
  // `told_emulated`: whoever started the agent knows of an emulator.
  BoardReader(SysFiles files, SystemFacts facts, std::string work_folder, bool told_emulated);

  Board describe() const;

  // Empty under emulation.
  Conditions conditions() const;

  bool emulated() const { return emulated_reason_.has_value(); }

 private:
  void add_native_facts(const CpuInfo& info, Board& board) const;

  SysFiles files_;
  SystemFacts facts_;
  std::string work_folder_;
  std::optional<std::string> emulated_reason_;
};

}  // namespace dx
