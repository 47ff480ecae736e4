// How a push ends when it does not end well.
#pragma once

#include <optional>
#include <string>

namespace dx {

enum class ReceiveCode { kProtocol, kNoSpace, kReadOnly, kUntrusted, kCorrupt, kIo };

struct ReceiveError {
  ReceiveCode code = ReceiveCode::kIo;
  std::string text;  // one line
};

// Empty: it went well.
using ReceiveOutcome = std::optional<ReceiveError>;

// The word of the protocol: "protocol", "no-space", "read-only", "untrusted", "corrupt", "io".
const char* receive_code_word(ReceiveCode code);

// The code and the words for an errno; `what` says what was being done to which file.
ReceiveError receive_error_of(int error, const std::string& what);

}  // namespace dx
