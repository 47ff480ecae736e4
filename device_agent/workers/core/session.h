// The worker's side of the conversation described in common/messages.h.
#pragma once

#include "workers/core/runtime.h"

namespace dx {

// Serves the agent on a connected stream socket until it closes or Quit comes; never returns.
[[noreturn]] void serve(Runtime& runtime, int socket);

}  // namespace dx
