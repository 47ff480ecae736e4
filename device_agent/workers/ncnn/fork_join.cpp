#include "workers/ncnn/fork_join.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <thread>

#include "common/processors.h"

namespace dx {
namespace {

constexpr int kTeamBits = 16;
constexpr std::uint64_t kTeamMask = (std::uint64_t{1} << kTeamBits) - 1;
constexpr int kMaxTeam = 1024;

// Between two looks at the clock, which costs more than they do.
constexpr int kLooksAtOnce = 64;

// Where there are more threads than processors, the awaited one may need this very one.
constexpr std::chrono::microseconds kCrowdedTime{20};

// Where nothing is measured. On a computer that others use too, threads that watched for the whole
// block time took two hundred times the processor time of the runs themselves.
constexpr std::chrono::microseconds kBriefTime{100};

// Who writes a flag and then reads the other side's, before one of the two sleeps, has to write by
// an exchange. A sequentially consistent store and load are enough by the standard and on every
// processor, but not in qemu-user 7.2 on x86: it runs AArch64's STLR and LDAR without a barrier
// between them, so that both sides may read the old value, and a worker on an emulated board slept
// for ever. A read-modify-write is a barrier there, too.

struct Place {
  int team_size = 1;
  int number = 0;
  bool inside = false;
};
thread_local Place place;

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || (defined(__arm__) && __ARM_ARCH >= 7)
  asm volatile("yield");
#endif
}

void call(ForkJoin::Body body, void* context, int team_size, int number) {
  const Place before = place;
  place = {team_size, number, true};
  body(context, number);
  place = before;
}

}  // namespace

ForkJoin& ForkJoin::instance() {
  static ForkJoin* const pool = new ForkJoin();
  return *pool;
}

int ForkJoin::team_size() { return place.team_size; }
int ForkJoin::thread_number() { return place.number; }

std::chrono::microseconds ForkJoin::watched_time() const {
  if (crowded_.load(std::memory_order_relaxed)) return kCrowdedTime;
  const std::chrono::milliseconds block_time{block_time_ms_.load(std::memory_order_relaxed)};
  if (stays_awake_.load(std::memory_order_relaxed)) return block_time;
  return std::min<std::chrono::microseconds>(block_time, kBriefTime);
}

// Looks until the condition holds or the time is over. It never offers the processor to others:
// where other programs are about, they would keep it for a whole time slice, once a loop.
template <class Condition>
bool ForkJoin::watch(Condition condition) const {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < kLooksAtOnce; ++i) {
      if (condition()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() - start < watched_time());
  return false;
}

void ForkJoin::run(int threads, Body body, void* context) {
  if (threads <= 1 || place.inside || !forking_.try_lock()) return call(body, context, 1, 0);
  const std::lock_guard<std::mutex> lock(forking_, std::adopt_lock);
  grow(std::min(threads, kMaxTeam) - 1);
  const int team = std::min(threads, workers_ + 1);
  if (team == 1) return call(body, context, 1, 0);

  body_ = body;
  context_ = context;
  unfinished_.store(team - 1, std::memory_order_relaxed);
  const std::uint64_t number = (loop_.load(std::memory_order_relaxed) >> kTeamBits) + 1;
  // Either this sees the sleeper, or the sleeper sees the loop (see above for the exchange).
  loop_.exchange(number << kTeamBits | static_cast<std::uint64_t>(team));
  if (sleepers_.load() > 0) {
    const std::lock_guard<std::mutex> sleep_lock(sleep_mutex_);
    loop_came_.notify_all();
  }
  call(body, context, team, 0);
  wait_for_team();
}

void ForkJoin::wait_for_team() {
  const auto done = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  if (watch(done)) return;
  std::unique_lock<std::mutex> lock(sleep_mutex_);
  forker_sleeps_.exchange(true);  // see above for the exchange
  team_is_done_.wait(lock, [this] { return unfinished_.load() == 0; });
  forker_sleeps_.store(false);
}

void ForkJoin::grow(int workers) {
  if (workers_ >= workers) return;
  while (workers_ < workers) {
    try {
      std::thread(&ForkJoin::work_forever, this, workers_ + 1, loop_.load()).detach();
    } catch (const std::system_error&) {
      break;  // a smaller team does the same work
    }
    ++workers_;
  }
  const int processors = static_cast<int>(allowed_processors().size());
  crowded_ = processors > 0 && within_quota(processors, processor_quota()) <= workers_;
}

std::uint64_t ForkJoin::next_loop(std::uint64_t seen) {
  if (watch([&] { return loop_.load(std::memory_order_acquire) != seen; })) return loop_.load();
  std::unique_lock<std::mutex> lock(sleep_mutex_);
  ++sleepers_;
  loop_came_.wait(lock, [&] { return loop_.load() != seen; });
  --sleepers_;
  return loop_.load();
}

void ForkJoin::work_forever(int number, std::uint64_t seen) {
  for (;;) {
    seen = next_loop(seen);
    const int team = static_cast<int>(seen & kTeamMask);
    if (number >= team) continue;
    // The forker waits for this thread, so the loop stays what it is until the next line's end.
    call(body_, context_, team, number);
    if (unfinished_.fetch_sub(1) == 1 && forker_sleeps_.load()) {
      const std::lock_guard<std::mutex> lock(sleep_mutex_);
      team_is_done_.notify_one();
    }
  }
}

}  // namespace dx
