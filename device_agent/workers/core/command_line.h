// The command line of every worker.
#pragma once

#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"
#include "workers/core/facts.h"

namespace dx {

struct CommandLine {
  enum class Mode { kServe, kBare, kVersion, kHelp };
  Mode mode = Mode::kHelp;

  int control_socket = -1;  // kServe

  // kBare
  Load load;
  Bench bench;  // its inputs carry names and dims and no data yet
  bool summary = false;
};

// The text of --help, with the runtime's own options.
std::string usage(const WorkerFacts& facts);

// `words` without the program's name. The runtime's own options are checked and settled.
Result<CommandLine> parse_command_line(const std::vector<std::string>& words,
                                       const WorkerFacts& facts);

}  // namespace dx
