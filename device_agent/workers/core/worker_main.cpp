#include "workers/core/worker_main.h"

#include <pthread.h>

#include <csignal>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "workers/core/bare.h"
#include "workers/core/command_line.h"
#include "workers/core/session.h"

namespace dx {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitMisuse = 2;

// musl gives a thread 128 KiB of stack, too little for a runtime's kernels; glibc gives 8 MiB.
void widen_thread_stacks() {
#if defined(__linux__) && !defined(__BIONIC__)
  constexpr std::size_t kStackBytes = std::size_t{8} << 20;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  // A system that refuses keeps its own size, which is then what its threads run with.
  if (pthread_attr_setstacksize(&attributes, kStackBytes) == 0) {
    (void)pthread_setattr_default_np(&attributes);
  }
  (void)pthread_attr_destroy(&attributes);
#endif
}

std::string name_of(const Runtime& runtime) { return std::string(runtime.facts().name); }

std::string program(const Runtime& runtime) { return "dx-worker-" + name_of(runtime); }

void print_version(const Runtime& runtime) {
  std::printf("%s %s %s %s target %s\n", program(runtime).c_str(), DX_VERSION_TEXT,
              name_of(runtime).c_str(), runtime.version().c_str(), DX_TARGET_ID_TEXT);
}

int complain(const Runtime& runtime, const Failure& failure, int exit_code) {
  std::fprintf(stderr, "%s: %s\n", program(runtime).c_str(), failure.message.c_str());
  return exit_code;
}

}  // namespace

int worker_main(Runtime& runtime, int argc, char** argv) {
  // A write to an agent that is gone is an error like others.
  (void)std::signal(SIGPIPE, SIG_IGN);
  widen_thread_stacks();
  const std::vector<std::string> words(argv + 1, argv + argc);
  Result<CommandLine> parsed = parse_command_line(words, runtime.facts());
  if (!parsed) return complain(runtime, parsed.failure(), kExitMisuse);
  CommandLine& line = parsed.value();
  switch (line.mode) {
    case CommandLine::Mode::kServe:
      serve(runtime, line.control_socket);
    case CommandLine::Mode::kBare: {
      Status status = run_bare(runtime, std::move(line));
      return status ? 0 : complain(runtime, status.failure(), kExitFailed);
    }
    case CommandLine::Mode::kVersion:
      print_version(runtime);
      return 0;
    case CommandLine::Mode::kHelp:
      break;
  }
  std::printf("%s: runs models for dx-agent, or alone\n%s", program(runtime).c_str(),
              usage(runtime.facts()).c_str());
  return 0;
}

}  // namespace dx
