// `dx-agent receive`: takes a bundle by content (the protocol is in docs/architecture.md).
#pragma once

#include <cstdint>
#include <string>

#include "agent/files/work_folder.h"

namespace dx {

// How much the work folder may hold (0: no limit), the program that must not go, and whether what
// is there is hashed however it looks.
struct Keeping {
  std::uint64_t bytes = 0;
  std::string program;
  bool verify = false;
};

// Talks to the host on the two descriptors until the push is done or failed. Gives the exit code:
// 0 after `done`, 1 after `error`.
int receive(const WorkFolder& work, const Keeping& keeping, int input, int output);

}  // namespace dx
