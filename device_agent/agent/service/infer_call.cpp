#include "agent/service/infer_call.h"

#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "agent/service/admission.h"
#include "agent/service/convert.h"
#include "agent/service/status.h"
#include "common/text.h"

namespace dx {
namespace {

// Enough that the worker never waits for the next request; few enough that memory stays flat.
constexpr std::size_t kMaxQueued = 2;
constexpr std::size_t kMaxOwed = 8;

WorkerFailure internal(const std::exception& error) {
  WorkerFailure failure;
  failure.failure.code = FailureCode::kInternal;
  failure.failure.message = error.what();
  return failure;
}

}  // namespace

InferCall* InferCall::start(grpc::CallbackServerContext& context, SessionState& state) {
  auto* call = new InferCall(state);
  const grpc::Status admission = check_admission(context, state);
  if (admission.ok()) {
    call->reading_ = true;
    call->StartRead(&call->incoming_);
  } else {
    call->finish(admission);
  }
  return call;
}

void InferCall::OnReadDone(bool ok) {
  std::unique_lock<std::mutex> lock(mutex_);
  reading_ = false;
  if (finished_) return;
  if (ok) {
    queue_.push_back(std::move(incoming_));
    incoming_.Clear();
    if (queue_.size() < kMaxQueued) {
      reading_ = true;
      StartRead(&incoming_);
    }
  } else {
    input_ended_ = true;
  }
  changed_.notify_all();
  if (std::exchange(has_conductor_, true)) return;
  try {
    // It touches nothing of this call after Finish, and the server ends only after that.
    std::thread([this] { conduct(); }).detach();
  } catch (const std::system_error&) {
    lock.unlock();
    finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "the board has no thread left"));
  }
}

void InferCall::OnWriteDone(bool ok) {
  const std::lock_guard<std::mutex> lock(mutex_);
  writing_ = false;
  host_gone_ = host_gone_ || !ok;
  changed_.notify_all();
}

void InferCall::OnCancel() {
  const std::lock_guard<std::mutex> lock(mutex_);
  host_gone_ = true;
  changed_.notify_all();
}

void InferCall::finish(const grpc::Status& status) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    finished_ = true;
  }
  Finish(status);
}

void InferCall::fail(WorkerFailure failure) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
  changed_.notify_all();
}

void InferCall::conduct() {
  const grpc::Status status = guarded([this] {
    const WorkerOutcome failure = converse();
    return failure ? to_status(*failure) : grpc::Status::OK;
  });
  finish(status);
}

WorkerOutcome InferCall::converse() {
  std::optional<pb::InferRequest> request = next_request();
  if (!request) return outcome();
  model_id_ = request->model_id();
  auto worker = state_.models.find(model_id_);
  if (!worker) return WorkerFailure{worker.failure(), 0, ""};
  worker_ = worker.value();
  const auto lease = Worker::lease(worker_, "Infer");
  if (!lease) return WorkerFailure{lease.failure(), 0, ""};

  std::thread collector([this] { collect(); });
  send_all(std::move(request));
  collector.join();

  return outcome();
}

WorkerOutcome InferCall::outcome() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!failure_ && host_gone_) {
    return WorkerFailure{{FailureCode::kCancelled, "the host is gone", Phase::kRun}, 0, ""};
  }
  return failure_;
}

void InferCall::send_all(std::optional<pb::InferRequest> request) {
  try {
    while (request) {
      if (WorkerOutcome failure = send(std::move(*request))) fail(std::move(*failure));
      request = next_request();
    }
  } catch (const std::exception& error) {
    fail(internal(error));
  }
  end_sending();
}

std::optional<pb::InferRequest> InferCall::next_request() {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto is_over = [this] { return failure_ || host_gone_; };
  changed_.wait(lock, [&] {
    return is_over() || (!queue_.empty() && owed_ < kMaxOwed) || (queue_.empty() && input_ended_);
  });
  if (is_over() || queue_.empty()) return std::nullopt;
  pb::InferRequest request = std::move(queue_.front());
  queue_.pop_front();
  if (!reading_ && !input_ended_) {
    reading_ = true;
    StartRead(&incoming_);
  }
  return request;
}

WorkerOutcome InferCall::send(pb::InferRequest request) {
  if (request.model_id() != model_id_) {
    return WorkerFailure{
        {FailureCode::kInvalidRequest,
         "expected every request of a stream to name the model " + printable(model_id_, 40) +
             ", got '" + printable(request.model_id(), 40) + "'",
         Phase::kUnspecified},
        0,
        ""};
  }
  Run run;
  run.sequence = request.sequence();
  run.inputs = from_proto(std::move(*request.mutable_inputs()));
  run.feed_back = from_proto(request.feed_back());
  const auto frame = encode(run);
  if (!frame) return WorkerFailure{frame.failure(), 0, ""};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++owed_;
    changed_.notify_all();
  }
  // The collector goes on meanwhile, so that only a dead worker or the session's end stops this.
  worker_->send(frame.value(), [this] { return state_.lifetime.stopping(); });
  return std::nullopt;
}

void InferCall::end_sending() {
  bool unwanted = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    unwanted = owed_ > 0 && (failure_ || host_gone_);
  }
  if (unwanted) {
    worker_->ending_soon();
    const auto frame = encode(Cancel{});
    // Where the worker is dead, the collector hears of it too.
    if (frame) worker_->send(frame.value(), [this] { return state_.lifetime.stopping(); });
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  sending_ended_ = true;
  changed_.notify_all();
}

bool InferCall::wait_for_debt() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return owed_ > 0 || sending_ended_; });
  return owed_ > 0;
}

void InferCall::collect() {
  const StopCheck stop = [this] { return state_.lifetime.stopping(); };
  try {
    while (wait_for_debt()) {
      Frame frame;
      if (WorkerOutcome failure = worker_->receive(frame, stop)) {
        // Nothing more will come. What the conductor still sends is lost, or the session ends.
        fail(std::move(*failure));
        return;
      }
      if (WorkerOutcome failure = take(frame)) fail(std::move(*failure));
      if (is_last_answer(frame)) pay_debt();
    }
  } catch (const std::exception& error) {
    // Answers that nobody took would be taken for those of the next call.
    worker_->kill(KillReason::kNoMemory);
    fail(internal(error));
  }
}

void InferCall::pay_debt() {
  const std::lock_guard<std::mutex> lock(mutex_);
  --owed_;
  changed_.notify_all();
}

WorkerOutcome InferCall::take(const Frame& frame) {
  switch (static_cast<MessageKind>(frame.kind)) {
    case MessageKind::kPhaseChange:
      return std::nullopt;
    case MessageKind::kOutputs: {
      auto outputs = decode<Outputs>(frame);
      if (!outputs) break;
      pb::InferReply reply;
      to_proto(std::move(outputs).value(), reply);
      write(std::move(reply));
      return std::nullopt;
    }
    case MessageKind::kFailure: {
      const auto reply = decode<FailureReply>(frame);
      if (!reply) break;
      return worker_->reported(reply.value());
    }
    default:
      break;
  }
  return worker_->broke_protocol();
}

void InferCall::write(pb::InferReply&& reply) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto is_unwanted = [this] { return failure_ || host_gone_; };
  if (is_unwanted()) return;
  outgoing_ = std::move(reply);
  writing_ = true;
  StartWrite(&outgoing_);
  changed_.wait(lock, [this] { return !writing_; });
}

}  // namespace dx
