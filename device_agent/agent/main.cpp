#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "agent/build_info.h"
#include "agent/command_line.h"
#include "agent/files/work_folder.h"
#include "agent/receive/receive.h"
#include "agent/service/serve.h"
#include "agent/session/lease_command.h"
#include "agent/store/check_command.h"

namespace {

constexpr int kExitUsage = 2;

int print_version() {
  const dx::BuildInfo& info = dx::build_info();
  std::printf("dx-agent %s protocol %u target %s\n", info.version, dx::kProtocolVersion,
              info.target_id);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

// musl gives a thread 128 KiB of stack; gRPC was written where there are 8 MiB.
void widen_thread_stacks() {
  constexpr std::size_t kStackBytes = std::size_t{1} << 20;
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) return;
  if (::pthread_attr_setstacksize(&attributes, kStackBytes) == 0) {
    // Where this is refused, threads keep the system's own size.
    static_cast<void>(::pthread_setattr_default_np(&attributes));
  }
  static_cast<void>(::pthread_attr_destroy(&attributes));
}

int print_usage() { return std::fputs(dx::usage(), stdout) >= 0 ? 0 : 1; }

}  // namespace

int main(int argc, char** argv) {
  widen_thread_stacks();
  // A host that is gone shows as an error of a write, not as the end of this process.
  static_cast<void>(::signal(SIGPIPE, SIG_IGN));
  const auto line = dx::parse_command_line(std::vector<std::string>(argv + 1, argv + argc));
  if (!line) {
    std::fprintf(stderr, "dx-agent: %s\n", line.failure().message.c_str());
    return kExitUsage;
  }
  const dx::WorkFolder work{line.value().work};
  switch (line.value().command) {
    case dx::CommandLine::Command::kHelp:
      return print_usage();
    case dx::CommandLine::Command::kVersion:
      return print_version();
    case dx::CommandLine::Command::kReceive:
      return dx::receive(work, {line.value().keep_bytes, argv[0], line.value().verify},
                         STDIN_FILENO, STDOUT_FILENO);
    case dx::CommandLine::Command::kServe:
      return dx::serve(line.value());
    case dx::CommandLine::Command::kLease:
      return dx::show_lease(line.value());
    case dx::CommandLine::Command::kCheck:
      return dx::check_store(line.value());
    case dx::CommandLine::Command::kSelfCheck:
      return dx::check_self(line.value(), argv[0]);
  }
  return kExitUsage;
}
