// `dx-agent lease`: who has the board and who waits for it, and a way to end one of them.
#pragma once

#include "agent/command_line.h"

namespace dx {

// Prints a line for each, as lease_line gives it: `holder …` and then `waiting …`; `free` where
// nobody is. With --end ID, ends the process of that run and prints `ended …`, or `gone` where it
// does not live any more. Gives the exit code.
int show_lease(const CommandLine& line);

}  // namespace dx
