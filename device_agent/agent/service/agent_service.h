// The service of agent.proto: admission, then one function a call.
#pragma once

#include <grpcpp/server_context.h>

#include "agent/service/session_state.h"
#include "deployx/agent/v1/agent.grpc.pb.h"

namespace dx {

namespace pb = deployx::agent::v1;

class AgentService final : public pb::Agent::WithCallbackMethod_Infer<pb::Agent::Service> {
 public:
  // REQUIRES: `state` outlives the server.
  explicit AgentService(SessionState& state) : state_(state) {}

  grpc::Status Handshake(grpc::ServerContext* context, const pb::HandshakeRequest* request,
                         pb::HandshakeReply* reply) override;
  grpc::Status Describe(grpc::ServerContext* context, const pb::DescribeRequest* request,
                        pb::DeviceDescription* reply) override;
  grpc::Status Heartbeat(grpc::ServerContext* context, const pb::HeartbeatRequest* request,
                         pb::HeartbeatReply* reply) override;
  grpc::Status Load(grpc::ServerContext* context, const pb::LoadRequest* request,
                    grpc::ServerWriter<pb::LoadEvent>* events) override;
  grpc::ServerBidiReactor<pb::InferRequest, pb::InferReply>* Infer(
      grpc::CallbackServerContext* context) override;
  grpc::Status Bench(grpc::ServerContext* context, const pb::BenchRequest* request,
                     grpc::ServerWriter<pb::BenchEvent>* events) override;
  grpc::Status Profile(grpc::ServerContext* context, const pb::ProfileRequest* request,
                       grpc::ServerWriter<pb::ProfileEvent>* events) override;
  grpc::Status Unload(grpc::ServerContext* context, const pb::UnloadRequest* request,
                      pb::UnloadReply* reply) override;
  grpc::Status Shutdown(grpc::ServerContext* context, const pb::ShutdownRequest* request,
                        pb::ShutdownReply* reply) override;

 private:
  SessionState& state_;
};

}  // namespace dx
