// What the agent tells of the board it runs on. Plain values; agent.proto says what they mean.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace dx {

struct Reading {
  std::string name;
  double value = 0;    // degrees Celsius or MHz
  std::string source;  // the path that was read
};

// Of what is not the processor: an accelerator, a rail.
struct Measure {
  std::string name;
  double value = 0;
  std::string unit;    // "%", "MHz" or "W"
  std::string source;  // the path that was read
};

struct Conditions {
  std::vector<Reading> temperatures;
  std::vector<Reading> frequencies;
  std::vector<std::string> governors;  // one per frequency domain
  std::vector<Measure> measures;
  std::vector<std::string> settings;  // what was chosen, in words
};

struct Cluster {
  std::string name;  // "big", "little" or "all"
  std::vector<std::uint32_t> cpus;
  double max_mhz = 0;  // 0: not known
};

struct Board {
  std::string machine;
  std::string kernel;
  std::string os;
  std::string libc;
  std::optional<std::string> soc;
  std::optional<std::string> cpu_model;
  std::uint32_t cores = 0;
  std::uint32_t free_cores = 0;           // physical ones
  std::optional<double> processor_quota;  // in processors; empty: none
  std::vector<Cluster> clusters;
  std::vector<std::string> isa_features;
  std::optional<std::uint64_t> memory_bytes;
  std::optional<std::uint64_t> memory_available_bytes;
  std::optional<std::uint64_t> disk_free_bytes;
  Conditions conditions;
  bool emulated = false;
  std::string emulated_reason;
};

}  // namespace dx
