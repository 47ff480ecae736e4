// What is OpenVINO's own: precisions, options, its libraries, and what it prepares.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/onnx_writer.h"
#include "tests/worker/tested_onnx.h"
#include "workers/openvino/layer_times.h"
#include "workers/openvino/library.h"
#include "workers/openvino/properties.h"

using namespace dx;
using namespace dx::test;

namespace {

RunOptions with(const std::string& name, const std::string& value) {
  RunOptions options = fp32();
  options.named[name] = value;
  return options;
}

Tensor net_input() { return noise("in0", {8, 6, 6}, 1); }

bool are_close(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  const std::vector<float> first = floats_of(a.at(0));
  const std::vector<float> second = floats_of(b.at(0));
  if (first.size() != second.size()) return false;
  for (std::size_t i = 0; i < first.size(); ++i) {
    if (first[i] != doctest::Approx(second[i]).epsilon(1e-4)) return false;
  }
  return true;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

}  // namespace

TEST_CASE("floats are fp32 unless something else is asked for") {
  const auto hint = [](const RunOptions& options, bool keeps_float) {
    return properties_of(options, keeps_float).at("INFERENCE_PRECISION_HINT");
  };
  RunOptions options;
  CHECK(hint(options, false) == "f32");
  options.precision = "fp32";
  CHECK(hint(options, false) == "f32");
  options.precision = "int8";
  CHECK(hint(options, false) == "f32");
  options.precision = "fp16";
  CHECK(hint(options, false) == "f16");
  CHECK(hint(options, true) == "f32");
  options.named["inference_precision"] = "bf16";
  CHECK(hint(options, true) == "bf16");
}

TEST_CASE("what an implementation computes in is the end of its name") {
  CHECK(precision_of_implementation("brgconv_avx512_f32") == "fp32");
  CHECK(precision_of_implementation("gemm_acl_f16") == "fp16");
  CHECK(precision_of_implementation("brgconv_avx512_amx_bf16") == "bf16");
  CHECK(precision_of_implementation("brgconv_avx512_I8") == "int8");
  CHECK(precision_of_implementation("unknown_i64").empty());
  CHECK(precision_of_implementation("undef").empty());
  CHECK(precision_of_implementation("").empty());
}

TEST_CASE("options change how it runs, and not what it gives") {
  const TemporaryFolder folder;
  const std::vector<Tensor> wanted = run_of(*loaded(load_small_net(folder, fp32())), {net_input()});
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"inference_precision", "f32"},
                                                        {"performance_hint", "throughput"},
                                                        {"streams", "2"},
                                                        {"pinning", "on"},
                                                        {"pinning", "off"}}) {
    CAPTURE(name);
    CAPTURE(value);
    CHECK(are_close(run_of(*loaded(load_small_net(folder, with(name, value))), {net_input()}),
                    wanted));
  }
}

TEST_CASE("a prepared model gives what its file gives, and no other is taken for it") {
  const TemporaryFolder folder;
  Load request = load_small_net(folder, fp32());
  const std::vector<Tensor> wanted = run_of(*loaded(request), {net_input()});
  request.prepared_path = folder.write("prepared", "");
  request.prepare = true;
  CHECK(are_close(run_of(*loaded(request), {net_input()}), wanted));
  struct stat made{};
  REQUIRE(::stat(request.prepared_path.c_str(), &made) == 0);
  CHECK(made.st_size > 0);
  request.prepare = false;
  const std::unique_ptr<Model> model = loaded(request);
  // What it loaded from may go while it runs: the agent makes room.
  const std::string whole = content_of(request.prepared_path);
  REQUIRE(::unlink(request.prepared_path.c_str()) == 0);
  CHECK(are_close(run_of(*model, {net_input()}), wanted));

  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"cannot be read"}));
  std::ofstream(request.prepared_path, std::ios::binary) << whole.substr(0, whole.size() / 2);
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"refused what it had prepared"}));
  std::ofstream(request.prepared_path, std::ios::binary) << "";
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"refused what it had prepared"}));
}

TEST_CASE("what only hands its input on keeps both names") {
  OnnxWriter net;
  net.input("x", OnnxType::kFloat, {2});
  net.output("y", OnnxType::kFloat, {2});
  net.node("Dropout", "same", {"x"}, {"y"});
  const TemporaryFolder folder;
  const auto model = loaded(load_onnx(folder, net.model(), fp32()));
  CHECK(floats_of(run_of(*model, {tensor_of("x", {2}, {3, 4})})[0]) == std::vector<float>{3, 4});
}

TEST_CASE("a whole number that would become another one is refused") {
  OnnxWriter net;
  net.input("x", OnnxType::kInt64, {2});
  net.output("y", OnnxType::kInt64, {2});
  net.node("Identity", "same", {"x"}, {"y"});
  const TemporaryFolder folder;
  const auto model = loaded(load_onnx(folder, net.model(), fp32()));
  const auto numbers = [](std::int64_t first, std::int64_t second) {
    std::string data(16, '\0');
    std::memcpy(data.data(), &first, 8);
    std::memcpy(data.data() + 8, &second, 8);
    return Tensor{"x", "int64", {2}, data, false};
  };
  const Tensor kept = numbers(-2147483648, 2147483647);
  CHECK(run_of(*model, {kept})[0].data == kept.data);
  CHECK(fails(model->set_inputs({numbers(0, 2147483648)}), FailureCode::kRuntimeRefused,
              {"input 'x' holds 2147483648", "in 32"}));
}

TEST_CASE("what OpenVINO cannot do here is refused by name") {
  const TemporaryFolder folder;
  RunOptions options = fp32();
  options.accelerator = "gpu";
  CHECK(fails(load(load_small_net(folder, options)), FailureCode::kOptionRefused,
              {"on the cpu only, not on 'gpu'"}));
  CHECK(fails(load(load_small_net(folder, with("stream", "1"))), FailureCode::kOptionRefused,
              {"no option 'stream'", "streams"}));
  CHECK(fails(load(load_small_net(folder, with("performance_hint", "fast"))),
              FailureCode::kOptionRefused, {"latency, throughput"}));
  OnnxWriter net;
  net.input("x", OnnxType::kFloat, {2});
  net.output("y", OnnxType::kFloat, {2});
  net.node("NoSuchOperator", "odd", {"x"}, {"y"});
  CHECK(fails(load(load_onnx(folder, net.model(), fp32())), FailureCode::kRuntimeRefused,
              {"OpenVINO refused the model", "NoSuchOperator"}));
}

TEST_CASE("libraries of another version, or none at all, are refused with both named") {
  const TemporaryFolder folder;
  Load request = load_small_net(folder, fp32());
  request.files[1].path = DX_OTHER_OPENVINO;
  CHECK(fails(load(request), FailureCode::kRuntimeRefused,
              {"built for OpenVINO " + pinned_version(), "is version 2024.1.0-1-abc"}));
  request.files[1].path = request.files[0].path;
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"cannot be loaded on this board"}));
  request.files.resize(1);
  CHECK(fails(load(request), FailureCode::kInvalidRequest, {library_name()}));
  request.files.clear();
  CHECK(fails(load(request), FailureCode::kInvalidRequest, {"a file of role 'onnx'"}));
}
