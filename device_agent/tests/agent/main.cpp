#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <signal.h>

int main(int argc, char** argv) {
  // As in dx-agent itself.
  static_cast<void>(::signal(SIGPIPE, SIG_IGN));
  doctest::Context context(argc, argv);
  return context.run();
}
