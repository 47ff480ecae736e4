// Which cores compute.
#pragma once

#include <string>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// Binds the calling thread, and with it the threads that it starts, to the board's little or big
// cores: those below or above the middle between the lowest and the highest clock. Fails where the
// system does not tell the clocks, or all cores are alike.
Status bind_to_cores(CoreSelection cores);

// For a runtime that computes on the processor alone: refuses another accelerator and more than
// 1024 threads, and binds the calling thread to the cores that were asked for. `title` names the
// runtime.
Status check_on_processor(const std::string& title, const RunOptions& request);

}  // namespace dx
