#include "agent/worker/worker.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/worker/models.h"
#include "tests/agent/temporary_folder.h"

namespace {

using std::chrono::milliseconds;

using dx::FailureCode;
using dx::Frame;
using dx::Phase;
using dx::Worker;
using dx::WorkerOutcome;

bool never() { return false; }

// No child of this process lives or waits to be reaped.
bool has_no_children() { return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD; }

template <class T>
std::string frame_of(const T& message) {
  auto frame = dx::encode(message);
  REQUIRE(frame);
  return std::move(frame).value();
}

dx::Run run_of(std::uint64_t sequence) {
  dx::Run run;
  run.sequence = sequence;
  run.inputs.push_back({"in0", "float32", {2}, "12345678", false});
  return run;
}

// Starts test workers; every one of them is gone at the end.
class Workers {
 public:
  ~Workers() {
    watcher_.reset();
    CHECK(has_no_children());
  }

  std::shared_ptr<Worker> start_program(std::vector<std::string> command_line,
                                        dx::WorkerLimits limits = {0, milliseconds(30000)}) {
    auto worker =
        Worker::start(std::move(command_line), folder_.path() + "/log", limits, *watcher_);
    REQUIRE(worker);
    return worker.value();
  }

  // A test worker that obeys these words (see test_worker.cpp), started and greeted.
  std::shared_ptr<Worker> start(const std::string& words,
                                dx::WorkerLimits limits = {0, milliseconds(30000)}) {
    param_ = folder_.write("param", words);
    auto worker = start_program({DX_TEST_WORKER}, limits);
    Frame hello;
    REQUIRE_FALSE(worker->receive(hello, never));
    REQUIRE(dx::decode<dx::Hello>(hello));
    return worker;
  }

  WorkerOutcome load(Worker& worker, bool prepare = false) {
    dx::Load load;
    load.files.push_back({"param", param_});
    load.prepared_path = folder_.path() + "/prepared";
    load.prepare = prepare;
    return ask(worker, frame_of(load));
  }

  // Sends a request and waits for its last answer.
  WorkerOutcome ask(Worker& worker, const std::string& request) {
    worker.send(request, never);
    do {
      if (auto failure = worker.receive(answer, never)) return failure;
    } while (!dx::is_last_answer(answer));
    if (const auto reply = dx::decode<dx::FailureReply>(answer)) {
      return worker.reported(reply.value());
    }
    return std::nullopt;
  }

  // What load and two runs end in.
  WorkerOutcome use(Worker& worker) {
    if (auto failure = load(worker)) return failure;
    if (auto failure = ask(worker, frame_of(run_of(1)))) return failure;
    return ask(worker, frame_of(run_of(2)));
  }

  Frame answer;
  dx::test::TemporaryFolder folder_;

 private:
  std::string param_;
  std::unique_ptr<dx::Watcher> watcher_ = std::make_unique<dx::Watcher>();
};

struct When {
  const char* word;
  Phase phase;
};
constexpr When kMoments[] = {
    {"load", Phase::kLoad}, {"first-run", Phase::kFirstRun}, {"run", Phase::kRun}};

}  // namespace

TEST_CASE("a worker gives back what it was given") {
  Workers workers;
  const auto worker = workers.start("");
  REQUIRE_FALSE(workers.use(*worker));
  const auto outputs = dx::decode<dx::Outputs>(workers.answer);
  REQUIRE(outputs);
  CHECK(outputs.value().sequence == 2);
  CHECK(outputs.value().outputs.at(0).data == "12345678");
  CHECK(worker->peak_bytes().value_or(0) > 0);
  worker->quit();
  CHECK(worker->death());
}

TEST_CASE("a crash is told with its signal, its phase and the log") {
  for (const When& when : kMoments) {
    for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGBUS}) {
      CAPTURE(when.word);
      CAPTURE(signal);
      Workers workers;
      const std::string word = when.word;
      const auto worker =
          workers.start(word + " log 2\n" + word + " crash " + std::to_string(signal) + "\n");
      const auto failure = workers.use(*worker);
      REQUIRE(failure);
      CHECK(failure->failure.code == FailureCode::kWorkerCrashed);
      CHECK(failure->signal == signal);
      CHECK(failure->failure.phase == when.phase);
      CHECK(failure->log_tail.find("test worker line 1 ?") != std::string::npos);
      CHECK(worker->death_text() ==
            "the worker crashed of " + dx::signal_name(signal) + " " + dx::phase_words(when.phase));
    }
  }
}

