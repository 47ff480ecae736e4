// Infer: requests, computing and replies overlap; replies come in the order of the requests.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "agent/service/session_state.h"
#include "deployx/agent/v1/agent.pb.h"

namespace dx {

namespace pb = deployx::agent::v1;

// One call. gRPC's callbacks only move messages in and out; two threads do the work:
//   the conductor takes requests from a short queue and sends them to the worker,
//   the collector takes the worker's answers and hands them to gRPC.
// It is a callback call because only such a one can end with a failure while the host still owes
// its next request. Deletes itself when gRPC is done with it.
class InferCall : public grpc::ServerBidiReactor<pb::InferRequest, pb::InferReply> {
 public:
  // REQUIRES: `state` outlives the server.
  static InferCall* start(grpc::CallbackServerContext& context, SessionState& state);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override { delete this; }

 private:
  explicit InferCall(SessionState& state) : state_(state) {}

  void conduct();
  WorkerOutcome converse();
  // How the call ends. REQUIRES: nobody else works on it any more.
  WorkerOutcome outcome();
  // Sends this request and all that follow.
  void send_all(std::optional<pb::InferRequest> request);
  // The next request; empty when there is none to come or the call has failed.
  std::optional<pb::InferRequest> next_request();
  WorkerOutcome send(pb::InferRequest request);
  void end_sending();

  void collect();
  // Waits for an answer that is owed; false when there is none to come.
  bool wait_for_debt();
  void pay_debt();
  WorkerOutcome take(const Frame& frame);
  void write(pb::InferReply&& reply);

  void fail(WorkerFailure failure);
  void finish(const grpc::Status& status);

  SessionState& state_;
  pb::InferRequest incoming_;
  pb::InferReply outgoing_;
  std::shared_ptr<Worker> worker_;
  std::string model_id_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<pb::InferRequest> queue_;
  bool has_conductor_ = false;
  bool reading_ = false;        // a read is with gRPC
  bool input_ended_ = false;    // the host sends no more
  bool writing_ = false;        // a write is with gRPC
  bool finished_ = false;       // Finish was called: nothing may follow
  bool sending_ended_ = false;  // no more goes to the worker
  bool host_gone_ = false;      // nobody takes our replies
  std::size_t owed_ = 0;        // answers that the worker owes
  std::optional<WorkerFailure> failure_;
};

}  // namespace dx
