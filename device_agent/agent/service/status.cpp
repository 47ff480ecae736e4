#include "agent/service/status.h"

#include <string>

#include "agent/worker/log_tail.h"
#include "agent/worker/worker.h"
#include "deployx/agent/v1/agent.pb.h"

namespace dx {
namespace {

namespace pb = deployx::agent::v1;

// With the log's tail and base64 around it this stays below the 8 KiB that HTTP/2 headers may have.
constexpr std::size_t kMaxMessageBytes = 700;

grpc::StatusCode status_code(FailureCode code) {
  switch (code) {
    case FailureCode::kVersion:
    case FailureCode::kOptionRefused:
      return grpc::StatusCode::FAILED_PRECONDITION;
    case FailureCode::kInvalidRequest:
    case FailureCode::kRuntimeRefused:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case FailureCode::kUnknownModel:
    case FailureCode::kMissingFile:
      return grpc::StatusCode::NOT_FOUND;
    case FailureCode::kWorkerCrashed:
    case FailureCode::kWorkerExited:
    case FailureCode::kWatchdog:
      return grpc::StatusCode::ABORTED;
    case FailureCode::kMemoryLimit:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case FailureCode::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case FailureCode::kDamagedFile:
      return grpc::StatusCode::DATA_LOSS;
    case FailureCode::kUnspecified:
    case FailureCode::kInternal:
      break;
  }
  return grpc::StatusCode::INTERNAL;
}

}  // namespace

grpc::Status to_status(const WorkerFailure& failure) {
  pb::Failure message;
  const Failure& reason = failure.failure;
  message.set_code(static_cast<pb::FailureCode>(reason.code));
  message.set_message(clean_utf8(reason.message, kMaxMessageBytes));
  message.set_phase(static_cast<pb::Phase>(reason.phase));
  message.set_signal(failure.signal);
  message.set_log_tail(failure.log_tail);
  // The status' own text is for clients that do not read the details: percent-encoded on the wire.
  std::string text = message.message();
  if (failure.signal != 0) {
    text += " (" + signal_name(failure.signal) + ", " + phase_words(reason.phase) + ")";
  }
  return grpc::Status(status_code(reason.code), text.substr(0, kMaxMessageBytes),
                      message.SerializeAsString());
}

grpc::Status to_status(const Failure& failure) { return to_status(WorkerFailure{failure, 0, ""}); }

}  // namespace dx
