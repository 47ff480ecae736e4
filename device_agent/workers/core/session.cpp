#include "workers/core/session.h"

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "common/messages.h"
#include "common/tensors.h"
#include "workers/core/inbox.h"
#include "workers/core/measure.h"
#include "workers/core/options.h"
#include "workers/core/steps.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

// The last field of an encoded Outputs is worker_ns: it can only be known once the rest is encoded.
void set_worker_ns(std::string& frame, std::int64_t ns) {
  const std::size_t start = frame.size() - 8;
  for (std::size_t i = 0; i < 8; ++i) {
    frame[start + i] = static_cast<char>((static_cast<std::uint64_t>(ns) >> (8 * i)) & 0xFF);
  }
}

class Session {
 public:
  Session(Runtime& runtime, int socket, Inbox& inbox)
      : runtime_(runtime), socket_(socket), inbox_(inbox) {}

  void greet() {
    const WorkerFacts& facts = runtime_.facts();
    send(Hello{std::string(facts.name), runtime_.version(), runtime_.features(),
               option_infos(facts), facts.prepares});
  }

  // Handles what comes next. Where the model has several streams, runs begin as they come and
  // are answered in their order; whatever else comes waits for their end.
  void serve_next() {
    if (going_.empty()) return handle(inbox_.next());
    std::optional<Job> job;
    if (going_.size() < model_->streams()) job = inbox_.next_if_there();
    if (!job) return finish_first();
    if (!runs_beside_others(*job)) {
      while (!going_.empty()) finish_first();
    }
    handle(*job);
  }

  void handle(const Job& job) {
    number_ = job.number;
    if (runs_beside_others(job)) return start(std::get<Run>(job.request));
    std::visit([this](const auto& request) { on(request); }, job.request);
  }

  template <class T>
  void send(const T& message) {
    Result<std::string> frame = encode(message);
    if (!frame) return send_failure(frame.failure());
    send_bytes(frame.value());
  }

  bool cancelled() { return inbox_.cancelled(number_); }

  void enter(Phase phase) {
    phase_ = phase;
    send(PhaseChange{phase});
  }

 private:
  void on(const Load& request);
  void on(const Run& request);
  void on(const Bench& request);
  void on(const Profile& request);
  void on(const Failure& failure) { send_failure(failure); }

  void send_bytes(const std::string& bytes) {
    // Nobody is left to be told.
    if (Status status = write_all(socket_, bytes); !status) _exit(0);
  }

  void send_failure(const Failure& failure, std::uint64_t sequence = 0) {
    send(FailureReply{failure.code, failure.message, phase_, sequence});
  }

  // What is looked at before every run.
  Status check_run(const std::vector<Tensor>& inputs) {
    if (!model_) return Failure{FailureCode::kUnknownModel, "no model is loaded: load one", {}};
    const Phase phase = has_run_ ? Phase::kRun : Phase::kFirstRun;
    if (phase_ != phase) enter(phase);
    if (cancelled()) return Failure{FailureCode::kCancelled, "the request was cancelled", {}};
    for (const Tensor& tensor : inputs) {
      if (Status status = check_tensor(tensor); !status) return status;
    }
    return {};
  }

  // What comes before every run: nothing of it is timed. Of a step, `inputs` are those that change.
  Status prepare(const std::vector<Tensor>& inputs, const std::vector<FeedBack>& feeds = {}) {
    if (Status status = check_run(inputs); !status) return status;
    if (feeds.empty()) {
      steps_.forget();
      return model_->set_inputs(inputs);
    }
    if (Status status = steps_.begin(inputs, feeds); !status) return status;
    return model_->set_inputs(steps_.inputs());
  }

  // A run that was begun, and when.
  struct Going {
    std::uint64_t sequence;
    Clock::time_point start;
  };

  // The first run does what later ones need not, alone; a step needs what the one before it gave.
  bool runs_beside_others(const Job& job) const {
    const Run* const run = std::get_if<Run>(&job.request);
    return run != nullptr && has_run_ && model_->streams() > 1 && run->feed_back.empty();
  }
  void start(const Run& request);
  Status start_run(const Run& request);
  void finish_first();

  Result<std::string> run(const Run& request);
  Result<std::string> run_once(const Run& request);

  Runtime& runtime_;
  const int socket_;
  Inbox& inbox_;
  std::uint64_t number_ = 0;
  Phase phase_ = Phase::kSpawn;
  bool has_run_ = false;
  std::unique_ptr<Model> model_;
  Steps steps_;
  std::deque<Going> going_;
};

