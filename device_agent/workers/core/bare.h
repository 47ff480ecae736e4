// A worker alone: the same model and the same timing loop as under the agent, without a socket.
#pragma once

#include "common/result.h"
#include "workers/core/command_line.h"
#include "workers/core/runtime.h"

namespace dx {

// Prints the samples, or their summary, to standard output and what ran to standard error.
Status run_bare(Runtime& runtime, CommandLine line);

}  // namespace dx
