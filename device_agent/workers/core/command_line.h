// The command line of every worker.
#pragma once

#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"

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

extern const char kUsage[];

// `words` without the program's name.
Result<CommandLine> parse_command_line(const std::vector<std::string>& words);

}  // namespace dx
