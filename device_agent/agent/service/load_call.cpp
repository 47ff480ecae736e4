#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "agent/files/files.h"
#include "agent/service/calls.h"
#include "agent/service/convert.h"
#include "agent/service/load_plan.h"
#include "agent/service/status.h"
#include "agent/store/prepared.h"
#include "common/text.h"

namespace dx {
namespace {

// One load, from the started worker to its model.
class Loading {
 public:
  Loading(Worker& worker, const StopCheck& stop, Events<pb::LoadEvent>& events)
      : worker_(worker), stop_(stop), events_(events) {}

  // Waits for the worker's greeting.
  WorkerOutcome greet(const std::string& runtime, Hello& hello) {
    Frame frame;
    if (auto failure = worker_.receive(frame, stop_)) return failure;
    auto found = decode<Hello>(frame);
    if (!found) return worker_.broke_protocol();
    hello = std::move(found).value();
    if (hello.runtime == runtime) return std::nullopt;
    return WorkerFailure{{FailureCode::kInvalidRequest,
                          "expected a worker of the runtime '" + printable(runtime, 40) +
                              "', got one of '" + printable(hello.runtime, 40) + "'",
                          Phase::kUnspecified},
                         0,
                         ""};
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
      } else if (const auto progress = decode<Progress>(answer)) {
        pb::LoadEvent event;
        to_proto(progress.value(), *event.mutable_progress());
        events_.Write(event);
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

// What the worker prepares, or prepared before: made in the session's folder, which goes with the
// session, and moved to its place once a model was loaded from it.
class Preparation {
 public:
  Preparation(const WorkFolder& work, std::string key, std::string new_path)
      : work_(work), key_(std::move(key)), path_(std::move(new_path)) {}
  Preparation(const Preparation&) = delete;
  Preparation& operator=(const Preparation&) = delete;
  ~Preparation() {
    if (is_new_) static_cast<void>(::unlink(path_.c_str()));
  }

  void ask(Load& load, bool anew) {
    if (auto known = anew ? std::nullopt : find_prepared(work_, key_)) {
      path_ = std::move(*known);
      is_new_ = false;
    }
    load.prepared_path = path_;
    load.prepare = is_new_;
    // What of it cannot be made is missing to nobody: the worker then keeps nothing.
    if (is_new_ && make_folders(work_.prepared()) == 0) load.kept_folder = work_.prepared();
  }

  // After the load. One that could not be loaded from is not tried again.
  Status settle(const WorkerOutcome& failure) {
    if (failure && failure->failure.code != FailureCode::kCancelled) {
      static_cast<void>(::unlink(path_.c_str()));
    }
    if (failure || !is_new_) return {};
    return keep_prepared(work_, key_, path_);
  }

 private:
  const WorkFolder& work_;
  const std::string key_;
  std::string path_;
  bool is_new_ = true;
};

// The whole conversation, from the greeting on.
WorkerOutcome load_into(Loading& loading, SessionState& state, const pb::LoadRequest& request,
                        LoadPlan& plan, Loaded& loaded) {
  Hello hello;
  if (auto failure = loading.greet(request.runtime(), hello)) return failure;
  std::optional<Preparation> preparation;
  std::string rebuilt_key;
  if (hello.prepares) {
    const std::string key = prepared_key_of(request, hello, state.board.describe());
    preparation.emplace(state.models.work(), key, state.models.new_path("prepared"));
    const bool anew = request.rebuild() && state.rebuilt.is_first(key);
    if (anew) rebuilt_key = key;
    preparation->ask(plan.load, anew);
  }
  WorkerOutcome failure = loading.load(plan.load, loaded);
  if (failure && !rebuilt_key.empty()) state.rebuilt.forget(rebuilt_key);
  if (loaded.runtime_version.empty()) loaded.runtime_version = hello.runtime_version;
  if (!preparation) return failure;
  const Status settled = preparation->settle(failure);
  if (failure || settled) return failure;
  return WorkerFailure{settled.failure(), 0, ""};
}

}  // namespace

grpc::Status load_model(grpc::ServerContext& context, SessionState& state,
                        const pb::LoadRequest& request, Events<pb::LoadEvent>& events) {
  const StopCheck stop = stop_check(context, state);
  auto plan = plan_load(request, state, stop);
  if (!plan) return to_status(plan.failure());
  auto started = state.models.start_worker(plan.value().worker, plan.value().limits);
  if (!started) return to_status(started.failure());
  const std::shared_ptr<Worker> worker = started.value();
  worker->keep(plan.value().libraries);

  Loading loading(*worker, stop, events);
  loading.tell(pb::PHASE_SPAWN);
  Loaded loaded;
  if (auto failure = load_into(loading, state, request, plan.value(), loaded)) {
    worker->kill(KillReason::kUnwanted);
    return to_status(*failure);
  }

  const std::string id = state.models.add(worker);
  pb::LoadEvent event;
  to_proto(loaded, *event.mutable_loaded());
  event.mutable_loaded()->set_model_id(id);
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
