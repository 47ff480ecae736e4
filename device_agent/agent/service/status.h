// Failures as gRPC statuses, with the Failure message in the status details.
#pragma once

#include <grpcpp/support/status.h>

#include <exception>

#include "agent/worker/worker_failure.h"
#include "common/result.h"

namespace dx {

grpc::Status to_status(const WorkerFailure& failure);
grpc::Status to_status(const Failure& failure);

// Runs the body of a call; nothing that is thrown in it leaves it.
template <class Body>
grpc::Status guarded(const Body& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    try {
      return to_status(Failure{FailureCode::kInternal, error.what(), Phase::kUnspecified});
    } catch (...) {
      return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "");
    }
  }
}

}  // namespace dx
