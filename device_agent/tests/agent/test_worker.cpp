// A worker that goes wrong on demand: the real worker's core with a runtime that obeys the words of
// the model's `param` file. Each line is `WHEN ACTION [NUMBER]`:
//   WHEN    load | first-run | run (every run after the first)
//   ACTION  crash SIGNAL | exit CODE | hang | eat (memory, 16 MiB at a time) | garbage | fail |
//           sleep MS | log LINES
// Without a word it gives every input back as the output of the same name.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "test_facts.h"
#include "workers/core/worker_main.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kControlFd = 3;

struct Word {
  std::string when;
  std::string action;
  int number = 0;
};

void crash(int signal) {
  // Sanitizers catch some; this worker must die as one without them does.
  static_cast<void>(::signal(signal, SIG_DFL));
  static_cast<void>(::raise(signal));
}

void eat() {
  constexpr std::size_t kBite = std::size_t{16} << 20;
  std::vector<std::unique_ptr<char[]>> eaten;
  for (int bite = 0; bite < 256; ++bite) {
    eaten.push_back(std::make_unique<char[]>(kBite));
    for (std::size_t i = 0; i < kBite; i += 512) eaten.back()[i] = static_cast<char>(i + 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void hang() {
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

dx::Status act(const Word& word) {
  if (word.action == "crash") crash(word.number);
  if (word.action == "exit") _exit(word.number);
  if (word.action == "hang") hang();
  if (word.action == "eat") eat();
  if (word.action == "garbage") {
    static_cast<void>(::send(kControlFd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, MSG_NOSIGNAL));
  }
  if (word.action == "sleep") std::this_thread::sleep_for(std::chrono::milliseconds(word.number));
  for (int i = 0; word.action == "log" && i < word.number; ++i) {
    std::fprintf(stderr, "test worker line %d \xff\n", i);
  }
  if (word.action == "fail") {
    return dx::Failure{dx::FailureCode::kRuntimeRefused, "the test worker was told to fail", {}};
  }
  return {};
}

class TestModel : public dx::Model {
 public:
  explicit TestModel(std::vector<Word> words) : words_(std::move(words)) {
    info_.load_ns = 1;
    info_.threads = 1;
    info_.inputs = {{"in0", "float32", std::vector<std::int64_t>{2}}};
    info_.outputs = info_.inputs;
  }

  const dx::ModelInfo& info() const override { return info_; }

  dx::Status set_inputs(const std::vector<dx::Tensor>& inputs) override {
    inputs_ = inputs;
    return {};
  }

  dx::Result<std::int64_t> run() override {
    const Clock::time_point start = Clock::now();
    const std::string when = has_run_ ? "run" : "first-run";
    has_run_ = true;
    for (const Word& word : words_) {
      if (word.when != when) continue;
      if (dx::Status status = act(word); !status) return status.failure();
    }
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count() + 1;
  }

  dx::Result<std::vector<dx::Tensor>> outputs() const override { return inputs_; }

  dx::Result<std::vector<dx::LayerRun>> run_layers() override {
    auto ns = run();
    if (!ns) return ns.failure();
    dx::LayerRun layer;
    layer.name = "only";
    layer.type = "Test";
    layer.dims = {2};
    layer.element_bits = 32;
    layer.packing = 1;
    layer.precision = "fp32";
    layer.computes = true;
    layer.ns = ns.value();
    return std::vector<dx::LayerRun>{layer};
  }

 private:
  dx::ModelInfo info_;
  std::vector<Word> words_;
  std::vector<dx::Tensor> inputs_;
  bool has_run_ = false;
};

class TestRuntime : public dx::Runtime {
 public:
  const dx::WorkerFacts& facts() const override { return dx::test_worker::kFacts; }
  std::string version() const override { return "1"; }
  std::vector<std::string> features() const override { return {}; }

  dx::Result<std::unique_ptr<dx::Model>> load(const dx::Load& request) override {
    std::vector<Word> words;
    for (const dx::ModelFile& file : request.files) {
      if (file.role != "param") continue;
      std::ifstream lines(file.path);
      for (std::string line; std::getline(lines, line);) {
        Word word;
        std::istringstream(line) >> word.when >> word.action >> word.number;
        words.push_back(word);
      }
    }
    for (const Word& word : words) {
      if (word.when != "load") continue;
      if (dx::Status status = act(word); !status) return status.failure();
    }
    return std::unique_ptr<dx::Model>(std::make_unique<TestModel>(std::move(words)));
  }
};

}  // namespace

int main(int argc, char** argv) {
  TestRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
