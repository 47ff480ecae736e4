// What a board's own files tell of its NPU, without the library.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace dx {

struct NpuBoard {
  std::string chip;                // "rk3588"; "" where the board does not tell
  std::string driver;              // its version, "0.9.8"; "" where this user may not read it
  std::vector<std::string> nodes;  // what the NPU is opened by; none: there is no driver

  // Reads below `root`, "" for the board's own files.
  static NpuBoard read(const std::string& root = "");
};

// A sentence with the remedy where this user may not open one of these; "" for none.
std::string closed_node_text(const std::vector<std::string>& nodes);

// How many cores the chip's NPU has; 0 for an unknown chip.
int npu_cores(const std::string& chip);

// Whether a file for one chip runs on the other: some share one NPU.
bool same_npu(const std::string& one, const std::string& other);

}  // namespace dx
