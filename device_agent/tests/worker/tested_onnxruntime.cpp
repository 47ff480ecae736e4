#include "onnxruntime_facts.h"
#include "tests/worker/tested_onnx.h"
#include "tests/worker/tested_runtime.h"
#include "workers/onnxruntime/onnx_model.h"

namespace dx::test {

std::unique_ptr<Runtime> tested_runtime() {
  return std::make_unique<OnnxRuntime>(onnxruntime_worker::kFacts);
}

Load load_onnx(const TemporaryFolder& folder, const std::string& model, const RunOptions& options) {
  const std::string path = DX_ONNXRUNTIME_LIBRARY;
  Load load;
  load.files = {{"onnx", folder.write("model.onnx", model)},
                {"library", path, path.substr(path.rfind('/') + 1)}};
  load.options = options;
  return load;
}

// Conv, Relu, the depthwise Conv, GlobalAveragePool and Gemm.
Expected expected() { return {"takes 8x6x6, got 7x6x6", "parsing failed", "spinning=1", 5, {}}; }

}  // namespace dx::test
