// What QNN's worker refuses before any library is loaded.
#include <doctest/doctest.h>

#include <string>

#include "qnn_facts.h"
#include "workers/core/runtime.h"
#include "workers/onnxruntime/onnx_model.h"
#include "workers/qnn/qnn_provider.h"

using namespace dx;

namespace {

class Silent : public LoadListener {
 public:
  void on_phase(Phase) override {}
  void on_progress(double, const std::string&) override {}
};

Failure refusal(const Load& request) {
  const QnnProvider provider;
  OnnxRuntime runtime(qnn_worker::kFacts, &provider);
  Silent listener;
  const Result<std::unique_ptr<Model>> model = load_model(runtime, request, listener);
  REQUIRE(!model);
  return model.failure();
}

Load with_libraries(const std::vector<std::string>& names) {
  Load request;
  request.files = {{"onnx", "model.onnx"}};
  for (const std::string& name : names) request.files.push_back({"library", "/no/" + name, name});
  return request;
}

}  // namespace

TEST_CASE("each library that does not come along is named") {
  const std::string own = library_name();
  const std::string provider = "libonnxruntime_providers_qnn.so";
  CHECK(refusal(with_libraries({own})).message.find(provider) != std::string::npos);
  CHECK(refusal(with_libraries({own, provider})).message.find("libQnnHtp.so") != std::string::npos);
  CHECK(refusal(with_libraries({provider})).message.find(own) != std::string::npos);
}

TEST_CASE("options and accelerators that it has not are refused by name") {
  Load request = with_libraries({library_name()});
  request.options.named = {{"htp_performance_mode", "fastest"}};
  const Failure mode = refusal(request);
  CHECK(mode.code == FailureCode::kOptionRefused);
  CHECK(mode.message.find("burst") != std::string::npos);
  request.options.named = {{"spinning", "on"}};
  CHECK(refusal(request).message.find("qnn has no option 'spinning'") != std::string::npos);
  request.options.named.clear();
  request.options.accelerator = "vulkan";
  CHECK(refusal(request).message.find("'vulkan'") != std::string::npos);
}
