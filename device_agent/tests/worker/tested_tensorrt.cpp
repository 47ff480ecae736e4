#include "tests/worker/tested_onnx.h"
#include "tests/worker/tested_runtime.h"
#include "workers/tensorrt/tensorrt_model.h"

namespace dx::test {

std::unique_ptr<Runtime> tested_runtime() { return std::make_unique<TensorrtRuntime>(); }

Load load_onnx(const TemporaryFolder& folder, const std::string& model, const RunOptions& options) {
  Load load;
  load.files = {{"onnx", folder.write("model.onnx", model)}};
  load.options = options;
  return load;
}

// The stand-in tells of two convolutions, the ReLU, the average and the product that they compute.
Expected expected() {
  Expected expected;
  expected.wrong_dims = "takes 8x6x6, got 7x6x6";
  expected.cut = "no whole ONNX model";
  expected.wrong_option = "optimization_level=6";
  expected.computing_layers = 5;
  return expected;
}

}  // namespace dx::test