TEST_CASE("a worker that is killed from outside is told so") {
  Workers workers;
  const auto worker = workers.start("run crash 9\n");
  const auto failure = workers.use(*worker);
  REQUIRE(failure);
  CHECK(failure->failure.code == FailureCode::kWorkerCrashed);
  CHECK(failure->signal == SIGKILL);
  CHECK(failure->failure.message.find("lack of memory") != std::string::npos);
}

TEST_CASE("an exit that nobody asked for is told with its code") {
  for (const When& when : kMoments) {
    Workers workers;
    const auto worker = workers.start(std::string(when.word) + " exit 3\n");
    const auto failure = workers.use(*worker);
    REQUIRE(failure);
    CHECK(failure->failure.code == FailureCode::kWorkerExited);
    CHECK(failure->failure.phase == when.phase);
    CHECK(failure->failure.message.find("exit code 3") != std::string::npos);
    CHECK(failure->signal == 0);
  }
}

TEST_CASE("a worker that hangs is killed by the watchdog") {
  for (const When& when : kMoments) {
    Workers workers;
    const auto worker = workers.start(std::string(when.word) + " hang\n", {0, milliseconds(400)});
    const auto failure = workers.use(*worker);
    REQUIRE(failure);
    CHECK(failure->failure.code == FailureCode::kWatchdog);
    CHECK(failure->failure.phase == when.phase);
    CHECK(failure->failure.message.find("400 ms") != std::string::npos);
  }
}

TEST_CASE("a worker that passes its memory limit is killed for that") {
  for (const When& when : kMoments) {
    Workers workers;
    const std::uint64_t limit = std::uint64_t{300} << 20;
    const auto worker =
        workers.start(std::string(when.word) + " eat\n", {limit, milliseconds(30000)});
    const auto failure = workers.use(*worker);
    REQUIRE(failure);
    CHECK(failure->failure.code == FailureCode::kMemoryLimit);
    CHECK(failure->failure.phase == when.phase);
    CHECK(failure->failure.message.find(std::to_string(limit)) != std::string::npos);
  }
}

TEST_CASE("a worker that sends garbage is killed for that") {
  for (const When& when : kMoments) {
    Workers workers;
    const auto worker = workers.start(std::string(when.word) + " garbage\n");
    const auto failure = workers.use(*worker);
    REQUIRE(failure);
    CHECK(failure->failure.code == FailureCode::kWorkerExited);
    CHECK(failure->failure.message.find("protocol") != std::string::npos);
  }
}

TEST_CASE("a preparation has a time limit of its own, which signs of life do not prolong") {
  for (const char* words : {"prepare hang\n", "prepare progress 100000\n"}) {
    Workers workers;
    dx::WorkerLimits limits{0, milliseconds(30000)};
    limits.prepare = milliseconds(300);
    const auto worker = workers.start(words, limits);
    const auto failure = workers.load(*worker, true);
    REQUIRE(failure);
    CHECK(failure->failure.code == FailureCode::kWatchdog);
    CHECK(failure->failure.phase == Phase::kPrepare);
    CHECK(failure->failure.message.find("not prepared the model after 300 ms") !=
          std::string::npos);
  }
}

TEST_CASE("a preparation may be silent for longer than the watchdog, a load may not") {
  Workers workers;
  const auto slow = workers.start("prepare sleep 900\n", {0, milliseconds(400)});
  CHECK_FALSE(workers.load(*slow, true));
  CHECK(workers.folder_.read("prepared") == "made of prepare sleep 900\n");
  const auto hanging = workers.start("prepare progress 1\nload hang\n", {0, milliseconds(400)});
  const auto failure = workers.load(*hanging, true);
  REQUIRE(failure);
  CHECK(failure->failure.phase == Phase::kLoad);
}

