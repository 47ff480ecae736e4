// SNPE's worker against a library that stands in for Qualcomm's, see stand_in_snpe/: what becomes
// of a model from its load to its end. Nothing here was seen on a Snapdragon.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/worker/behaviour.h"
#include "tests/worker/worker_process.h"
#include "workers/core/closed_node.h"
#include "workers/snpe/runtimes.h"
#include "workers/snpe/snpe_model.h"

using namespace dx;
using namespace dx::test;

namespace {

RunOptions with(const std::vector<std::pair<std::string, std::string>>& named) {
  RunOptions options = fp32();
  for (const auto& [name, value] : named) options.named[name] = value;
  return options;
}

// The small net with these options alone, as a worker gets it.
Load plain(const TemporaryFolder& folder, const RunOptions& options = fp32()) {
  Load request = load_small_net(folder);
  request.options = options;
  return request;
}

// What a worker's process answers to a load that it refuses.
FailureReply refused(const Load& request) {
  WorkerProcess worker;
  worker.expect<Hello>();
  worker.send(request);
  worker.expect<PhaseChange>();
  return worker.expect<FailureReply>();
}

bool holds(const std::string& text, const std::string& part) {
  CAPTURE(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a model runs where it was asked to, and says so") {
  const TemporaryFolder folder;
  const auto first = loaded(plain(folder, fp32()));
  CHECK(first->info().runtime_version == "2.39.0 on dsp");
  const auto values = floats_of(run_of(*first, {net_input()})[0]);
  const auto order = with({{"runtime_order", "gpu,cpu"}, {"performance_profile", "burst"}});
  const auto second = loaded(plain(folder, order));
  CHECK(second->info().runtime_version == "2.39.0 on gpu");
  // Both are there, each with buffers of its own.
  CHECK(floats_of(run_of(*second, {net_input()})[0]) == values);
  CHECK(floats_of(first->outputs().value()[0]) == values);
  const std::vector<LayerRun> layers = second->run_layers().value();
  REQUIRE(layers.size() == 1);
  CHECK(layers[0].name == "the whole model, as SNPE tells no layers");
  CHECK(layers[0].unit == "GPU");
  CHECK(layers[0].precision == "fp32");
  CHECK(layers[0].ns > 0);
}

TEST_CASE("what a runtime refuses is an error, not a silent run on the processor") {
  const TemporaryFolder folder;
  const Behaviour picky("refuse=dsp");
  CHECK(fails(load(plain(folder, fp32())), FailureCode::kRuntimeRefused,
              {"does not run the model on dsp alone", "layer conv is not supported by dsp"}));
  const auto model = loaded(plain(folder, with({{"allow_fallback", "on"}})));
  CHECK(model->info().runtime_version == "2.39.0 on dsp, cpu");
  (void)run_of(*model, {net_input()});
  const std::vector<LayerRun> layers = model->run_layers().value();
  REQUIRE(layers.size() == 2);
  CHECK(layers[0].precision == "int8");
  CHECK_FALSE(layers[0].fell_back);
  CHECK(layers[1].name == "what dsp refuses of it");
  CHECK(layers[1].precision == "fp32");
  CHECK(layers[1].unit == "CPU");
  CHECK(layers[1].fell_back);
  const auto three = loaded(plain(folder, with({{"runtime_order", "dsp,gpu,cpu"}})));
  CHECK(three->info().runtime_version == "2.39.0 on dsp, gpu");
}

TEST_CASE("the processor is left out where nobody else refuses") {
  const TemporaryFolder folder;
  const auto model = loaded(plain(folder, with({{"allow_fallback", "on"}})));
  CHECK(model->info().runtime_version == "2.39.0 on dsp");
}

TEST_CASE("a runtime that the board lacks is refused with those that it has") {
  const TemporaryFolder folder;
  const Behaviour board("have=cpu,gpu");
  CHECK(fails(load(plain(folder, fp32())), FailureCode::kRuntimeRefused,
              {"finds no dsp on this board", "it has gpu, cpu", "runtime_order"}));
}

TEST_CASE("a device node that this user may not open is found") {
  const TemporaryFolder folder;
  const std::string node = folder.write("node", "");
  const std::string missing = node + "-not-there";
  const std::string place = node.substr(0, node.rfind('/'));
  REQUIRE(::chmod(place.c_str(), 0755) == 0);
  CHECK(closed_node({missing, node}).empty());
  REQUIRE(::chmod(node.c_str(), 0000) == 0);
  const bool is_root = ::geteuid() == 0;
  if (is_root) REQUIRE(::seteuid(65534) == 0);
  const std::string found = closed_node({missing, node});
  if (is_root) REQUIRE(::seteuid(0) == 0);
  CHECK(found == node);
}

TEST_CASE("options that SNPE has not are refused") {
  const TemporaryFolder folder;
  const auto refuses = [&folder](const std::string& name, const std::string& value,
                                 FailureCode code, const std::vector<std::string>& texts) {
    return fails(load(plain(folder, with({{name, value}}))), code, texts);
  };
  CHECK(refuses("runtime_order", "npu", FailureCode::kOptionRefused,
                {"no runtime 'npu'", "gpu_fp16"}));
  CHECK(refuses("runtime_order", "dsp,dsp", FailureCode::kOptionRefused, {"twice", "'dsp'"}));
  CHECK(refuses("udo_package", "/nowhere/libUdo.so", FailureCode::kRuntimeRefused,
                {"the UDO package /nowhere/libUdo.so", "no registration library"}));
  CHECK(refuses("performance_profile", "system_settings", FailureCode::kRuntimeRefused,
                {"performance_profile=system_settings", "no system settings"}));
  RunOptions elsewhere = fp32();
  elsewhere.accelerator = "gpu";
  CHECK(fails(load(plain(folder, elsewhere)), FailureCode::kOptionRefused,
              {"runtime_order", "'gpu'"}));
  CHECK(loaded(plain(folder, with({{"udo_package", folder.write("udo.so", "x")}}))));
}

TEST_CASE("each profile that the option lists is one of SNPE's") {
  for (const OptionFact& option : SnpeRuntime().facts()) {
    if (option.name != "performance_profile") continue;
    std::string values(option.values);
    for (char& letter : values) letter = letter == '|' ? ',' : letter;
    for (const std::string& value : words_of(values)) CHECK(profile_of(value));
  }
  CHECK_FALSE(profile_of("fast"));
}

TEST_CASE("SNPE's own log of layers is written where it is asked for, and ended") {
  const TemporaryFolder folder;
  const std::string place = folder.write("marker", "");
  const std::string path = place.substr(0, place.rfind('/'));
  {
    const auto model = loaded(plain(folder, with({{"diag_log", path}})));
    CHECK(content_of(path + "/SNPEDiag_0.log") == "begun\n");
  }
  CHECK(content_of(path + "/SNPEDiag_0.log") == "begun\nended\n");
  CHECK(fails(load(plain(folder, with({{"diag_log", "/nowhere"}}))), FailureCode::kRuntimeRefused,
              {"does not write its log into /nowhere"}));
}

TEST_CASE("a library of another version, and none at all, are refused") {
  const TemporaryFolder folder;
  Load request = plain(folder, fp32());
  {
    const Behaviour other("version=2.10.0");
    const FailureReply reply = refused(request);
    CHECK(reply.code == FailureCode::kRuntimeRefused);
    CHECK(holds(reply.message, "compiled for SNPE 2.39.0, and libSNPE.so is 2.10.0"));
  }
  request.files[1].path = folder.write("libSNPE.so", "no library");
  CHECK(holds(refused(request).message, "libSNPE.so cannot be opened"));
  request.files.pop_back();
  CHECK(holds(refused(request).message, "did not come along"));
}

TEST_CASE("a tensor of another type, an empty file and a run that fails are told") {
  const TemporaryFolder folder;
  {
    const Behaviour whole("int32");
    CHECK(fails(load(plain(folder, fp32())), FailureCode::kRuntimeRefused,
                {"'in0'", "another element type"}));
  }
  Load request = plain(folder, fp32());
  const auto model = loaded(request);
  REQUIRE(model->set_inputs({net_input()}));
  {
    const Behaviour broken("fail");
    CHECK(fails(model->run(), FailureCode::kRuntimeRefused,
                {"failed to run the model", "the DSP does not answer"}));
  }
  CHECK(model->run());
  request.files[0].path = folder.write("empty.dlc", "");
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"does not read the model"}));
}

TEST_CASE("a batch runs sample by sample") {
  const TemporaryFolder folder;
  const auto model = loaded(load_affine(folder, fp32()));
  Tensor two{"in0", "float32", {2, 3}, {}, true};
  const std::vector<float> values = {1, 0, 0, 0, 1, 0};
  two.data.assign(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  const std::vector<Tensor> outputs = run_of(*model, {two});
  CHECK(outputs[0].dims == std::vector<std::int64_t>{2, 2});
  CHECK(floats_of(outputs[0]) == std::vector<float>{11, 24, 12, 25});
}
