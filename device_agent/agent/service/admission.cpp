#include "agent/service/admission.h"

#include "agent/service/status.h"

namespace dx {

bool same_token(std::string_view expected, std::string_view given) {
  if (expected.size() != given.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference |= static_cast<unsigned char>(expected[i]) ^ static_cast<unsigned char>(given[i]);
  }
  // Through a volatile, so that no compiler makes an early exit of it.
  const volatile unsigned seen = difference;
  return seen == 0;
}

grpc::Status check_token(const grpc::ServerContextBase& context, const SessionState& state) {
  const auto [first, last] = context.client_metadata().equal_range("x-deployx-token");
  const bool once = first != last && std::next(first) == last;
  if (once && same_token(state.token, {first->second.data(), first->second.size()})) {
    state.connections.trust(context.peer());
    return grpc::Status::OK;
  }
  return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                      "expected this session's token in the metadata x-deployx-token");
}

grpc::Status check_admission(const grpc::ServerContextBase& context, const SessionState& state) {
  if (grpc::Status status = check_token(context, state); !status.ok()) return status;
  if (state.shaken) return grpc::Status::OK;
  return to_status(Failure{FailureCode::kVersion,
                           "expected Handshake as the first call of a session",
                           Phase::kUnspecified});
}

}  // namespace dx
