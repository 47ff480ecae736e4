#include <set>
#include <string>
#include <utility>

#include "agent/service/calls.h"
#include "agent/service/convert.h"
#include "agent/service/status.h"
#include "agent/store/check.h"
#include "common/text.h"

namespace dx {
namespace {

constexpr std::chrono::milliseconds kDefaultWatchdog{60000};
constexpr std::uint64_t kMaxWatchdogMs = 24ULL * 3600 * 1000;
constexpr int kMaxFiles = 64;

Failure refused(const std::string& message) {
  return {FailureCode::kInvalidRequest, message, Phase::kUnspecified};
}

// The worker's path, and what it is to load.
struct LoadPlan {
  std::string worker;
  Load load;
  WorkerLimits limits;
};

// A content is hashed when it is loaded, unless its file looks as it did the last time.
Status check_file(const pb::ModelFile& file, const WorkFolder& work, Verified& verified,
                  const StopCheck& stop) {
  const auto go_on = [&stop](std::uint64_t) { return !stop(); };
  const auto found = check_content(work, file.sha256(), verified, Thoroughness::kQuick, go_on);
  if (found.state == ContentState::kGood) return {};
  if (found.state == ContentState::kStopped) {
    return Failure{FailureCode::kCancelled, "the load was cancelled", Phase::kUnspecified};
  }
  if (found.state == ContentState::kUntrusted) {
    return Failure{FailureCode::kInternal, "the work folder cannot be trusted: " + found.text,
                   Phase::kUnspecified};
  }
  // One that has gone since is brought by the same means.
  remove_content(work, file.sha256(), verified);
  const std::string reason = found.text.empty() ? "it is gone" : found.text;
  return Failure{FailureCode::kDamagedFile,
                 "the file '" + printable(file.role(), 40) + "' (" + file.sha256() +
                     ") was damaged on the board (" + reason +
                     ") and is removed: push the bundle again",
                 Phase::kUnspecified};
}

Status check_files(const pb::LoadRequest& request, const WorkFolder& work, const StopCheck& stop) {
  Verified verified(work);
  Status status;
  for (const pb::ModelFile& file : request.files()) {
    if (status) status = check_file(file, work, verified, stop);
  }
  verified.save();
  return status;
}

Status add_files(const pb::LoadRequest& request, const Models& models, LoadPlan& plan) {
  if (request.files_size() > kMaxFiles) return refused("expected at most 64 files");
  std::set<std::string> roles;
  for (const pb::ModelFile& file : request.files()) {
    if (!roles.insert(file.role()).second) {
      return refused("expected each role once, got '" + printable(file.role(), 40) + "' again");
    }
    auto path = models.find_content(file.role(), file.sha256());
    if (!path) return path.failure();
    if (file.role() == "worker") {
      plan.worker = std::move(path).value();
    } else {
      plan.load.files.push_back({file.role(), std::move(path).value()});
    }
  }
  if (plan.worker.empty()) return refused("expected a file of the role 'worker', got none");
  return {};
}

Result<LoadPlan> make_plan(const pb::LoadRequest& request, const Models& models) {
  LoadPlan plan;
  if (request.runtime().empty()) return refused("expected the name of a runtime, got none");
  if (Status status = add_files(request, models, plan); !status) return status.failure();
  auto options = from_proto(request.options());
  if (!options) return options.failure();
  plan.load.options = std::move(options).value();
  plan.load.outputs.assign(request.outputs().begin(), request.outputs().end());
  plan.limits.memory_bytes = request.memory_limit_bytes();
  if (request.watchdog_ms() > kMaxWatchdogMs)
    return refused("expected a watchdog of a day at most");
  plan.limits.watchdog = request.watchdog_ms() == 0
                             ? kDefaultWatchdog
                             : std::chrono::milliseconds(request.watchdog_ms());
  return plan;
}

// One load, from the started worker to its model.
class Loading {
 public:
  Loading(Worker& worker, const StopCheck& stop, Events<pb::LoadEvent>& events)
      : worker_(worker), stop_(stop), events_(events) {}

