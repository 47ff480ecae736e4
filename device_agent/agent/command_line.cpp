#include "agent/command_line.h"

#include <charconv>
#include <cstdlib>

namespace dx {
namespace {

constexpr unsigned kMaxHeartbeatSeconds = 24 * 3600;

Failure refused(const std::string& message) {
  return {FailureCode::kInvalidRequest, message + "; see dx-agent --help", Phase::kUnspecified};
}

bool parse_seconds(const std::string& text, unsigned& seconds) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, seconds);
  return parsed.ec == std::errc() && parsed.ptr == end && seconds >= 1 &&
         seconds <= kMaxHeartbeatSeconds;
}

Status take_option(const std::string& name, const std::string& value, CommandLine& line) {
  if (name == "--work") {
    if (value.empty()) return refused("--work wants a folder, got nothing");
    line.work = value;
    return {};
  }
  if (line.command != CommandLine::Command::kServe) return refused("unknown option " + name);
  if (name == "--launcher") {
    line.launcher.push_back(value);
    return {};
  }
  if (name == "--heartbeat-seconds") {
    if (parse_seconds(value, line.heartbeat_seconds)) return {};
    return refused("--heartbeat-seconds wants a number from 1 to 86400, got '" + value + "'");
  }
  return refused("unknown option " + name);
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  if (arguments.empty()) return refused("expected a command, got none");
  const std::string& command = arguments[0];
  if (command == "--help" || command == "-h") return line;
  if (command == "--version") {
    line.command = CommandLine::Command::kVersion;
    return line;
  }
  if (command == "receive") {
    line.command = CommandLine::Command::kReceive;
  } else if (command == "serve") {
    line.command = CommandLine::Command::kServe;
  } else {
    return refused("unknown command '" + command + "'");
  }
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--emulated" && line.command == CommandLine::Command::kServe) {
      line.emulated = true;
      continue;
    }
    if (i + 1 == arguments.size()) return refused(arguments[i] + " wants a value, or is unknown");
    if (Status status = take_option(arguments[i], arguments[i + 1], line); !status) {
      return status.failure();
    }
    ++i;
  }
  if (line.work.empty()) {
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0')
      return refused("no home folder is known: give --work DIR");
    line.work = std::string(home) + "/.deployx-edge";
  }
  return line;
}

const char* usage() {
  return "dx-agent: the part of deployx-edge that runs on the board\n"
         "\n"
         "  dx-agent receive [--work DIR]     take a bundle from standard input\n"
         "  dx-agent serve [--work DIR] [--heartbeat-seconds N] [--emulated] [--launcher WORD]...\n"
         "                                    serve one session; its token comes by standard "
         "input\n"
         "  dx-agent --version                version, protocol and target of this build\n"
         "\n"
         "DIR is ~/.deployx-edge unless given. deployx-edge starts these itself.\n";
}

}  // namespace dx
