#include "workers/ncnn/fork_join.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <numeric>
#include <thread>
#include <vector>

using namespace dx;

namespace {

struct Tally {
  explicit Tally(std::size_t size) : calls(size) {}
  std::vector<std::atomic<int>> calls;
  std::atomic<int> team{0};
  std::atomic<int> nested_team{0};
};

void count_call(void* context, int thread) {
  auto* tally = static_cast<Tally*>(context);
  ++tally->calls[static_cast<std::size_t>(thread)];
  tally->team = ForkJoin::team_size();
  CHECK(ForkJoin::thread_number() == thread);
}

void count_nested(void* context, int thread) {
  ForkJoin::instance().run(
      4, [](void* inner, int) { static_cast<Tally*>(inner)->nested_team += ForkJoin::team_size(); },
      context);
  // The inner loop gives the outer one back as it was.
  CHECK(ForkJoin::thread_number() == thread);
}

}  // namespace

TEST_CASE("each thread of a team runs once, in teams of all sizes, many times") {
  for (int round = 0; round < 300; ++round) {
    for (const int team : {1, 2, 3, 8}) {
      Tally tally(8);
      ForkJoin::instance().run(team, count_call, &tally);
      CHECK(tally.team == team);
      for (int i = 0; i < 8; ++i) {
        CHECK(tally.calls[static_cast<std::size_t>(i)] == (i < team ? 1 : 0));
      }
    }
  }
  CHECK(ForkJoin::team_size() == 1);
  CHECK(ForkJoin::thread_number() == 0);
}

TEST_CASE("what a team wrote is there when it is done, also after its threads slept") {
  ForkJoin::instance().set_block_time_ms(0);
  for (int round = 0; round < 300; ++round) {
    std::vector<int> values(4, 0);  // plain memory: the join is what makes it visible
    ForkJoin::instance().run(
        4,
        [](void* context, int thread) {
          (*static_cast<std::vector<int>*>(context))[static_cast<std::size_t>(thread)] = thread + 1;
        },
        &values);
    CHECK(std::accumulate(values.begin(), values.end(), 0) == 10);
    if (round % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  ForkJoin::instance().set_block_time_ms(20);
}

TEST_CASE("threads that need not stay awake leave the processor to others") {
  ForkJoin& team = ForkJoin::instance();
  team.set_block_time_ms(600'000);
  for (int round = 0; round < 3; ++round) {
    Tally tally(2);
    team.run(2, count_call, &tally);
    CHECK(tally.calls[1] == 1);  // also of a loop after they slept
    team.stay_awake(false);
    const auto used_while_asleep = [] {
      const std::clock_t before = std::clock();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      return std::clock() - before;
    };
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    bool rested = false;
    while (!rested && std::chrono::steady_clock::now() < end) {
      rested = used_while_asleep() < CLOCKS_PER_SEC / 200;
    }
    CHECK(rested);
  }
  team.stay_awake(true);
  team.set_block_time_ms(20);
}

TEST_CASE("a loop inside a loop runs on its own thread") {
  Tally tally(4);
  ForkJoin::instance().run(2, count_nested, &tally);
  CHECK(tally.nested_team == 2);  // two inner loops, each of a team of one
}

TEST_CASE("two threads that fork at once both get their work done") {
  std::atomic<int> calls{0};
  const auto fork_often = [&calls] {
    for (int i = 0; i < 2000; ++i) {
      std::atomic<int> here{0};
      struct Both {
        std::atomic<int>* here;
        std::atomic<int>* all;
      } both{&here, &calls};
      ForkJoin::instance().run(
          2,
          [](void* context, int thread) {
            if (thread == 0) ++*static_cast<Both*>(context)->all;
            ++*static_cast<Both*>(context)->here;
          },
          &both);
      CHECK(here >= 1);
      CHECK(here <= 2);
    }
  };
  std::thread other(fork_often);
  fork_often();
  other.join();
  CHECK(calls == 4000);
}