TEST_CASE("a worker that dies in its preparation is told so") {
  Workers workers;
  const auto worker = workers.start("prepare crash " + std::to_string(SIGSEGV) + "\n");
  const auto failure = workers.load(*worker, true);
  REQUIRE(failure);
  CHECK(failure->signal == SIGSEGV);
  CHECK(failure->failure.phase == Phase::kPrepare);
  CHECK(worker->death_text() == "the worker crashed of SIGSEGV while the model was prepared");
}

TEST_CASE("a worker that closes its socket and lives on is killed") {
  Workers workers;
  const auto worker = workers.start_program({"/bin/sh", "-c", "exec 3>&-; exec sleep 600"});
  Frame frame;
  const auto failure = worker->receive(frame, never);
  REQUIRE(failure);
  CHECK(failure->failure.code == FailureCode::kWorkerExited);
  CHECK(failure->failure.phase == Phase::kSpawn);
}

TEST_CASE("a worker that takes no input is killed by the watchdog") {
  Workers workers;
  const auto worker =
      workers.start_program({"/bin/sh", "-c", "exec sleep 600"}, {0, milliseconds(300)});
  worker->send(std::string(std::size_t{8} << 20, 'x'), never);
  Frame frame;
  const auto failure = worker->receive(frame, never);
  REQUIRE(failure);
  CHECK(failure->failure.code == FailureCode::kWatchdog);
}

TEST_CASE("a failure that the worker reports leaves it serving") {
  Workers workers;
  const auto worker = workers.start("run fail\n");
  const auto failure = workers.use(*worker);
  REQUIRE(failure);
  CHECK(failure->failure.code == FailureCode::kRuntimeRefused);
  CHECK(failure->failure.phase == Phase::kRun);
  CHECK_FALSE(worker->death());
  CHECK(workers.ask(*worker, frame_of(run_of(3))));
  CHECK_FALSE(worker->death());
}

TEST_CASE("pauses longer than the watchdog do not trip it") {
  Workers workers;
  const auto worker = workers.start("", {0, milliseconds(500)});
  REQUIRE_FALSE(workers.load(*worker));
  dx::Bench bench;
  bench.inputs = run_of(0).inputs;
  bench.iterations = 2;
  bench.pause_ns = 800LL * 1000 * 1000;
  REQUIRE_FALSE(workers.ask(*worker, frame_of(bench)));
  const auto done = dx::decode<dx::BenchDone>(workers.answer);
  REQUIRE(done);
  CHECK(done.value().runs == 2);
}

TEST_CASE("a cancelled bench ends and the worker serves on") {
  Workers workers;
  const auto worker = workers.start("run sleep 5\n");
  REQUIRE_FALSE(workers.load(*worker));
  dx::Bench bench;
  bench.inputs = run_of(0).inputs;
  bench.seconds = 600;
  worker->send(frame_of(bench), never);
  worker->cancel(1);
  CHECK_FALSE(worker->death());
  CHECK_FALSE(workers.ask(*worker, frame_of(run_of(1))));
}

TEST_CASE("a worker that does not obey a cancel is killed") {
  Workers workers;
  const auto worker = workers.start("run log 1\nrun hang\n", {0, milliseconds(500)});
  REQUIRE_FALSE(workers.load(*worker));
  REQUIRE_FALSE(workers.ask(*worker, frame_of(run_of(1))));
  worker->send(frame_of(run_of(2)), never);
  while (workers.folder_.read("log").empty()) std::this_thread::sleep_for(milliseconds(5));
  worker->cancel(1);
  CHECK(worker->death());
}

TEST_CASE("one call has a worker; another is told which") {
  Workers workers;
  const auto worker = workers.start("");
  std::optional<Worker::Lease> first;
  {
    auto lease = Worker::lease(worker, "Bench");
    REQUIRE(lease);
    first.emplace(std::move(lease).value());
  }
  const auto second = Worker::lease(worker, "Infer");
  REQUIRE_FALSE(second);
  CHECK(second.failure().code == FailureCode::kInvalidRequest);
  CHECK(second.failure().message.find("busy with Bench") != std::string::npos);
  // One that is about to let go is waited for.
  worker->ending_soon();
  std::thread other([&first] {
    std::this_thread::sleep_for(milliseconds(50));
    first.reset();
  });
  CHECK(Worker::lease(worker, "Infer"));
  other.join();
  CHECK(Worker::lease(worker, "Profile"));
}

