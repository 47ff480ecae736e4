// What this build is. Only build_info.cpp knows the values: a new version compiles one file.
#pragma once

#include <cstdint>

namespace dx {

// Of agent.proto; raised when an older host or agent would misunderstand.
constexpr std::uint32_t kProtocolVersion = 3;

struct BuildInfo {
  const char* version;     // of deployx-edge
  const char* target_id;   // e.g. "linux-arm64"
  const char* compiler;    // e.g. "Clang 22.1.0"
  const char* build_type;  // e.g. "Release"
  const char* sanitizers;  // "" or e.g. "address,undefined"
};

const BuildInfo& build_info();

}  // namespace dx
