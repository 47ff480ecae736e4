// Damaged model files, each in a process of its own, as the agent would load them.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <random>
#include <string>

#include "tests/worker/test_model.h"
#include "tests/worker/worker_process.h"

using namespace dx;
using namespace dx::test;

namespace {

// How a worker took a damaged model.
enum class End { kRefused, kRan, kDied };

std::optional<Frame> next_answer(WorkerProcess& worker) {
  for (;;) {
    Result<std::optional<Frame>> frame = read_frame(worker.socket());
    // A worker that died may leave half a message: an end like any other.
    if (!frame || !frame.value()) return std::nullopt;
    if (frame.value()->kind != static_cast<std::uint16_t>(MessageKind::kPhaseChange)) {
      return std::move(*frame.value());
    }
  }
}

// Loads the files and runs them; a failure must carry a code and one line of text.
End try_files(const Files& files) {
  const TemporaryFolder folder;
  WorkerProcess worker;
  worker.expect<Hello>();
  RunOptions options;
  options.threads = 1;
  worker.send(load_of(folder, files, options));
  std::optional<Frame> answer = next_answer(worker);
  if (answer && decode<Loaded>(*answer)) {
    worker.send(Run{1, {noise("in0", {8, 6, 6}, 1)}});
    answer = next_answer(worker);
    if (answer && decode<Outputs>(*answer)) return End::kRan;
  }
  if (!answer) {
    CHECK(worker.wait() != 0);
    return End::kDied;
  }
  const Result<FailureReply> failure = decode<FailureReply>(*answer);
  REQUIRE(failure);
  CHECK(failure.value().code != FailureCode::kUnspecified);
  CHECK_FALSE(failure.value().message.empty());
  CHECK(failure.value().message.find('\n') == std::string::npos);
  return End::kRefused;
}

class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  std::size_t below(std::size_t limit) {
    return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
  }

  // What the middle of a graph may become: another digit, a lost or doubled piece, a cut.
  std::string damaged(std::string text) {
    const std::size_t at = below(text.size());
    switch (below(5)) {
      case 0:
        text[at] = static_cast<char>('0' + below(10));
        break;
      case 1:
        text[at] = static_cast<char>(below(256));
        break;
      case 2:
        text.erase(at, 1 + below(5));
        break;
      case 3:
        text.insert(at, text.substr(at, 1 + below(10)));
        break;
      default:
        text.resize(at);
    }
    return text;
  }

 private:
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("the undamaged model runs") { CHECK(try_files(small_net()) == End::kRan); }

TEST_CASE("a damaged .param is refused, or ncnn dies of it alone") {
  Mutator mutator(1);
  const Files whole = small_net();
  int ends[3] = {};
  for (int i = 0; i < 250; ++i) {
    ++ends[static_cast<int>(try_files({mutator.damaged(whole.param), whole.bin}))];
  }
  MESSAGE("refused " << ends[0] << ", ran all the same " << ends[1] << ", died " << ends[2]);
  CHECK(ends[0] > 100);
  CHECK(ends[2] <= 12);
}

TEST_CASE("a .bin with flipped bits has other numbers and kills nobody") {
  Mutator mutator(2);
  const Files whole = small_net();
  int ends[3] = {};
  for (int i = 0; i < 50; ++i) {
    Files flipped = whole;
    char& byte = flipped.bin[mutator.below(flipped.bin.size())];
    byte = static_cast<char>(byte ^ (1 << mutator.below(8)));
    ++ends[static_cast<int>(try_files(flipped))];
  }
  CHECK(ends[2] == 0);
  CHECK(ends[1] >= 45);  // a flip in a tag makes another format of the weights, of another length
}