TEST_CASE("a worker holds its own descriptors and nobody else's") {
  Workers workers;
  const auto first = workers.start("");
  const auto second = workers.start("");
  // The children of this process, by /proc: the workers' ids are not public.
  int checked = 0;
  for (const std::string& name : dx::list_folder("/proc")) {
    const auto status = dx::read_file("/proc/" + name + "/status", 4096);
    if (!status ||
        status->find("\nPPid:\t" + std::to_string(::getpid()) + "\n") == std::string::npos) {
      continue;
    }
    std::string descriptors;
    for (const std::string& fd : dx::list_folder("/proc/" + name + "/fd")) descriptors += fd + " ";
    CHECK(descriptors == "0 1 2 3 ");
    ++checked;
  }
  CHECK(checked == 2);
}

TEST_CASE("a launcher's words come first, and what it started dies with it") {
  Workers workers;
  workers.folder_.write("param", "");
  const auto launched = workers.start_program({"/usr/bin/env", "DX_TEST=1", DX_TEST_WORKER});
  Frame hello;
  CHECK_FALSE(launched->receive(hello, never));
  CHECK(dx::decode<dx::Hello>(hello));

  const auto parent =
      workers.start_program({"/bin/sh", "-c", "sleep 600 & echo $!; wait"}, {0, milliseconds(300)});
  Frame frame;
  const auto failure = parent->receive(frame, never);
  REQUIRE(failure);
  CHECK(failure->failure.code == FailureCode::kWatchdog);
  const pid_t child = std::atoi(workers.folder_.read("log").c_str());
  REQUIRE(child > 0);
  // Its parent is dead: init, or whoever stands in for it, reaps it.
  const auto is_gone = [child] {
    const auto status = dx::read_file("/proc/" + std::to_string(child) + "/status", 4096);
    return !status || status->find("State:\tZ") != std::string::npos;
  };
  for (int i = 0; i < 200 && !is_gone(); ++i) std::this_thread::sleep_for(milliseconds(50));
  CHECK(is_gone());
}

TEST_CASE("a program that cannot be started is a failure") {
  dx::Watcher watcher;
  const dx::test::TemporaryFolder folder;
  const auto worker = Worker::start({folder.path() + "/none"}, folder.path() + "/log", {}, watcher);
  REQUIRE_FALSE(worker);
  CHECK(worker.failure().phase == Phase::kSpawn);
  CHECK(has_no_children());
}

TEST_CASE("models are found by id, and the dead are remembered") {
  const dx::test::TemporaryFolder folder;
  const dx::WorkFolder work{folder.path()};
  const std::string sha256(64, 'a');
  {
    dx::Models models(work, folder.path(), {"/usr/bin/env"});
    CHECK(models.find_content("param", "../../etc/passwd").failure().code ==
          FailureCode::kInvalidRequest);
    CHECK(models.find_content("param", sha256).failure().code == FailureCode::kMissingFile);
    folder.write("store/" + sha256, "x");
    CHECK(models.find_content("param", sha256));
    CHECK(models.find("m1").failure().code == FailureCode::kUnknownModel);

    const auto worker = models.start_worker(DX_TEST_WORKER, {});
    REQUIRE(worker);
    const std::string id = models.add(worker.value());
    CHECK(models.find(id));
    worker.value()->kill(dx::KillReason::kUnwanted);
    while (!worker.value()->death()) std::this_thread::sleep_for(milliseconds(5));
    for (int look = 0; look < 2; ++look) {
      const auto gone = models.find(id);
      REQUIRE_FALSE(gone);
      CHECK(gone.failure().code == FailureCode::kUnknownModel);
      CHECK(gone.failure().message.find("the model m1 is gone: the worker was ended") == 0);
    }

    const auto large = models.start_worker(DX_TEST_WORKER, {});
    REQUIRE(large);
    const std::string other = models.add(large.value());
    large.value()->kill(dx::KillReason::kMemoryLimit);
    while (!large.value()->death()) std::this_thread::sleep_for(milliseconds(5));
    for (int look = 0; look < 2; ++look) {
      CHECK(models.find(other).failure().code == FailureCode::kMemoryLimit);
    }
  }
  CHECK(has_no_children());
}
