// `dx-agent lease`: who has the board and who waits for it, and a way to end the first.
#pragma once

#include "agent/command_line.h"

namespace dx {

// Prints one line for each, `holder PID SECONDS WHO` and then `waiting …`; `free` where nobody is.
// With --end, ends the holder and prints `ended PID SECONDS WHO`. Gives the exit code.
int show_lease(const CommandLine& line);

}  // namespace dx
