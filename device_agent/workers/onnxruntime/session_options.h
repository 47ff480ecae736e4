// What is asked of a session, in ONNX Runtime's words.
#pragma once

#include <cstdint>
#include <string>

#include "common/messages.h"
#include "common/result.h"
#include "workers/onnxruntime/library.h"

namespace dx {

struct SessionOptions {
  Owned<OrtSessionOptions> value;
  std::uint32_t threads = 0;  // as many as compute
};

// `profile_prefix` names a file that the session writes its times into, `operators` the library of
// operators of our own; "" for none.
// REQUIRES: settle_options() of the request succeeded.
Result<SessionOptions> make_session_options(const Library& library, const RunOptions& request,
                                            const std::string& profile_prefix,
                                            const std::string& operators);

}  // namespace dx
