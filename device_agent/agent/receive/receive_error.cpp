#include "agent/receive/receive_error.h"

#include <cerrno>

#include "agent/files/files.h"

namespace dx {

const char* receive_code_word(ReceiveCode code) {
  switch (code) {
    case ReceiveCode::kProtocol:
      return "protocol";
    case ReceiveCode::kNoSpace:
      return "no-space";
    case ReceiveCode::kReadOnly:
      return "read-only";
    case ReceiveCode::kUntrusted:
      return "untrusted";
    case ReceiveCode::kCorrupt:
      return "corrupt";
    case ReceiveCode::kIo:
      break;
  }
  return "io";
}

ReceiveError receive_error_of(int error, const std::string& what) {
  const std::string text = what + ": " + errno_text(error);
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return {ReceiveCode::kNoSpace, text + "; free some space on the board and push again"};
    case EROFS:
    case EACCES:
    case EPERM:
      return {ReceiveCode::kReadOnly, text + "; choose a work folder that this user may write to"};
    default:
      return {ReceiveCode::kIo, text};
  }
}

}  // namespace dx
