// Who may call what: the token on every call, the handshake before most.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <string_view>

#include "agent/service/session_state.h"

namespace dx {

// Compares in a time that does not depend on where the texts differ.
bool same_token(std::string_view expected, std::string_view given);

// OK where the call carries the session's token once, else UNAUTHENTICATED.
grpc::Status check_token(const grpc::ServerContextBase& context, const SessionState& state);

// check_token, and FAILED_PRECONDITION where no handshake has succeeded yet.
grpc::Status check_admission(const grpc::ServerContextBase& context, const SessionState& state);

}  // namespace dx
