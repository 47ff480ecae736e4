// What dx-agent was asked to do.
#pragma once

#include <string>
#include <vector>

#include "common/result.h"

namespace dx {

struct CommandLine {
  enum class Command { kHelp, kVersion, kReceive, kServe };

  Command command = Command::kHelp;
  std::string work;                   // the work folder
  unsigned heartbeat_seconds = 30;    // serve: ends without a heartbeat in this time
  bool emulated = false;              // serve: what is read here would be the host's
  std::vector<std::string> launcher;  // serve: words before every worker's command line
};

// Parses the arguments without the program's name.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);

// The text of --help.
const char* usage();

}  // namespace dx
