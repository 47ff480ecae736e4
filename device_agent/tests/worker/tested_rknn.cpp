#include "tests/worker/rknn_file.h"
#include "tests/worker/tested_onnx.h"
#include "tests/worker/tested_runtime.h"
#include "workers/rknn/rknn_model.h"

namespace dx::test {

std::unique_ptr<Runtime> tested_runtime() { return std::make_unique<RknnRuntime>(); }

Load load_onnx(const TemporaryFolder& folder, const std::string& model, const RunOptions& options) {
  Load load;
  load.files = {{"rknn", folder.write("model.rknn", rknn_file(model))}};
  load.options = options;
  return load;
}

// The stand-in tells of two convolutions, the ReLU, the average and the product that they compute.
Expected expected() {
  Expected expected;
  expected.wrong_dims = "takes 8x6x6, got 7x6x6";
  expected.cut = "it does not take this model's file (-6)";
  expected.wrong_option = "core_mask=3";
  expected.computing_layers = 5;
  return expected;
}

}  // namespace dx::test
