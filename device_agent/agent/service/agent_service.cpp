#include "agent/service/agent_service.h"

#include <string>

#include "agent/build_info.h"
#include "agent/crypto/sha256.h"
#include "agent/service/admission.h"
#include "agent/service/calls.h"
#include "agent/service/convert.h"
#include "agent/service/infer_call.h"
#include "agent/service/status.h"
#include "common/text.h"

namespace dx {
namespace {

Status check_versions(const pb::HandshakeRequest& request) {
  const BuildInfo& info = build_info();
  std::string found;
  if (request.protocol_version() != kProtocolVersion) {
    found = "protocol " + std::to_string(request.protocol_version());
  } else if (request.host_version() != info.version) {
    found = "version '" + printable(request.host_version(), 40) + "'";
  } else {
    return {};
  }
  return Failure{FailureCode::kVersion,
                 std::string("the agent is of version ") + info.version + " and protocol " +
                     std::to_string(kProtocolVersion) + ", the host speaks " + found +
                     ": run `deployx-edge build --target " + info.target_id + "` and push again",
                 Phase::kUnspecified};
}

void tell_build(pb::HandshakeReply& reply) {
  const BuildInfo& info = build_info();
  reply.set_agent_version(info.version);
  reply.set_protocol_version(kProtocolVersion);
  reply.set_compiler(info.compiler);
  reply.set_build_type(info.build_type);
  reply.set_target_id(info.target_id);
  reply.add_features(std::string("sha256 ") + best_sha256().name);
  if (*info.sanitizers != '\0') reply.add_features(std::string("sanitizers ") + info.sanitizers);
}

}  // namespace

grpc::Status AgentService::Handshake(grpc::ServerContext* context,
                                     const pb::HandshakeRequest* request,
                                     pb::HandshakeReply* reply) {
  return guarded([&] {
    if (auto status = check_token(*context, state_); !status.ok()) return status;
    if (Status status = check_versions(*request); !status) return to_status(status.failure());
    tell_build(*reply);
    state_.shaken = true;
    return grpc::Status::OK;
  });
}

grpc::Status AgentService::Describe(grpc::ServerContext* context, const pb::DescribeRequest*,
                                    pb::DeviceDescription* reply) {
  return guarded([&] {
    if (auto status = check_admission(*context, state_); !status.ok()) return status;
    to_proto(state_.board.describe(), *reply);
    return grpc::Status::OK;
  });
}

grpc::Status AgentService::Heartbeat(grpc::ServerContext* context, const pb::HeartbeatRequest*,
                                     pb::HeartbeatReply*) {
  return guarded([&] {
    if (auto status = check_token(*context, state_); !status.ok()) return status;
    state_.lifetime.beat();
    return grpc::Status::OK;
  });
}

grpc::Status AgentService::Load(grpc::ServerContext* context, const pb::LoadRequest* request,
                                grpc::ServerWriter<pb::LoadEvent>* events) {
  return guarded([&] {
    if (auto status = check_admission(*context, state_); !status.ok()) return status;
    return load_model(*context, state_, *request, *events);
  });
}

grpc::ServerBidiReactor<pb::InferRequest, pb::InferReply>* AgentService::Infer(
    grpc::CallbackServerContext* context) {
  return InferCall::start(*context, state_);
}

grpc::Status AgentService::Bench(grpc::ServerContext* context, const pb::BenchRequest* request,
                                 grpc::ServerWriter<pb::BenchEvent>* events) {
  return guarded([&] {
    if (auto status = check_admission(*context, state_); !status.ok()) return status;
    return bench_model(*context, state_, *request, *events);
  });
}

grpc::Status AgentService::Profile(grpc::ServerContext* context, const pb::ProfileRequest* request,
                                   grpc::ServerWriter<pb::ProfileEvent>* events) {
  return guarded([&] {
    if (auto status = check_admission(*context, state_); !status.ok()) return status;
    return profile_model(*context, state_, *request, *events);
  });
}

grpc::Status AgentService::Unload(grpc::ServerContext* context, const pb::UnloadRequest* request,
                                  pb::UnloadReply*) {
  return guarded([&] {
    if (auto status = check_admission(*context, state_); !status.ok()) return status;
    return unload_model(state_, *request);
  });
}

grpc::Status AgentService::Shutdown(grpc::ServerContext* context, const pb::ShutdownRequest*,
                                    pb::ShutdownReply*) {
  return guarded([&] {
    if (auto status = check_token(*context, state_); !status.ok()) return status;
    state_.lifetime.stop();
    return grpc::Status::OK;
  });
}

}  // namespace dx
