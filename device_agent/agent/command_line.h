// What dx-agent was asked to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/result.h"

namespace dx {

struct CommandLine {
  enum class Command { kHelp, kVersion, kReceive, kServe, kLease, kCheck, kSelfCheck };

  Command command = Command::kHelp;
  std::string work;                   // the work folder
  unsigned heartbeat_seconds = 30;    // serve: ends without a heartbeat in this time
  bool emulated = false;              // serve: what is read here would be the host's
  std::vector<std::string> launcher;  // serve: words before every worker's command line
  std::string lease;                  // serve: who wants the board alone, and what for; "": nobody
  std::string lease_folder;           // serve, lease: where the sessions of this board meet
  unsigned wait_seconds = 24 * 3600;  // serve: for the board, where another has it
  std::string end;                    // lease: the id of a run to end; "": none
  std::uint64_t keep_bytes = 0;       // receive: what the store may hold; 0: no limit
  bool verify = false;      // receive: hashes also what looks as it did when it was hashed
  std::string self_sha256;  // --self-check: what this program should be
};

// Parses the arguments without the program's name.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments);

// The text of --help.
const char* usage();

}  // namespace dx
