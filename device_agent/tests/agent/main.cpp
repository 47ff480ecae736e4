#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <signal.h>

#include "agent/worker/worker_process.h"

int main(int argc, char** argv) {
  // As in dx-agent itself.
  static_cast<void>(::signal(SIGPIPE, SIG_IGN));
  dx::keep_inherited_descriptors();
  doctest::Context context(argc, argv);
  return context.run();
}
