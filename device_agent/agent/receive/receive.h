// `dx-agent receive`: takes a bundle by content (the protocol is in docs/architecture.md).
#pragma once

#include "agent/files/work_folder.h"

namespace dx {

// Talks to the host on the two descriptors until the push is done or failed. Gives the exit code:
// 0 after `done`, 1 after `error`.
int receive(const WorkFolder& work, int input, int output);

}  // namespace dx
