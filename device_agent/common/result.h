// What may fail returns a Result: a value, or a Failure that can travel to the host as it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace dx {

// The numbers are those of FailureCode in agent.proto.
enum class FailureCode : std::uint16_t {
  kUnspecified = 0,
  kVersion = 1,
  kInvalidRequest = 2,
  kUnknownModel = 3,
  kMissingFile = 4,
  kRuntimeRefused = 5,
  kOptionRefused = 6,
  kWorkerCrashed = 7,
  kWorkerExited = 8,
  kWatchdog = 9,
  kMemoryLimit = 10,
  kCancelled = 11,
  kInternal = 12,
  kDamagedFile = 13,
};

// The numbers are those of Phase in agent.proto.
enum class Phase : std::uint16_t {
  kUnspecified = 0,
  kSpawn = 1,
  kLoad = 2,
  kFirstRun = 3,
  kRun = 4,
  kUnload = 5,
  kPrepare = 6,
};

// `message` is one line: what was expected, what was found, what to do.
struct Failure {
  FailureCode code = FailureCode::kUnspecified;
  std::string message;
  Phase phase = Phase::kUnspecified;
};

// REQUIRES: value() only where ok(), failure() only where not.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : content_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : content_(std::in_place_index<1>, std::move(failure)) {}

  bool ok() const { return content_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return *std::get_if<0>(&content_); }
  const T& value() const& { return *std::get_if<0>(&content_); }
  T&& value() && { return std::move(*std::get_if<0>(&content_)); }

  const Failure& failure() const { return *std::get_if<1>(&content_); }

 private:
  std::variant<T, Failure> content_;
};

// A Result without a value; `Result<void>{}` is success.
template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : failure_(std::move(failure)) {}

  bool ok() const { return !failure_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Failure& failure() const { return *failure_; }

 private:
  std::optional<Failure> failure_;
};

using Status = Result<void>;

}  // namespace dx
