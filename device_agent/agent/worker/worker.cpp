#include "agent/worker/worker.h"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "agent/worker/log_tail.h"

namespace dx {
namespace {

constexpr std::chrono::seconds kObeyTime{30};
constexpr std::chrono::seconds kBusyWait{1};
constexpr std::chrono::milliseconds kQuitTime{2000};
// Between the end of the socket and the end of the process.
constexpr std::chrono::milliseconds kDeathTime{2000};

bool never() { return false; }

}  // namespace

bool is_last_answer(const Frame& frame) {
  switch (static_cast<MessageKind>(frame.kind)) {
    case MessageKind::kLoaded:
    case MessageKind::kOutputs:
    case MessageKind::kBenchDone:
    case MessageKind::kProfileDone:
    case MessageKind::kFailure:
      return true;
    default:
      return false;
  }
}

Result<std::shared_ptr<Worker>> Worker::start(std::vector<std::string> command_line,
                                              std::string log_path, WorkerLimits limits,
                                              Watcher& watcher) {
  auto started = WorkerProcess::start(std::move(command_line), log_path);
  if (!started) return started.failure();
  watcher.watch(started.value().process, limits.memory_bytes);
  return std::shared_ptr<Worker>(
      new Worker(std::move(started).value(), std::move(log_path), limits));
}

Worker::Worker(WorkerProcess::Started started, std::string log_path, WorkerLimits limits)
    : process_(std::move(started.process)),
      channel_(std::move(started.socket)),
      log_path_(std::move(log_path)),
      limits_(limits) {}

Worker::Lease::~Lease() {
  if (!worker_) return;
  {
    const std::lock_guard<std::mutex> lock(worker_->mutex_);
    worker_->holder_ = nullptr;
    worker_->ending_soon_ = false;
  }
  worker_->released_.notify_all();
}

Result<Worker::Lease> Worker::lease(const std::shared_ptr<Worker>& worker, const char* call) {
  std::unique_lock<std::mutex> lock(worker->mutex_);
  const auto is_free = [&worker] { return worker->holder_ == nullptr; };
  const auto may_wait = [&] { return is_free() || worker->ending_soon_; };
  // A call that was cancelled on the other side says so here a little later.
  worker->released_.wait_for(lock, kBusyWait, may_wait);
  if (worker->ending_soon_) worker->released_.wait_for(lock, kObeyTime, is_free);
  if (!is_free()) {
    return Failure{FailureCode::kInvalidRequest,
                   std::string("the model is busy with ") + worker->holder_ +
                       ": end that call first, or load the model once more",
                   Phase::kUnspecified};
  }
  worker->holder_ = call;
  return Lease(worker);
}

void Worker::ending_soon() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_soon_ = true;
  }
  released_.notify_all();
}

std::chrono::milliseconds Worker::patience() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (phase_ == Phase::kPrepare) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        prepare_end_ - std::chrono::steady_clock::now());
    return std::max(left, std::chrono::milliseconds(0));
  }
  return ending_soon_ ? std::min<std::chrono::milliseconds>(limits_.watchdog, kObeyTime)
                      : limits_.watchdog;
}

void Worker::enter(Phase phase) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (phase == Phase::kPrepare && phase_ != phase) {
    prepare_end_ = std::chrono::steady_clock::now() + limits_.prepare;
  }
  phase_ = phase;
}

Phase Worker::phase() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return phase_;
}

void Worker::send(const std::string& frame, const StopCheck& stop) {
  switch (channel_.send(frame, patience(), stop)) {
    case Channel::Sent::kStopped:
      process_->kill(KillReason::kUnwanted);
      return;
    case Channel::Sent::kTimeout:
      process_->kill(KillReason::kWatchdog);
      return;
    case Channel::Sent::kDone:
    case Channel::Sent::kClosed:  // whoever receives is told why
      return;
  }
}

WorkerOutcome Worker::receive(Frame& frame, const StopCheck& stop) {
  switch (channel_.receive(frame, patience(), stop)) {
    case Channel::Received::kFrame:
      break;
    case Channel::Received::kStopped:
      return WorkerFailure{{FailureCode::kCancelled, "the call was cancelled", phase()}, 0, ""};
    case Channel::Received::kTimeout:
      process_->kill(KillReason::kWatchdog);
      return died();
    case Channel::Received::kGarbage:
      return broke_protocol();
    case Channel::Received::kNoMemory:
      process_->kill(KillReason::kNoMemory);
      return died();
    case Channel::Received::kClosed:
      return died();
  }
  if (frame.kind == static_cast<std::uint16_t>(MessageKind::kPhaseChange)) {
    const auto change = decode<PhaseChange>(frame);
    if (!change) return broke_protocol();
    enter(change.value().phase);
  }
  // Signs of life do not prolong a preparation.
  if (patience() > std::chrono::milliseconds(0)) return std::nullopt;
  process_->kill(KillReason::kWatchdog);
  return died();
}

