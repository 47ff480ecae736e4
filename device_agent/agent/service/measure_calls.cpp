// Bench and Profile: what the worker sends streams through to the host.
#include <exception>
#include <string>
#include <utility>

#include "agent/service/calls.h"
#include "agent/service/convert.h"
#include "agent/service/status.h"

namespace dx {
namespace {

// Sends one request and hands every answer to `take` until that says it was the last.
// `take` gives: more to come, done, or nonsense.
enum class Taken { kMore, kDone, kHostGone, kNonsense };

// An exception would leave answers that the next call takes for its own: it ends the worker.
class KillUnlessSettled {
 public:
  explicit KillUnlessSettled(Worker& worker)
      : worker_(worker), before_(std::uncaught_exceptions()) {}
  KillUnlessSettled(const KillUnlessSettled&) = delete;
  KillUnlessSettled& operator=(const KillUnlessSettled&) = delete;
  ~KillUnlessSettled() {
    if (std::uncaught_exceptions() > before_) worker_.kill(KillReason::kNoMemory);
  }

 private:
  Worker& worker_;
  const int before_;
};

// A worker names its phase again as a sign of life; the host hears of it once.
class PhaseFilter {
 public:
  bool is_new(Phase phase) { return std::exchange(last_, phase) != phase; }

 private:
  Phase last_ = Phase::kUnspecified;
};

template <class Take>
WorkerOutcome converse(Worker& worker, const std::string& request, const StopCheck& stop,
                       const Take& take) {
  const KillUnlessSettled guard(worker);
  worker.send(request, stop);
  while (true) {
    Frame answer;
    if (auto failure = worker.receive(answer, stop)) {
      if (failure->failure.code == FailureCode::kCancelled && !worker.death()) worker.cancel(1);
      return failure;
    }
    if (const auto reply = decode<FailureReply>(answer)) return worker.reported(reply.value());
    switch (take(answer)) {
      case Taken::kMore:
        break;
      case Taken::kDone:
        return std::nullopt;
      case Taken::kHostGone:
        worker.cancel(1);
        return WorkerFailure{{FailureCode::kCancelled, "the host is gone", Phase::kRun}, 0, ""};
      case Taken::kNonsense:
        return worker.broke_protocol();
    }
  }
}

Taken taken(bool written) { return written ? Taken::kMore : Taken::kHostGone; }

}  // namespace

grpc::Status bench_model(grpc::ServerContext& context, SessionState& state,
                         const pb::BenchRequest& request, Events<pb::BenchEvent>& events) {
  const auto worker = state.models.find(request.model_id());
  if (!worker) return to_status(worker.failure());
  const auto lease = Worker::lease(worker.value(), "Bench");
  if (!lease) return to_status(lease.failure());
  Bench bench;
  bench.inputs = from_proto(google::protobuf::RepeatedPtrField<pb::Tensor>(request.inputs()));
  bench.warmup = request.warmup();
  bench.iterations = request.iterations();
  bench.seconds = request.seconds();
  bench.pause_ns = request.pause_ns();
  bench.feed_back = from_proto(request.feed_back());
  const auto frame = encode(bench);
  if (!frame) return to_status(frame.failure());

  pb::BenchEvent last;
  to_proto(state.board.conditions(), *last.mutable_summary()->mutable_before());
  PhaseFilter phases;
  const auto take = [&](const Frame& answer) {
    pb::BenchEvent event;
    if (const auto change = decode<PhaseChange>(answer)) {
      if (!phases.is_new(change.value().phase)) return Taken::kMore;
      event.set_phase(static_cast<pb::Phase>(change.value().phase));
    } else if (const auto samples = decode<Samples>(answer)) {
      const auto& ns = samples.value().ns;
      event.mutable_samples()->mutable_ns()->Add(ns.begin(), ns.end());
    } else if (const auto done = decode<BenchDone>(answer)) {
      to_proto(done.value(), *last.mutable_summary());
      return Taken::kDone;
    } else {
      return Taken::kNonsense;
    }
    return taken(events.Write(event));
  };
  const auto failure = converse(*worker.value(), frame.value(), stop_check(context, state), take);
  if (failure) return to_status(*failure);
  to_proto(state.board.conditions(), *last.mutable_summary()->mutable_after());
  const auto peak = worker.value()->peak_bytes();
  if (state.board.emulated()) {
    // These would be the emulator's.
    last.mutable_summary()->clear_waited_ns();
    last.mutable_summary()->clear_throttled_ns();
  } else if (peak) {
    last.mutable_summary()->set_peak_memory_bytes(*peak);
  }
  events.Write(last);
  return grpc::Status::OK;
}

grpc::Status profile_model(grpc::ServerContext& context, SessionState& state,
                           const pb::ProfileRequest& request, Events<pb::ProfileEvent>& events) {
  const auto worker = state.models.find(request.model_id());
  if (!worker) return to_status(worker.failure());
  const auto lease = Worker::lease(worker.value(), "Profile");
  if (!lease) return to_status(lease.failure());
  Profile profile;
  profile.inputs = from_proto(google::protobuf::RepeatedPtrField<pb::Tensor>(request.inputs()));
  profile.warmup = request.warmup();
  profile.iterations = request.iterations();
  const auto frame = encode(profile);
  if (!frame) return to_status(frame.failure());

  pb::ProfileEvent last;
  to_proto(state.board.conditions(), *last.mutable_summary()->mutable_before());
  PhaseFilter phases;
  const auto take = [&](const Frame& answer) {
    pb::ProfileEvent event;
    if (const auto change = decode<PhaseChange>(answer)) {
      if (!phases.is_new(change.value().phase)) return Taken::kMore;
      event.set_phase(static_cast<pb::Phase>(change.value().phase));
    } else if (const auto layer = decode<LayerTimes>(answer)) {
      to_proto(layer.value(), *event.mutable_layer());
    } else if (const auto done = decode<ProfileDone>(answer)) {
      const auto& ns = done.value().whole_ns;
      last.mutable_summary()->mutable_whole_ns()->Add(ns.begin(), ns.end());
      return Taken::kDone;
    } else {
      return Taken::kNonsense;
    }
    return taken(events.Write(event));
  };
  const auto failure = converse(*worker.value(), frame.value(), stop_check(context, state), take);
  if (failure) return to_status(*failure);
  to_proto(state.board.conditions(), *last.mutable_summary()->mutable_after());
  events.Write(last);
  return grpc::Status::OK;
}

}  // namespace dx
