// `dx-agent check`: is every content of the store what its name says?
#pragma once

#include "agent/command_line.h"

namespace dx {

// Hashes all of them as they lie on the disk and removes those that are damaged; the next push
// brings them. Prints `checking BYTES` now and then, `damaged SHA256 TEXT` for each that was,
// `untrusted SHA256 TEXT` for each that another user could change, which stays, and
// `checked COUNT BYTES` at the end. Gives the exit code.
int check_store(const CommandLine& line);

// `dx-agent --self-check SHA256`: 0 where the program itself is that file, else 1.
int check_self(const CommandLine& line, const char* program);

}  // namespace dx
