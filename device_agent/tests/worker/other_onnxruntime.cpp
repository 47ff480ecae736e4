// A library that looks like ONNX Runtime of another version, for the test that it is refused.
#include <onnxruntime_c_api.h>

namespace {

const OrtApi* ORT_API_CALL no_api(uint32_t) noexcept { return nullptr; }
const char* ORT_API_CALL version() noexcept { return "1.2.3"; }
const OrtApiBase kBase{no_api, version};

}  // namespace

extern "C" const OrtApiBase* OrtGetApiBase() noexcept { return &kBase; }
