// What is ONNX Runtime's own: its options, and its library.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/tested_onnx.h"
#include "workers/onnxruntime/library.h"

using namespace dx;
using namespace dx::test;

namespace {

RunOptions with(const std::string& name, const std::string& value) {
  RunOptions options = fp32();
  options.named[name] = value;
  return options;
}

}  // namespace

TEST_CASE("options change how it runs, and not what it gives") {
  const TemporaryFolder folder;
  const std::vector<Tensor> wanted =
      run_of(*loaded(load_small_net(folder, fp32())), {noise("in0", {8, 6, 6}, 1)});
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"spinning", "off"},
                                                        {"arena", "off"},
                                                        {"memory_pattern", "off"},
                                                        {"execution_mode", "parallel"},
                                                        {"inter_threads", "2"},
                                                        {"optimization", "off"},
                                                        {"optimization", "basic"},
                                                        {"optimization", "extended"}}) {
    CAPTURE(name);
    CAPTURE(value);
    const auto model = loaded(load_small_net(folder, with(name, value)));
    const std::vector<Tensor> found = run_of(*model, {noise("in0", {8, 6, 6}, 1)});
    const std::vector<float> a = floats_of(found[0]);
    const std::vector<float> b = floats_of(wanted[0]);
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-4));
  }
}

TEST_CASE("what ONNX Runtime cannot do here is refused by name") {
  const TemporaryFolder folder;
  RunOptions options = fp32();
  options.accelerator = "gpu";
  CHECK(fails(load(load_small_net(folder, options)), FailureCode::kOptionRefused,
              {"on the cpu only, not on 'gpu'"}));
  options = fp32();
  options.threads = 5000;
  CHECK(fails(load(load_small_net(folder, options)), FailureCode::kOptionRefused,
              {"at most 1024 threads, got 5000"}));
  CHECK(fails(load(load_small_net(folder, with("spining", "on"))), FailureCode::kOptionRefused,
              {"no option 'spining'", "spinning"}));
  CHECK(fails(load(load_small_net(folder, with("fp16_storage", "on"))), FailureCode::kOptionRefused,
              {"no option 'fp16_storage'"}));
}

TEST_CASE("a library of another version, or none at all, is refused with both named") {
  const TemporaryFolder folder;
  Load request = load_small_net(folder, fp32());
  request.files[1].path = DX_OTHER_ONNXRUNTIME;
  CHECK(fails(load(request), FailureCode::kRuntimeRefused,
              {"built for ONNX Runtime " + pinned_version(), "is version 1.2.3"}));
  request.files[1].path = request.files[0].path;
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"cannot be loaded on this board"}));
  request.files.pop_back();
  CHECK(fails(load(request), FailureCode::kInvalidRequest, {library_name()}));
  request.files.clear();
  CHECK(fails(load(request), FailureCode::kInvalidRequest, {"a file of role 'onnx'"}));
}
