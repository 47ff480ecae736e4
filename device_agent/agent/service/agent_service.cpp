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
  if (request.protocol_version() == kProtocolVersion && request.host_version() == info.version) {
    return {};
  }
  return Failure{FailureCode::kVersion,
                 std::string("the agent is of version ") + info.version + " and protocol " +
                     std::to_string(kProtocolVersion) + ", the host of version '" +
                     printable(request.host_version(), 40) + "' and protocol " +
                     std::to_string(request.protocol_version()) +
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

using Admission = grpc::Status (*)(const grpc::ServerContextBase&, const SessionState&);

// Admits a call, and only then reads its request for `work`.
template <class Request, class Call, class Work>
grpc::Status admitted(Admission admission, const grpc::ServerContext& context,
                      const SessionState& state, Call& call, const Work& work) {
  return guarded([&] {
    if (grpc::Status status = admission(context, state); !status.ok()) return status;
    Request request;
    if (!call.Read(&request)) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "expected a request");
    }
    return work(request);
  });
}

// The same, of a call with one reply.
template <class Request, class Reply, class Work>
grpc::Status answered(Admission admission, const grpc::ServerContext& context,
                      const SessionState& state, grpc::ServerUnaryStreamer<Request, Reply>& call,
                      const Work& work) {
  return admitted<Request>(admission, context, state, call, [&](const Request& request) {
    Reply reply;
    if (grpc::Status status = work(request, reply); !status.ok()) return status;
    return call.Write(reply) ? grpc::Status::OK : grpc::Status::CANCELLED;
  });
}

}  // namespace

grpc::Status AgentService::StreamedHandshake(
    grpc::ServerContext* context, Unary<pb::HandshakeRequest, pb::HandshakeReply>* call) {
  const auto work = [this](const pb::HandshakeRequest& request, pb::HandshakeReply& reply) {
    if (Status status = check_versions(request); !status) return to_status(status.failure());
    tell_build(reply);
    state_.shaken = true;
    return grpc::Status::OK;
  };
  return answered(check_token, *context, state_, *call, work);
}

grpc::Status AgentService::StreamedDescribe(
    grpc::ServerContext* context, Unary<pb::DescribeRequest, pb::DeviceDescription>* call) {
  const auto work = [this](const pb::DescribeRequest&, pb::DeviceDescription& reply) {
    to_proto(state_.board.describe(), reply);
    return grpc::Status::OK;
  };
  return answered(check_admission, *context, state_, *call, work);
}

grpc::Status AgentService::StreamedHeartbeat(
    grpc::ServerContext* context, Unary<pb::HeartbeatRequest, pb::HeartbeatReply>* call) {
  const auto work = [this](const pb::HeartbeatRequest&, pb::HeartbeatReply&) {
    state_.lifetime.beat();
    return grpc::Status::OK;
  };
  return answered(check_token, *context, state_, *call, work);
}

grpc::Status AgentService::StreamedLoad(grpc::ServerContext* context,
                                        Streaming<pb::LoadRequest, pb::LoadEvent>* call) {
  const auto work = [&](const pb::LoadRequest& request) {
    return load_model(*context, state_, request, *call);
  };
  return admitted<pb::LoadRequest>(check_admission, *context, state_, *call, work);
}

grpc::ServerBidiReactor<pb::InferRequest, pb::InferReply>* AgentService::Infer(
    grpc::CallbackServerContext* context) {
  return InferCall::start(*context, state_);
}

grpc::Status AgentService::StreamedBench(grpc::ServerContext* context,
                                         Streaming<pb::BenchRequest, pb::BenchEvent>* call) {
  const auto work = [&](const pb::BenchRequest& request) {
    return bench_model(*context, state_, request, *call);
  };
  return admitted<pb::BenchRequest>(check_admission, *context, state_, *call, work);
}

grpc::Status AgentService::StreamedProfile(grpc::ServerContext* context,
                                           Streaming<pb::ProfileRequest, pb::ProfileEvent>* call) {
  const auto work = [&](const pb::ProfileRequest& request) {
    return profile_model(*context, state_, request, *call);
  };
  return admitted<pb::ProfileRequest>(check_admission, *context, state_, *call, work);
}

grpc::Status AgentService::StreamedUnload(grpc::ServerContext* context,
                                          Unary<pb::UnloadRequest, pb::UnloadReply>* call) {
  const auto work = [this](const pb::UnloadRequest& request, pb::UnloadReply&) {
    return unload_model(state_, request);
  };
  return answered(check_admission, *context, state_, *call, work);
}

grpc::Status AgentService::StreamedShutdown(grpc::ServerContext* context,
                                            Unary<pb::ShutdownRequest, pb::ShutdownReply>* call) {
  const auto work = [this](const pb::ShutdownRequest&, pb::ShutdownReply&) {
    state_.lifetime.stop();
    return grpc::Status::OK;
  };
  return answered(check_token, *context, state_, *call, work);
}

}  // namespace dx
