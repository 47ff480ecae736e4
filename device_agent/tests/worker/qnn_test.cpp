// What QNN's worker refuses before any library is loaded.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "qnn_facts.h"
#include "tests/worker/test_model.h"
#include "workers/core/runtime.h"
#include "workers/onnxruntime/onnx_model.h"
#include "workers/qnn/beside.h"
#include "workers/qnn/npu.h"
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

TEST_CASE("what is missing of the NPU is told in one sentence") {
  const dx::test::TemporaryFolder board;
  const auto there = [](const char*) { return true; };
  const auto missing = [](const char*) { return false; };
  const std::string file = board.write("file", "");
  const std::string root = file.substr(0, file.rfind('/'));
  CHECK(check_npu(NpuSystem::kLinux, root, there).failure().message.find("has no Qualcomm NPU") !=
        std::string::npos);

  REQUIRE(chmod(root.c_str(), 0755) == 0);
  REQUIRE(mkdir((root + "/dev").c_str(), 0755) == 0);
  const std::string device = board.write("dev/fastrpc-cdsp", "");
  CHECK(check_npu(NpuSystem::kLinux, root, there));
  const Failure lost = check_npu(NpuSystem::kLinux, root, missing).failure();
  CHECK(lost.message.find("libcdsprpc.so") != std::string::npos);
  CHECK(lost.code == FailureCode::kRuntimeRefused);

  REQUIRE(chmod(device.c_str(), 0000) == 0);
  const bool is_root = geteuid() == 0;
  if (is_root) REQUIRE(seteuid(65534) == 0);
  const Status closed = check_npu(NpuSystem::kLinux, root, there);
  if (is_root) REQUIRE(seteuid(0) == 0);
  REQUIRE(!closed);
  CHECK(closed.failure().message.find("may not open the NPU's device /dev/fastrpc-cdsp") !=
        std::string::npos);
}

TEST_CASE("a phone's system may open the device for programs that may not") {
  const dx::test::TemporaryFolder board;
  const std::string file = board.write("file", "");
  const std::string root = file.substr(0, file.rfind('/'));
  const auto there = [](const char*) { return true; };
  const auto missing = [](const char*) { return false; };
  const auto in_its_place = [](const char* name) { return name[0] == '/'; };
  CHECK(!check_npu(NpuSystem::kAndroid, root, there));

  REQUIRE(chmod(root.c_str(), 0755) == 0);
  REQUIRE(mkdir((root + "/dev").c_str(), 0755) == 0);
  const std::string device = board.write("dev/fastrpc-cdsp", "");
  REQUIRE(chmod(device.c_str(), 0000) == 0);
  const bool is_root = geteuid() == 0;
  if (is_root) REQUIRE(seteuid(65534) == 0);
  const Status by_service = check_npu(NpuSystem::kAndroid, root, there);
  const Status by_path = check_npu(NpuSystem::kAndroid, root, in_its_place);
  const Status without = check_npu(NpuSystem::kAndroid, root, missing);
  const Status on_linux = check_npu(NpuSystem::kLinux, root, in_its_place);
  if (is_root) REQUIRE(seteuid(0) == 0);
  CHECK(by_service);
  CHECK(by_path);
  REQUIRE(!without);
  CHECK(without.failure().message.find("/vendor/lib64/libcdsprpc.so") != std::string::npos);
  CHECK(!on_linux);
}

TEST_CASE("libraries that came along are found by their names once they are open") {
  const dx::test::TemporaryFolder session;
  const std::string folder = session.write("none", "");
  const std::string path = folder.substr(0, folder.rfind('/')) + "/libQnnThing.so";
  std::filesystem::copy_file(DX_QNN_THING, path);
  const auto is_open = [] { return dlopen("libQnnThing.so", RTLD_NOW | RTLD_NOLOAD) != nullptr; };
  Load request = with_libraries({"libQnnHtp.so"});
  request.files.push_back({"library", path, "libQnnThingSkel.so"});
  request.files.push_back({"library", path, "libother.so"});
  open_beside(request);
  CHECK(!is_open());
  request.files.push_back({"library", path, "libQnnThing.so"});
  open_beside(request);
  CHECK(is_open());
}
