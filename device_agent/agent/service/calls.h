// The calls that talk to a worker. Each runs to its end in the thread that calls it.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>
#include <grpcpp/support/sync_stream.h>

#include "agent/service/session_state.h"
#include "agent/worker/channel.h"
#include "deployx/agent/v1/agent.pb.h"

namespace dx {

namespace pb = deployx::agent::v1;

// Where a call's answers go. False where the host does not take them any more.
template <class Event>
using Events = grpc::internal::WriterInterface<Event>;

grpc::Status load_model(grpc::ServerContext& context, SessionState& state,
                        const pb::LoadRequest& request, Events<pb::LoadEvent>& events);
grpc::Status bench_model(grpc::ServerContext& context, SessionState& state,
                         const pb::BenchRequest& request, Events<pb::BenchEvent>& events);
grpc::Status profile_model(grpc::ServerContext& context, SessionState& state,
                           const pb::ProfileRequest& request, Events<pb::ProfileEvent>& events);
grpc::Status unload_model(SessionState& state, const pb::UnloadRequest& request);

// True once nobody wants the call's result any more.
StopCheck stop_check(const grpc::ServerContext& context, const SessionState& state);

}  // namespace dx
