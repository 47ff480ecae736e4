// The models of tested_runtime.h in ONNX.
#include "tests/worker/onnx_writer.h"
#include "tests/worker/tested_onnx.h"
#include "tests/worker/tested_runtime.h"

namespace dx::test {

std::string small_net_onnx() {
  OnnxWriter net;
  const OnnxType type = OnnxType::kFloat;
  net.input("in0", type, {8, 6, 6});
  net.output("out0", type, {10});
  std::string one(8, '\0');
  net.constant("first", OnnxType::kInt64, {1}, one);
  one[0] = 10;
  net.constant("ten", OnnxType::kInt64, {1}, one);
  net.constant("cw", type, {16, 8, 3, 3}, plain_floats(noise_values(1152, 1)));
  net.constant("cb", type, {16}, plain_floats(noise_values(16, 2)));
  net.constant("dw", type, {16, 1, 3, 3}, plain_floats(noise_values(144, 3)));
  net.constant("db", type, {16}, plain_floats(noise_values(16, 4)));
  net.constant("fw", type, {10, 32}, plain_floats(noise_values(320, 5)));
  net.constant("fb", type, {10}, plain_floats(noise_values(10, 6)));
  net.node("Unsqueeze", "batch", {"in0", "first"}, {"x"});
  net.node("Conv", "conv", {"x", "cw", "cb"}, {"c"}, {{"pads", {1, 1, 1, 1}}});
  net.node("Relu", "relu", {"c"}, {"r"});
  net.node("Conv", "deep", {"c", "dw", "db"}, {"d"}, {{"pads", {1, 1, 1, 1}}, {"group", {16}}});
  net.node("Concat", "cat", {"r", "d"}, {"rd"}, {{"axis", {1}}});
  net.node("GlobalAveragePool", "gap", {"rd"}, {"g"});
  net.node("Flatten", "flat", {"g"}, {"f"}, {{"axis", {1}}});
  net.node("Gemm", "fc", {"f", "fw", "fb"}, {"y"}, {{"transB", {1}}});
  net.node("Reshape", "out", {"y", "ten"}, {"out0"});
  return net.model();
}

Load load_affine(const TemporaryFolder& folder, const RunOptions& options) {
  OnnxWriter net;
  const OnnxType type = OnnxType::kFloat;
  net.input("in0", type, {3});
  net.output("out0", type, {2});
  net.constant("w", type, {2, 3}, plain_floats({1, 2, 3, 4, 5, 6}));
  net.constant("b", type, {2}, plain_floats({10, 20}));
  net.node("MatMul", "product", {"w", "in0"}, {"y"});
  net.node("Add", "sum", {"y", "b"}, {"out0"});
  return load_onnx(folder, net.model(), options);
}

Load load_recurrent(const TemporaryFolder& folder, const RunOptions& options) {
  OnnxWriter net;
  const OnnxType type = OnnxType::kFloat;
  net.input("in0", type, {3});
  net.input("state", type, {3});
  net.output("out0", type, {3});
  net.constant("two", type, {1}, plain_floats({2}));
  net.node("Div", "half", {"state", "two"}, {"h"});
  net.node("Add", "sum", {"in0", "h"}, {"out0"});
  return load_onnx(folder, net.model(), options);
}

Load load_small_net(const TemporaryFolder& folder, const RunOptions& options) {
  return load_onnx(folder, small_net_onnx(), options);
}

Load load_cut_net(const TemporaryFolder& folder, const RunOptions& options) {
  const std::string whole = small_net_onnx();
  return load_onnx(folder, whole.substr(0, whole.size() / 2), options);
}

}  // namespace dx::test
