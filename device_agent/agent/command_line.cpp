#include "agent/command_line.h"

#include <charconv>
#include <cstdlib>

#include "agent/files/work_folder.h"

namespace dx {
namespace {

using Command = CommandLine::Command;

constexpr std::uint64_t kMaxHeartbeatSeconds = std::uint64_t{24} * 3600;
constexpr std::uint64_t kMaxWaitSeconds = std::uint64_t{7} * 24 * 3600;
constexpr std::uint64_t kMaxKeepBytes = std::uint64_t{1} << 60;

Failure refused(const std::string& message) {
  return {FailureCode::kInvalidRequest, message + "; see dx-agent --help", Phase::kUnspecified};
}

// A number from 1 to `most`; 0 where the text is none.
std::uint64_t parse_number(const std::string& text, std::uint64_t most) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end && number <= most ? number : 0;
}

// Options of `serve` that want a value.
Status take_serve_option(const std::string& name, const std::string& value, CommandLine& line) {
  if (name == "--launcher") {
    line.launcher.push_back(value);
    return {};
  }
  if (name == "--lease") {
    line.lease = value;
    return value.empty() ? Status(refused("--lease wants a name, got nothing")) : Status();
  }
  if (name == "--wait-seconds") {
    line.wait_seconds = static_cast<unsigned>(parse_number(value, kMaxWaitSeconds));
    if (line.wait_seconds > 0) return {};
    return refused("--wait-seconds wants a number from 1 to 604800, got '" + value + "'");
  }
  if (name != "--heartbeat-seconds") return refused("unknown option " + name);
  line.heartbeat_seconds = static_cast<unsigned>(parse_number(value, kMaxHeartbeatSeconds));
  if (line.heartbeat_seconds > 0) return {};
  return refused("--heartbeat-seconds wants a number from 1 to 86400, got '" + value + "'");
}

Status take_option(const std::string& name, const std::string& value, CommandLine& line) {
  if (name == "--work") {
    if (value.empty()) return refused("--work wants a folder, got nothing");
    line.work = value;
    return {};
  }
  const bool leases = line.command == Command::kServe || line.command == Command::kLease;
  if (name == "--lease-folder" && leases) {
    if (value.empty()) return refused("--lease-folder wants a folder, got nothing");
    line.lease_folder = value;
    return {};
  }
  if (name == "--end" && line.command == Command::kLease) {
    if (value.empty()) return refused("--end wants the id of a run, got nothing");
    line.end = value;
    return {};
  }
  if (name == "--keep-bytes" && line.command == Command::kReceive) {
    line.keep_bytes = parse_number(value, kMaxKeepBytes);
    if (line.keep_bytes > 0) return {};
    return refused("--keep-bytes wants a number of bytes, got '" + value + "'");
  }
  if (line.command == Command::kServe) return take_serve_option(name, value, line);
  return refused("unknown option " + name);
}

// Options without a value.
bool take_flag(const std::string& name, CommandLine& line) {
  if (line.command == Command::kServe && name == "--emulated") return line.emulated = true;
  if (line.command == Command::kServe && name == "--no-wait") {
    line.wait_seconds = 0;
    return true;
  }
  if (line.command == Command::kReceive && name == "--verify") return line.verify = true;
  return false;
}

Status take_options(const std::vector<std::string>& arguments, CommandLine& line) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (take_flag(arguments[i], line)) continue;
    if (i + 1 == arguments.size()) return refused(arguments[i] + " wants a value, or is unknown");
    if (Status status = take_option(arguments[i], arguments[i + 1], line); !status) return status;
    ++i;
  }
  return {};
}

Status add_defaults(CommandLine& line) {
  if (line.work.empty()) {
    const char* home = std::getenv("HOME");
    if (home == nullptr || *home == '\0')
      return refused("no home folder is known: give --work DIR");
    line.work = std::string(home) + "/.deployx-edge";
  }
  if (line.lease_folder.empty()) line.lease_folder = WorkFolder{line.work}.lease();
  return {};
}

}  // namespace

Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments) {
  CommandLine line;
  if (arguments.empty()) return refused("expected a command, got none");
  const std::string& command = arguments[0];
  if (command == "--help" || command == "-h") return line;
  if (command == "--version") {
    line.command = Command::kVersion;
    return line;
  }
  if (command == "--self-check") {
    if (arguments.size() != 2) return refused("--self-check wants a sha256");
    line.command = Command::kSelfCheck;
    line.self_sha256 = arguments[1];
    return line;
  }
  if (command == "receive") {
    line.command = Command::kReceive;
  } else if (command == "serve") {
    line.command = Command::kServe;
  } else if (command == "lease") {
    line.command = Command::kLease;
  } else if (command == "check") {
    line.command = Command::kCheck;
  } else {
    return refused("unknown command '" + command + "'");
  }
  if (Status status = take_options(arguments, line); !status) return status.failure();
  if (Status status = add_defaults(line); !status) return status.failure();
  return line;
}

const char* usage() {
  return "dx-agent: the part of deployx-edge that runs on the board\n"
         "\n"
         "  dx-agent receive [--work DIR] [--keep-bytes N] [--verify]\n"
         "                    take a bundle from standard input; of what the folder held before,\n"
         "                    the oldest goes where it would hold more than N bytes. With "
         "--verify\n"
         "                    what is there is hashed, however it looks\n"
         "  dx-agent serve [--work DIR] [--heartbeat-seconds N] [--emulated] [--launcher WORD]...\n"
         "                 [--lease WHO] [--lease-folder DIR] [--no-wait | --wait-seconds N]\n"
         "                    serve one session; its token comes by standard input. With --lease\n"
         "                    no other session of that kind runs on this board meanwhile\n"
         "  dx-agent lease [--work DIR] [--lease-folder DIR] [--end ID]\n"
         "                    who has the board and who waits for it; --end ends that run\n"
         "  dx-agent check [--work DIR]\n"
         "                    hash all that lies in the store; what is damaged is removed\n"
         "  dx-agent --self-check SHA256\n"
         "                    whether this program is that file: exit code 0 or 1\n"
         "  dx-agent --version\n"
         "                    version, protocol and target of this build\n"
         "\n"
         "DIR is ~/.deployx-edge unless given. deployx-edge starts these itself.\n";
}

}  // namespace dx