  // Waits for the worker's greeting.
  WorkerOutcome greet(const std::string& runtime, std::string& version) {
    Frame frame;
    if (auto failure = worker_.receive(frame, stop_)) return failure;
    auto hello = decode<Hello>(frame);
    if (!hello) return worker_.broke_protocol();
    if (hello.value().runtime != runtime) {
      return WorkerFailure{refused("expected a worker of the runtime '" + printable(runtime, 40) +
                                   "', got one of '" + printable(hello.value().runtime, 40) + "'"),
                           0, ""};
    }
    version = std::move(hello.value().runtime_version);
    return std::nullopt;
  }

  WorkerOutcome load(const Load& request, Loaded& loaded) {
    const auto frame = encode(request);
    if (!frame) return WorkerFailure{frame.failure(), 0, ""};
    worker_.send(frame.value(), stop_);
    while (true) {
      Frame answer;
      if (auto failure = worker_.receive(answer, stop_)) return failure;
      if (const auto change = decode<PhaseChange>(answer)) {
        tell(static_cast<pb::Phase>(change.value().phase));
      } else if (auto done = decode<Loaded>(answer)) {
        loaded = std::move(done).value();
        return std::nullopt;
      } else if (const auto reply = decode<FailureReply>(answer)) {
        return worker_.reported(reply.value());
      } else {
        return worker_.broke_protocol();
      }
    }
  }

  // A host that is gone shows in `stop_`.
  void tell(pb::Phase phase) {
    pb::LoadEvent event;
    event.set_phase(phase);
    events_.Write(event);
  }

 private:
  Worker& worker_;
  const StopCheck& stop_;
  Events<pb::LoadEvent>& events_;
};

}  // namespace

grpc::Status load_model(grpc::ServerContext& context, SessionState& state,
                        const pb::LoadRequest& request, Events<pb::LoadEvent>& events) {
  auto plan = make_plan(request, state.models);
  if (!plan) return to_status(plan.failure());
  const StopCheck stop = stop_check(context, state);
  if (const Status good = check_files(request, state.models.work(), stop); !good) {
    return to_status(good.failure());
  }
  auto started = state.models.start_worker(plan.value().worker, plan.value().limits);
  if (!started) return to_status(started.failure());
  const std::shared_ptr<Worker> worker = started.value();

  Loading loading(*worker, stop, events);
  loading.tell(pb::PHASE_SPAWN);
  std::string version;
  Loaded loaded;
  WorkerOutcome failure = loading.greet(request.runtime(), version);
  if (!failure) failure = loading.load(plan.value().load, loaded);
  if (failure) {
    worker->kill(KillReason::kUnwanted);
    return to_status(*failure);
  }

  const std::string id = state.models.add(worker);
  pb::LoadEvent event;
  to_proto(loaded, *event.mutable_loaded());
  event.mutable_loaded()->set_model_id(id);
  event.mutable_loaded()->set_runtime_version(printable(version, 100));
  if (!events.Write(event)) {
    // Nobody would ever unload it.
    state.models.remove(id);
    worker->kill(KillReason::kUnwanted);
    return grpc::Status::CANCELLED;
  }
  return grpc::Status::OK;
}

grpc::Status unload_model(SessionState& state, const pb::UnloadRequest& request) {
  const auto worker = state.models.find(request.model_id());
  if (!worker) return to_status(worker.failure());
  const auto lease = Worker::lease(worker.value(), "Unload");
  if (!lease) return to_status(lease.failure());
  state.models.remove(request.model_id());
  worker.value()->quit();
  return grpc::Status::OK;
}

StopCheck stop_check(const grpc::ServerContext& context, const SessionState& state) {
  return [&context, &state] { return context.IsCancelled() || state.lifetime.stopping(); };
}

}  // namespace dx
