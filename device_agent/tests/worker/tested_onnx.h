// Models for runtimes that read ONNX, with the libraries that their workers are built for.
#pragma once

#include <string>

#include "common/messages.h"
#include "tests/worker/test_model.h"

namespace dx::test {

// The request that loads a file of this content; each runtime has its own.
Load load_onnx(const TemporaryFolder& folder, const std::string& model,
               const RunOptions& options = {});

// The content of the small net, see tested_runtime.h.
std::string small_net_onnx();

}  // namespace dx::test
