#include "tests/worker/tested_runtime.h"
#include "workers/ncnn/ncnn_model.h"

namespace dx::test {

std::unique_ptr<Runtime> tested_runtime() { return std::make_unique<NcnnRuntime>(); }

Load load_affine(const TemporaryFolder& folder, const RunOptions& options) {
  return load_of(folder, affine(), options);
}

Load load_recurrent(const TemporaryFolder& folder, const RunOptions& options) {
  const std::string param = param_text(
      4, {"Input in0 0 1 in0 0=3", "Input state 0 1 state 0=3",
          "BinaryOp half 1 1 state half 0=2 1=1 2=0.5", "BinaryOp sum 2 1 in0 half out0 0=0"});
  return load_of(folder, {param, ""}, options);
}

Load load_small_net(const TemporaryFolder& folder, const RunOptions& options) {
  return load_of(folder, small_net(), options);
}

Load load_cut_net(const TemporaryFolder& folder, const RunOptions& options) {
  Files cut = small_net();
  cut.bin.resize(cut.bin.size() / 2);
  return load_of(folder, cut, options);
}

Expected expected() {
  return {"8 channels",
          "cut off",
          "fp16_storage=1",
          5,
          {"conv", "split", "relu", "deep", "cat", "gap", "fc"}};
}

}  // namespace dx::test
