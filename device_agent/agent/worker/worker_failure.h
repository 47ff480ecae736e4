// A failure with what is known of the worker that caused it; becomes agent.proto's Failure.
#pragma once

#include <optional>
#include <string>

#include "common/result.h"

namespace dx {

struct WorkerFailure {
  Failure failure;
  int signal = 0;        // 0 unless the worker died of one
  std::string log_tail;  // the last lines of its log
};

// Empty: it went well.
using WorkerOutcome = std::optional<WorkerFailure>;

}  // namespace dx
