// Many loops of a team of two whose threads sleep after each, for an emulator to run: see
// tests/integration/test_emulated_threads.py.
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "workers/ncnn/fork_join.h"

namespace {
std::atomic<long> calls{0};
}

int main(int argc, char** argv) {
  const long loops = argc > 1 ? std::atol(argv[1]) : 0;
  dx::ForkJoin& team = dx::ForkJoin::instance();
  team.set_block_time_ms(0);
  for (long i = 0; i < loops; ++i) {
    team.run(2, [](void*, int) { ++calls; }, nullptr);
  }
  std::printf("%ld\n", calls.load());
  return 0;
}
