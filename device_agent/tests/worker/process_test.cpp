// The real executable, end to end.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/test_model.h"
#include "tests/worker/worker_process.h"

using namespace dx;
using namespace dx::test;

namespace {

Tensor net_input() { return noise("in0", {8, 6, 6}, 1); }

// A worker that has loaded the small net.
struct Serving {
  Serving() {
    worker.expect<Hello>();
    worker.send(load_small_net(folder, fp32()));
    worker.expect<Loaded>();
  }
  TemporaryFolder folder;
  WorkerProcess worker;
};

Bench endless() {
  Bench request;
  request.inputs = {net_input()};
  request.iterations = 4000000000U;
  return request;
}

// The worker's words for a model's files, where it runs alone.
std::vector<std::string> file_words(const Load& load) {
  std::vector<std::string> words;
  for (const ModelFile& file : load.files) {
    const bool is_library = file.role == "library";
    words.emplace_back(is_library ? "--library" : "--file");
    words.push_back(is_library ? file.path : file.role + "=" + file.path);
  }
  return words;
}

std::size_t count_lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("a worker greets, loads, runs and quits") {
  WorkerProcess worker;
  const Hello hello = worker.expect<Hello>();
  CHECK(hello.runtime == tested_runtime()->facts().name);
  CHECK(hello.runtime_version == tested_runtime()->version());
  CHECK_FALSE(hello.runtime_version.empty());

  const TemporaryFolder folder;
  worker.send(load_affine(folder, fp32()));
  CHECK(worker.expect<PhaseChange>().phase == Phase::kLoad);
  const Loaded model = worker.expect<Loaded>();
  CHECK(model.load_ns > 0);
  CHECK(model.threads == 1);
  REQUIRE(model.inputs.size() == 1);
  CHECK(model.inputs[0].name == "in0");

  worker.send(Run{7, {tensor_of("in0", {3}, {1, 1, 1})}});
  CHECK(worker.expect<PhaseChange>().phase == Phase::kFirstRun);
  const Outputs outputs = worker.expect<Outputs>();
  CHECK(outputs.sequence == 7);
  REQUIRE(outputs.outputs.size() == 1);
  CHECK(floats_of(outputs.outputs[0]) == std::vector<float>{16, 35});
  CHECK(outputs.compute_ns > 0);
  CHECK(outputs.worker_ns >= outputs.compute_ns);

  worker.send(Run{8, {tensor_of("in0", {3}, {0, 0, 0})}});
  CHECK(worker.expect<PhaseChange>().phase == Phase::kRun);
  CHECK(floats_of(worker.expect<Outputs>().outputs[0]) == std::vector<float>{10, 20});

  worker.send(Quit{});
  CHECK(worker.wait() == 0);
}

TEST_CASE_FIXTURE(Serving, "hundreds of runs in flight come back in order") {
  constexpr std::uint64_t kRuns = 500;
  std::thread sender([&] {
    for (std::uint64_t i = 1; i <= kRuns; ++i) worker.send(Run{i, {net_input()}});
  });
  std::string first;
  for (std::uint64_t i = 1; i <= kRuns; ++i) {
    const Outputs outputs = worker.expect<Outputs>();
    CHECK(outputs.sequence == i);
    if (first.empty()) first = outputs.outputs[0].data;
    CHECK(outputs.outputs[0].data == first);
  }
  sender.join();
}

TEST_CASE_FIXTURE(Serving, "a run that fails names its sequence, and the worker serves on") {
  worker.send(Run{1, {noise("in0", {7, 6, 6}, 1)}});
  worker.send(Run{2, {noise("data", {8, 6, 6}, 1)}});
  worker.send(Run{3, {net_input()}});
  const FailureReply shape = worker.expect<FailureReply>();
  CHECK(shape.sequence == 1);
  CHECK(shape.code == FailureCode::kRuntimeRefused);
  CHECK(shape.phase == Phase::kFirstRun);
  CHECK(shape.message.find(expected().wrong_dims) != std::string::npos);
  CHECK(worker.expect<FailureReply>().sequence == 2);
  CHECK(worker.expect<Outputs>().sequence == 3);
}

TEST_CASE_FIXTURE(Serving, "a bench sends its samples, then what it found") {
  Bench request;
  request.inputs = {net_input()};
  request.warmup = 2;
  request.iterations = 25;
  worker.send(request);
  CHECK(worker.expect<PhaseChange>().phase == Phase::kFirstRun);
  std::size_t samples = 0;
  Frame frame = worker.next();
  for (; frame.kind != static_cast<std::uint16_t>(MessageKind::kBenchDone); frame = worker.next()) {
    if (const Result<Samples> group = decode<Samples>(frame)) samples += group.value().ns.size();
  }
  const Result<BenchDone> done = decode<BenchDone>(frame);
  REQUIRE(done);
  CHECK(samples == 25);
  CHECK(done.value().runs == 25);
  REQUIRE(done.value().precisions.size() == 1);
  CHECK(has_computing_layers(done.value().precisions[0].layers));
}

TEST_CASE_FIXTURE(Serving, "a cancel ends a bench and what waits behind it, and nothing after it") {
  worker.send(endless());
  worker.send(Run{5, {net_input()}});
  CHECK(worker.expect<PhaseChange>().phase == Phase::kFirstRun);
  worker.send(Cancel{});
  Frame frame = worker.next();
  while (frame.kind != static_cast<std::uint16_t>(MessageKind::kFailure)) frame = worker.next();
  const Result<FailureReply> bench = decode<FailureReply>(frame);
  REQUIRE(bench);
  CHECK(bench.value().code == FailureCode::kCancelled);
  const FailureReply run = worker.expect<FailureReply>();
  CHECK(run.code == FailureCode::kCancelled);
  CHECK(run.sequence == 5);
  worker.send(Run{6, {net_input()}});
  CHECK(worker.expect<Outputs>().sequence == 6);
}

TEST_CASE_FIXTURE(Serving, "a profile sends a message a layer, then the whole") {
  worker.send(Profile{{net_input()}, 1, 4});
  std::vector<std::string> names;
  Frame frame = worker.next();
  for (; frame.kind != static_cast<std::uint16_t>(MessageKind::kProfileDone);
       frame = worker.next()) {
    const Result<LayerTimes> layer = decode<LayerTimes>(frame);
    if (!layer) continue;  // a sign of life
    names.push_back(layer.value().name);
    CHECK(layer.value().ns.size() == 4);
  }
  const Result<ProfileDone> done = decode<ProfileDone>(frame);
  REQUIRE(done);
  CHECK(done.value().whole_ns.size() == 4);
  CHECK(names.size() >= expected().computing_layers);
  if (!expected().layer_names.empty()) CHECK(names == expected().layer_names);
}

TEST_CASE_FIXTURE(Serving, "a second model is refused: one worker, one model") {
  worker.send(load_affine(folder));
  CHECK(worker.expect<FailureReply>().code == FailureCode::kInvalidRequest);
  worker.send(Run{1, {net_input()}});
  CHECK(worker.expect<Outputs>().sequence == 1);
}

TEST_CASE("a run before the model, a broken model and a broken request are answered") {
  WorkerProcess worker;
  worker.expect<Hello>();
  worker.send(Run{3, {net_input()}});
  const FailureReply early = worker.expect<FailureReply>();
  CHECK(early.code == FailureCode::kUnknownModel);
  CHECK(early.sequence == 3);

  const TemporaryFolder folder;
  worker.send(load_cut_net(folder, fp32()));
  const FailureReply broken = worker.expect<FailureReply>();
  CHECK(broken.code == FailureCode::kRuntimeRefused);
  CHECK(broken.phase == Phase::kLoad);
  CHECK(broken.message.find(expected().cut) != std::string::npos);

  // Kind Run with a body that ends inside its first field.
  REQUIRE(write_all(worker.socket(), std::string("\x03\0\0\0\x02\0\x01", 7)));
  CHECK(worker.expect<FailureReply>().code == FailureCode::kInternal);

  worker.send(load_small_net(folder, fp32()));
  CHECK(worker.expect<Loaded>().threads == 1);
}

TEST_CASE_FIXTURE(Serving, "a worker ends with its socket, in the middle of a bench") {
  worker.send(endless());
  CHECK(worker.expect<PhaseChange>().phase == Phase::kFirstRun);
  worker.close_socket();
  CHECK(worker.wait() == 0);
}

TEST_CASE_FIXTURE(Serving, "a worker ends with its socket, also where nobody reads its answers") {
  // More answers than the socket's buffers hold, and more requests than the worker takes ahead.
  Tensor batch = noise("in0", {64, 8, 6, 6}, 1);
  batch.batched = true;
  std::thread sender([&] {
    for (std::uint64_t i = 0; i < 2000; ++i) {
      if (!send_message(worker.socket(), Run{i, {batch}})) return;
    }
  });
  CHECK(worker.expect<Outputs>().sequence == 0);
  REQUIRE(shutdown(worker.socket(), SHUT_RDWR) == 0);
  sender.join();
  CHECK(worker.wait() == 0);
}

TEST_CASE_FIXTURE(Serving, "a worker ends with its socket, also inside a message") {
  REQUIRE(write_all(worker.socket(), std::string("\x40\0\0\0\x02\0\x01", 7)));
  worker.close_socket();
  CHECK(worker.wait() == 0);
}

TEST_CASE("what is no message at all ends the worker with a code of its own") {
  for (const std::string& garbage :
       {std::string("\xff\xff\xff\xff\x01\0", 6), std::string("\x02\0\0\0\x99\x99", 6)}) {
    WorkerProcess worker;
    worker.expect<Hello>();
    REQUIRE(write_all(worker.socket(), garbage));
    CHECK(worker.wait() == 3);
  }
}

TEST_CASE("alone, a worker prints one sample a line, or their summary") {
  const TemporaryFolder folder;
  std::vector<std::string> arguments = file_words(load_small_net(folder));
  for (const char* word :
       {"--bare", "--input", "in0=8x6x6", "--threads", "1", "--iterations", "12"}) {
    arguments.emplace_back(word);
  }
  const Output samples = run_worker(arguments);
  CHECK(samples.exit_code == 0);
  CHECK(count_lines(samples.text) == 12);
  std::istringstream lines(samples.text);
  for (std::int64_t ns = 0; lines >> ns;) CHECK(ns > 0);
  CHECK(lines.eof());

  arguments.push_back("--summary");
  const Output summary = run_worker(arguments);
  CHECK(summary.exit_code == 0);
  CHECK(count_lines(summary.text) == 6);
  std::istringstream words(summary.text);
  for (const std::string name : {"min", "mean", "stdev", "p50", "p90", "p99"}) {
    std::string word;
    double value = -1;
    REQUIRE(static_cast<bool>(words >> word >> value));
    CHECK(word == name);
    CHECK(value >= 0);
  }
}

TEST_CASE("a wrong command line ends with 2, a bare run that fails with 1") {
  CHECK(run_worker({"--fly"}).exit_code == 2);
  CHECK(run_worker({"--bare", "--threads"}).exit_code == 2);
  CHECK(run_worker({"--bare", "--threads", "-1"}).exit_code == 2);
  CHECK(run_worker({"--bare", "--input", "in0=3x"}).exit_code == 2);
  CHECK(run_worker({"--bare", "--set", "magic=1"}).exit_code == 2);
  CHECK(run_worker({"--bare", "--set", expected().wrong_option}).exit_code == 2);
  CHECK(run_worker({"--control-fd", "x"}).exit_code == 2);
  CHECK(run_worker({"--bare", "--file", "weights=/none"}).exit_code == 1);
  const Output version = run_worker({"--version"});
  CHECK(version.exit_code == 0);
  const std::unique_ptr<Runtime> runtime = tested_runtime();
  const std::string name(runtime->facts().name);
  CHECK(version.text.find(name + " " + runtime->version()) != std::string::npos);
  CHECK(run_worker({"--help"}).text.find("--control-fd") != std::string::npos);
}
