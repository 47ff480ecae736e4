// `dx-agent serve`: one session, from its token to its end.
#pragma once

#include "agent/command_line.h"

namespace dx {

// Reads the token from standard input, prints `ready PORT PID` and serves until the session ends.
// Gives the exit code.
int serve(const CommandLine& line);

}  // namespace dx