class SessionListener : public MeasureListener {
 public:
  explicit SessionListener(Session& session) : session_(session) {}

  Status on_phase(Phase phase) override {
    session_.enter(phase);
    return {};
  }
  Status on_samples(const std::vector<std::int64_t>& ns) override {
    session_.send(Samples{ns});
    return {};
  }
  bool cancelled() override { return session_.cancelled(); }

 private:
  Session& session_;
};

class SessionLoadListener : public LoadListener {
 public:
  explicit SessionLoadListener(Session& session) : session_(session) {}

  void on_phase(Phase phase) override { session_.enter(phase); }
  void on_progress(double fraction, const std::string& text) override {
    session_.send(Progress{fraction, text});
  }

 private:
  Session& session_;
};

void Session::on(const Load& request) {
  if (model_) {
    return send_failure({FailureCode::kInvalidRequest,
                         "a worker holds one model and this one has it: start another worker",
                         {}});
  }
  SessionLoadListener listener(*this);
  Result<std::unique_ptr<Model>> model = load_model(runtime_, request, listener);
  if (!model) return send_failure(model.failure());
  model_ = std::move(model).value();
  const ModelInfo& info = model_->info();
  send(Loaded{info.load_ns, info.inputs, info.outputs, info.threads, info.runtime_version,
              info.accelerator_bytes});
}

void Session::start(const Run& request) {
  const Clock::time_point start = Clock::now();
  Status started = start_run(request);
  if (started) {
    going_.push_back({request.sequence, start});
    return;
  }
  while (!going_.empty()) finish_first();
  send_failure(started.failure(), request.sequence);
}

Status Session::start_run(const Run& request) {
  if (Status status = check_run(request.inputs); !status) return status;
  steps_.forget();
  return model_->start(request.inputs);
}

void Session::finish_first() {
  const Going going = going_.front();
  going_.pop_front();
  Result<Finished> finished = model_->finish();
  if (!finished) return send_failure(finished.failure(), going.sequence);
  Result<std::string> frame =
      encode(Outputs{going.sequence, std::move(finished.value().outputs), finished.value().ns, 0});
  if (!frame) return send_failure(frame.failure(), going.sequence);
  set_worker_ns(frame.value(), nanoseconds_since(going.start));
  send_bytes(frame.value());
}

Result<std::string> Session::run(const Run& request) {
  Result<std::string> frame = run_once(request);
  // The step after one that failed has nothing to go on from.
  if (!frame) steps_.forget();
  return frame;
}

Result<std::string> Session::run_once(const Run& request) {
  const Clock::time_point start = Clock::now();
  if (Status status = prepare(request.inputs, request.feed_back); !status) return status.failure();
  model_->stay_awake(false);
  Outputs reply;
  reply.sequence = request.sequence;
  Result<std::int64_t> ns = model_->run();
  if (!ns) return ns.failure();
  has_run_ = true;
  reply.compute_ns = ns.value();
  Result<std::vector<Tensor>> outputs = model_->outputs();
  if (!outputs) return outputs.failure();
  reply.outputs = std::move(outputs).value();
  if (Status status = steps_.end(reply.outputs, request.feed_back); !status) {
    return status.failure();
  }
  Result<std::string> frame = encode(reply);
  if (frame) set_worker_ns(frame.value(), nanoseconds_since(start));
  return frame;
}

void Session::on(const Run& request) {
  Result<std::string> frame = run(request);
  if (!frame) return send_failure(frame.failure(), request.sequence);
  send_bytes(frame.value());
}

void Session::on(const Bench& request) {
  if (Status status = prepare(request.inputs); !status) return send_failure(status.failure());
  model_->stay_awake(true);
  SessionListener listener(*this);
  has_run_ = true;
  Result<BenchDone> done = bench(*model_, request, listener);
  if (!done) return send_failure(done.failure());
  send(done.value());
}

void Session::on(const Profile& request) {
  if (Status status = prepare(request.inputs); !status) return send_failure(status.failure());
  model_->stay_awake(true);
  SessionListener listener(*this);
  has_run_ = true;
  Result<ProfileResult> result = profile(*model_, request, listener);
  if (!result) return send_failure(result.failure());
  for (const LayerTimes& layer : result.value().layers) send(layer);
  send(ProfileDone{result.value().whole_ns});
}

}  // namespace

void serve(Runtime& runtime, int socket) {
  // Never destroyed: its thread lives as long as the process.
  static Inbox inbox(socket);
  Session session(runtime, socket, inbox);
  session.greet();
  inbox.start();
  for (;;) session.serve_next();
}

}  // namespace dx
