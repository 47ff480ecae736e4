// A team of threads for one parallel loop after the other.
//
// ncnn's own replacement of an OpenMP library (NCNN_SIMPLEOMP) puts its threads to sleep after
// every loop, and waking one costs more than many a layer: a net of four layers that takes 6 us on
// one thread took 650 us on two. These threads watch for the next loop for a while (libomp's "block
// time") before they sleep.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace dx {

class ForkJoin {
 public:
  using Body = void (*)(void* context, int thread);

  // The process's own, never destroyed: its threads may be inside it when the process ends.
  static ForkJoin& instance();

  // Calls `body` once for each thread number below the team's size, number 0 on the caller's own
  // thread, and returns when all are done. The team is as large as asked for, or smaller where the
  // system gives no threads, and of one inside another loop or while another thread forks.
  void run(int threads, Body body, void* context);

  // Of the loop that the calling thread is in; 1 and 0 outside of one.
  static int team_size();
  static int thread_number();

  // How long an idle thread watches for work before it sleeps.
  void set_block_time_ms(int milliseconds) { block_time_ms_ = milliseconds; }
  int block_time_ms() const { return block_time_ms_; }

  // Whether idle threads watch for all of that time, as they do at first, or briefly.
  void stay_awake(bool awake) { stays_awake_ = awake; }

 private:
  ForkJoin() = default;

  void grow(int workers);
  void work_forever(int number, std::uint64_t seen);
  std::uint64_t next_loop(std::uint64_t seen);
  void wait_for_team();
  std::chrono::microseconds watched_time() const;
  template <class Condition>
  bool watch(Condition condition) const;

  // What is watched and what is written meanwhile lie in cache lines of their own.
  static constexpr std::size_t kCacheLine = 64;

  // The loop's number and, in the lowest 16 bits, its team's size: read together, so that a thread
  // that is not of the team never touches the loop.
  alignas(kCacheLine) std::atomic<std::uint64_t> loop_{0};
  alignas(kCacheLine) std::atomic<int> unfinished_{0};
  alignas(kCacheLine) Body body_ = nullptr;
  void* context_ = nullptr;

  std::mutex forking_;
  int workers_ = 0;  // guarded by forking_
  std::atomic<int> block_time_ms_{20};
  std::atomic<bool> stays_awake_{true};
  std::atomic<bool> crowded_{false};  // more threads than processors, or than the quota grants

  std::mutex sleep_mutex_;
  std::condition_variable loop_came_;
  std::condition_variable team_is_done_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> forker_sleeps_{false};
};

}  // namespace dx
