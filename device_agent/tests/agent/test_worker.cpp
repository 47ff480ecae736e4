// A worker that goes wrong on demand: the real worker's core with a runtime that obeys the words of
// the model's `param` file. Each line is `WHEN ACTION [NUMBER]`:
//   WHEN    prepare | load | first-run | run (every run after the first)
//   ACTION  crash SIGNAL | exit CODE | hang | eat (memory, 16 MiB at a time) | garbage | fail |
//           sleep MS | log LINES | progress COUNT (of a preparation, 20 ms apart) |
//           version NUMBER (told by the load) | untold | kept (how layers are told)
// Without a word it gives every input back as the output of the same name. Of the outputs asked
// for, "options", "libraries" and "prepared" come too, as text: what the load brought along.
// With DX_TEST_PREPARES in its environment it prepares; DX_TEST_FEATURE is a feature that it tells.
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "test_facts.h"
#include "workers/core/worker_main.h"

namespace {

using dx::Load;
using dx::LoadListener;

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

std::vector<Word> words_of(const Load& request) {
  std::vector<Word> words;
  std::ifstream lines(dx::path_of(request, "param"));
  for (std::string line; std::getline(lines, line);) {
    Word word;
    std::istringstream(line) >> word.when >> word.action >> word.number;
    words.push_back(word);
  }
  return words;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The text of one of the outputs that tell what a load brought along.
std::string told_of(const Load& request, const std::string& what) {
  std::string text;
  if (what == "prepared") return content_of(request.prepared_path);
  if (what == "options") {
    text = "precision=" + request.options.precision;
    for (const auto& [name, value] : request.options.named) text += " " + name + "=" + value;
  }
  for (const dx::ModelFile& file : request.files) {
    if (what != "libraries" || file.role != "library") continue;
    text += file.name + " " + file.path + " " + content_of(file.path) + "\n";
  }
  return text;
}

class TestModel : public dx::Model {
 public:
  TestModel(std::vector<Word> words, const Load& request) : words_(std::move(words)) {
    for (const std::string what : {"options", "libraries", "prepared"}) {
      for (const std::string& output : request.outputs) {
        if (output == what) told_.push_back(text_tensor(what, told_of(request, what)));
      }
    }
    for (const Word& word : words_) {
      if (word.action == "version") info_.runtime_version = std::to_string(word.number);
    }
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

  dx::Result<std::vector<dx::Tensor>> outputs() const override {
    std::vector<dx::Tensor> outputs = inputs_;
    outputs.insert(outputs.end(), told_.begin(), told_.end());
    return outputs;
  }

  dx::Result<std::vector<dx::LayerRun>> run_layers() override {
    auto ns = run();
    if (!ns) return ns.failure();
    dx::LayerRun layer;
    layer.name = "only";
    layer.type = "Test";
    layer.dims = {2};
    if (!has_word("untold")) {
      layer.element_bits = 32;
      layer.packing = 1;
      layer.precision = "fp32";
    }
    layer.computes = true;
    layer.ns = ns.value();
    if (!has_word("kept")) return std::vector<dx::LayerRun>{layer};
    kept_.push_back({layer});
    return std::vector<dx::LayerRun>();
  }

  dx::Result<std::vector<std::vector<dx::LayerRun>>> kept_layers() override {
    return std::exchange(kept_, {});
  }

 private:
  static dx::Tensor text_tensor(const std::string& name, const std::string& text) {
    return {name, "uint8", {static_cast<std::int64_t>(text.size())}, text, false};
  }

  bool has_word(const std::string& action) const {
    for (const Word& word : words_) {
      if (word.action == action) return true;
    }
    return false;
  }

  dx::ModelInfo info_;
  std::vector<Word> words_;
  std::vector<dx::Tensor> inputs_;
  std::vector<dx::Tensor> told_;
  std::vector<std::vector<dx::LayerRun>> kept_;
  bool has_run_ = false;
};

class TestRuntime : public dx::Runtime {
 public:
  const dx::WorkerFacts& facts() const override { return facts_; }
  std::string version() const override { return "1"; }
  std::vector<std::string> features() const override {
    const char* const feature = std::getenv("DX_TEST_FEATURE");
    if (feature == nullptr) return {};
    return {feature};
  }

  dx::Status prepare(const Load& request, LoadListener& listener) override {
    if (!request.kept_folder.empty()) {
      std::ofstream(request.kept_folder + "/kept", std::ios::app) << "once\n";
    }
    std::ofstream file(request.prepared_path, std::ios::binary);
    file << "made of " << std::flush;
    for (const Word& word : words_of(request)) {
      if (word.when != "prepare") continue;
      for (int i = 0; word.action == "progress" && i < word.number; ++i) {
        listener.on_progress(static_cast<double>(i) / word.number, "part " + std::to_string(i));
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
      if (dx::Status status = act(word); !status) return status;
    }
    file << content_of(dx::path_of(request, "param"));
    return {};
  }

  dx::Result<std::unique_ptr<dx::Model>> load(const Load& request) override {
    std::vector<Word> words = words_of(request);
    for (const Word& word : words) {
      if (word.when != "load") continue;
      if (dx::Status status = act(word); !status) return status.failure();
    }
    return std::unique_ptr<dx::Model>(std::make_unique<TestModel>(std::move(words), request));
  }

 private:
  static dx::WorkerFacts facts_here() {
    dx::WorkerFacts facts = dx::test_worker::kFacts;
    facts.prepares = std::getenv("DX_TEST_PREPARES") != nullptr;
    return facts;
  }

  const dx::WorkerFacts facts_ = facts_here();
};

}  // namespace

int main(int argc, char** argv) {
  TestRuntime runtime;
  return dx::worker_main(runtime, argc, argv);
}
