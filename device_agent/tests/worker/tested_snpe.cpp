#include "tests/worker/tested_onnx.h"
#include "tests/worker/tested_runtime.h"
#include "workers/snpe/snpe_model.h"

namespace dx::test {

std::unique_ptr<Runtime> tested_runtime() { return std::make_unique<SnpeRuntime>(); }

Load load_onnx(const TemporaryFolder& folder, const std::string& model, const RunOptions& options) {
  Load load;
  load.files = {{"dlc", folder.write("model.dlc", model)},
                {"library", DX_STAND_IN_SNPE, "libSNPE.so"}};
  load.options = options;
  load.options.named.emplace("runtime_order", "cpu");  // which alone computes plain float32
  return load;
}

// SNPE tells no layers: the whole model is one.
Expected expected() {
  Expected expected;
  expected.wrong_dims = "takes 8x6x6, got 7x6x6";
  expected.cut = "SNPE does not run the model on cpu alone";
  expected.wrong_option = "performance_profile=fast";
  expected.computing_layers = 1;
  expected.element_bits = 0;
  return expected;
}

}  // namespace dx::test
