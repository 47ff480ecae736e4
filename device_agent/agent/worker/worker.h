// A worker with a model: the conversation with it, what it died of, and who may use it now.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/worker/channel.h"
#include "agent/worker/watcher.h"
#include "agent/worker/worker_failure.h"
#include "agent/worker/worker_process.h"
#include "common/messages.h"

namespace dx {

struct WorkerLimits {
  std::uint64_t memory_bytes = 0;  // of the resident size; 0: none
  std::chrono::milliseconds watchdog{60000};
  std::chrono::milliseconds prepare{600000};  // all of the phase
};

class Worker {
 public:
  // Starts the program; the conversation begins with receiving its Hello.
  static Result<std::shared_ptr<Worker>> start(std::vector<std::string> command_line,
                                               std::string log_path, WorkerLimits limits,
                                               Watcher& watcher);

  // Something that lives as long as the worker.
  void keep(std::shared_ptr<const void> thing) { kept_ = std::move(thing); }

  // The right to talk to the worker; one call has it at a time.
  class Lease {
   public:
    explicit Lease(std::shared_ptr<Worker> worker) : worker_(std::move(worker)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();

   private:
    std::shared_ptr<Worker> worker_;
  };

  // Fails where another call has the worker; one that was cancelled and is about to let go is
  // waited for. `call` is the name for the error that others get meanwhile.
  static Result<Lease> lease(const std::shared_ptr<Worker>& worker, const char* call);

  // Sends a whole frame; `stop` true before its end kills the worker. A worker that is dead shows
  // in receive(), after its last words: only they tell in which phase it died. One thread at a
  // time. REQUIRES, for this and what follows: the caller has the lease.
  void send(const std::string& frame, const StopCheck& stop);

  // The worker's next message. A worker that is silent for too long, sends nonsense or dies ends
  // in a failure that says so; `stop` in one of kCancelled. One thread at a time.
  WorkerOutcome receive(Frame& frame, const StopCheck& stop);

  // Tells the worker to drop what it was asked, and takes what still comes until `answers` last
  // answers are there. A worker that does not obey in time is killed.
  void cancel(std::size_t answers);

  // Marks the lease as one that ends soon, so that lease() waits for it.
  void ending_soon();

  // Ends the worker in order: Quit, some time, then SIGKILL.
  void quit();

  // Ends the worker at once.
  void kill(KillReason reason) { process_->kill(reason); }

  // A failure that the worker reported, with its log.
  WorkerFailure reported(const FailureReply& reply) const;

  // The worker broke the protocol: it is killed.
  WorkerFailure broke_protocol();

  // What it died of, where it has died; ends in a zombie's burial.
  std::optional<WorkerFailure> death();

  // For a person: "was killed by SIGSEGV in the first run". REQUIRES: death().
  std::string death_text();

  std::optional<std::uint64_t> peak_bytes() const { return process_->peak_bytes(); }
  std::chrono::milliseconds watchdog() const { return limits_.watchdog; }

 private:
  Worker(WorkerProcess::Started started, std::string log_path, WorkerLimits limits);

  WorkerFailure died();
  WorkerFailure failure_of(const WorkerExit& exit) const;
  std::chrono::milliseconds patience();
  void enter(Phase phase);
  Phase phase() const;

  std::shared_ptr<WorkerProcess> process_;
  Channel channel_;
  const std::string log_path_;
  const WorkerLimits limits_;

  std::shared_ptr<const void> kept_;

  mutable std::mutex mutex_;
  std::condition_variable released_;
  const char* holder_ = nullptr;
  bool ending_soon_ = false;
  Phase phase_ = Phase::kSpawn;
  std::chrono::steady_clock::time_point prepare_end_;  // of kPrepare
  std::optional<WorkerFailure> death_;
};

// True for the message that ends a request: the next one may follow.
bool is_last_answer(const Frame& frame);

// "SIGSEGV"; "signal 77" for one without a name here.
std::string signal_name(int signal);

// "in the first run"
const char* phase_words(Phase phase);

}  // namespace dx
