#include <sstream>

#include "tests/worker/tested_onnx.h"
#include "tests/worker/tested_runtime.h"
#include "workers/openvino/openvino_model.h"

namespace dx::test {

std::unique_ptr<Runtime> tested_runtime() { return std::make_unique<OpenvinoRuntime>(); }

Load load_onnx(const TemporaryFolder& folder, const std::string& model, const RunOptions& options) {
  Load load;
  load.files = {{"onnx", folder.write("model.onnx", model)}};
  std::istringstream names(DX_OPENVINO_LIBRARIES);
  for (std::string name; std::getline(names, name, '|');) {
    load.files.push_back({"library", DX_OPENVINO_FOLDER "/" + name, name});
  }
  load.options = options;
  return load;
}

// Conv with its ReLU, the depthwise Conv, the average and the product, at least.
Expected expected() {
  Expected expected;
  expected.wrong_dims = "takes 8x6x6, got 7x6x6";
  expected.cut = "no whole ONNX model";
  expected.wrong_option = "streams=0";
  expected.computing_layers = 4;
  expected.fuses = true;
  expected.element_bits = 0;
  return expected;
}

}  // namespace dx::test