void Worker::cancel(std::size_t answers) {
  ending_soon();
  const auto frame = encode(Cancel{});
  if (!frame) return;
  send(frame.value(), never);
  const auto deadline = std::chrono::steady_clock::now() + patience();
  const auto too_late = [deadline] { return std::chrono::steady_clock::now() >= deadline; };
  while (answers > 0) {
    Frame answer;
    if (receive(answer, too_late)) {
      process_->kill(KillReason::kCancelled);
      static_cast<void>(died());
      return;
    }
    if (is_last_answer(answer)) --answers;
  }
}

void Worker::quit() {
  const auto frame = encode(Quit{});
  const auto deadline = std::chrono::steady_clock::now() + kQuitTime;
  const auto too_late = [deadline] { return std::chrono::steady_clock::now() >= deadline; };
  if (frame) static_cast<void>(channel_.send(frame.value(), kQuitTime, too_late));
  static_cast<void>(process_->wait_exit(kQuitTime, KillReason::kUnwanted));
}

WorkerFailure Worker::reported(const FailureReply& reply) const {
  return {{reply.code, reply.message, reply.phase}, 0, log_tail(log_path_)};
}

WorkerFailure Worker::broke_protocol() {
  process_->kill(KillReason::kGarbage);
  return died();
}

WorkerFailure Worker::died() {
  const WorkerExit exit = process_->wait_exit(kDeathTime, KillReason::kGarbage);
  const WorkerFailure failure = failure_of(exit);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!death_) death_ = failure;
  return *death_;
}

std::optional<WorkerFailure> Worker::death() {
  if (process_->poll_exit()) return died();
  return std::nullopt;
}

WorkerFailure Worker::failure_of(const WorkerExit& exit) const {
  WorkerFailure failure{{FailureCode::kWorkerExited, "", phase()}, 0, log_tail(log_path_)};
  Failure& reason = failure.failure;
  switch (exit.reason) {
    case KillReason::kWatchdog:
      reason.code = FailureCode::kWatchdog;
      reason.message = reason.phase == Phase::kPrepare
                           ? "the worker was killed: it had not prepared the model after " +
                                 std::to_string(limits_.prepare.count()) + " ms"
                           : "the worker was killed: nothing came from it for " +
                                 std::to_string(limits_.watchdog.count()) + " ms";
      return failure;
    case KillReason::kMemoryLimit:
      reason.code = FailureCode::kMemoryLimit;
      reason.message = "the worker was killed: its resident size passed the limit of " +
                       std::to_string(limits_.memory_bytes) + " bytes";
      return failure;
    case KillReason::kCancelled:
      reason.code = FailureCode::kCancelled;
      reason.message = "the worker was killed: it did not obey a cancelled call";
      return failure;
    case KillReason::kGarbage:
      reason.message =
          "the worker was killed: it did not keep to the protocol; push again, so that "
          "agent and worker are of one build";
      return failure;
    case KillReason::kNoMemory:
      reason.code = FailureCode::kMemoryLimit;
      reason.message = "the worker was killed: the board has no memory for its answer";
      return failure;
    case KillReason::kUnwanted:
      reason.code = FailureCode::kCancelled;
      reason.message = "the worker was ended with its session, by its host or by devices release";
      return failure;
    case KillReason::kNone:
      break;
  }
  if (!exit.signalled) {
    reason.message = "the worker ended by itself with exit code " + std::to_string(exit.code);
    return failure;
  }
  reason.code = FailureCode::kWorkerCrashed;
  failure.signal = exit.code;
  reason.message =
      exit.code == SIGKILL
          ? "the worker was killed from outside; if not by you, then by the kernel for "
            "lack of memory"
          : "the worker crashed";
  return failure;
}

std::string Worker::death_text() {
  const WorkerFailure failure = died();
  std::string text = failure.failure.message;
  if (failure.signal != 0) text += " of " + signal_name(failure.signal);
  return text + " " + phase_words(failure.failure.phase);
}

std::string signal_name(int signal) {
  struct Name {
    int signal;
    const char* name;
  };
  static constexpr Name kNames[] = {
      {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},   {SIGILL, "SIGILL"},
      {SIGINT, "SIGINT"},   {SIGKILL, "SIGKILL"}, {SIGSEGV, "SIGSEGV"}, {SIGSYS, "SIGSYS"},
      {SIGTERM, "SIGTERM"}, {SIGTRAP, "SIGTRAP"}, {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}};
  for (const Name& known : kNames) {
    if (known.signal == signal) return known.name;
  }
  return "signal " + std::to_string(signal);
}

const char* phase_words(Phase phase) {
  switch (phase) {
    case Phase::kSpawn:
      return "while it was started";
    case Phase::kLoad:
      return "while the model was loaded";
    case Phase::kFirstRun:
      return "in the first run";
    case Phase::kRun:
      return "in a run";
    case Phase::kPrepare:
      return "while the model was prepared";
    case Phase::kUnload:
      return "while the model was unloaded";
    case Phase::kUnspecified:
      break;
  }
  return "at an unknown time";
}

}  // namespace dx
