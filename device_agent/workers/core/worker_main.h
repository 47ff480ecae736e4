// The `main` of every worker.
#pragma once

#include "workers/core/runtime.h"

namespace dx {

// Returns the exit code: 0, 1 where a bare run failed, 2 for a wrong command line.
int worker_main(Runtime& runtime, int argc, char** argv);

}  // namespace dx
