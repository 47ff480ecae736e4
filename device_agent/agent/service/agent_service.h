// The service of agent.proto: admission, then one function a call.
#pragma once

#include <grpcpp/server_context.h>

#include "agent/service/session_state.h"
#include "deployx/agent/v1/agent.grpc.pb.h"

namespace dx {

namespace pb = deployx::agent::v1;

// gRPC reads the request of an ordinary call before anybody is asked whether it is welcome. Here
// every call is a stream to it, of which nothing is read (and no more sent than a window of 64 KiB)
// until the call's token was seen. On the wire they are what agent.proto says.
class AgentService final : public pb::Agent::WithCallbackMethod_Infer<pb::Agent::StreamedService> {
 public:
  // REQUIRES: `state` outlives the server.
  explicit AgentService(SessionState& state) : state_(state) {}

  template <class Request, class Reply>
  using Unary = grpc::ServerUnaryStreamer<Request, Reply>;
  template <class Request, class Event>
  using Streaming = grpc::ServerSplitStreamer<Request, Event>;

  grpc::Status StreamedHandshake(grpc::ServerContext* context,
                                 Unary<pb::HandshakeRequest, pb::HandshakeReply>* call) override;
  grpc::Status StreamedDescribe(grpc::ServerContext* context,
                                Unary<pb::DescribeRequest, pb::DeviceDescription>* call) override;
  grpc::Status StreamedHeartbeat(grpc::ServerContext* context,
                                 Unary<pb::HeartbeatRequest, pb::HeartbeatReply>* call) override;
  grpc::Status StreamedLoad(grpc::ServerContext* context,
                            Streaming<pb::LoadRequest, pb::LoadEvent>* call) override;
  grpc::ServerBidiReactor<pb::InferRequest, pb::InferReply>* Infer(
      grpc::CallbackServerContext* context) override;
  grpc::Status StreamedBench(grpc::ServerContext* context,
                             Streaming<pb::BenchRequest, pb::BenchEvent>* call) override;
  grpc::Status StreamedProfile(grpc::ServerContext* context,
                               Streaming<pb::ProfileRequest, pb::ProfileEvent>* call) override;
  grpc::Status StreamedUnload(grpc::ServerContext* context,
                              Unary<pb::UnloadRequest, pb::UnloadReply>* call) override;
  grpc::Status StreamedShutdown(grpc::ServerContext* context,
                                Unary<pb::ShutdownRequest, pb::ShutdownReply>* call) override;

 private:
  SessionState& state_;
};

}  // namespace dx
