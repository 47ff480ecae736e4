// Models for ONNX Runtime, with the library that the worker is built for.
#pragma once

#include <string>

#include "common/messages.h"
#include "tests/worker/test_model.h"

namespace dx::test {

// The request that loads a file of this content.
Load load_onnx(const TemporaryFolder& folder, const std::string& model,
               const RunOptions& options = {});

// The content of the small net, see tested_runtime.h.
std::string small_net_onnx();

}  // namespace dx::test
