#include "workers/core/options.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "test_facts.h"

using namespace dx;

namespace {

constexpr WorkerFacts kNone{"bare", false, nullptr, 0};

RunOptions with(const std::string& name, const std::string& value) {
  RunOptions options;
  options.named[name] = value;
  return options;
}

// What settling these options is refused with; "" where it is not.
std::string refusal(RunOptions options, const WorkerFacts& facts = test_worker::kFacts) {
  const Status status = settle_options(facts, options);
  if (status) return "";
  CHECK(status.failure().code == FailureCode::kOptionRefused);
  CHECK(status.failure().message.find('\n') == std::string::npos);
  return status.failure().message;
}

}  // namespace

TEST_CASE("options that are given are read by their kinds, and the usual values come along") {
  RunOptions options = with("mode", "exact");
  REQUIRE(settle_options(test_worker::kFacts, options));
  CHECK(text_of(options, "mode") == "exact");
  CHECK(number_of(options, "level") == 2);
  CHECK_FALSE(switch_of(options, "spin"));
  options.named = {{"level", "-1"}, {"spin", "off"}, {"note", "a = b; \"c\""}};
  REQUIRE(settle_options(test_worker::kFacts, options));
  CHECK(number_of(options, "level") == -1);
  CHECK(switch_of(options, "spin") == false);
  CHECK(text_of(options, "note") == "a = b; \"c\"");
  CHECK_FALSE(text_of(options, "mode"));
}

TEST_CASE("a value that an option does not take is refused with what it takes") {
  const std::vector<std::pair<std::string, std::string>> wrong = {{"level", "4"},
                                                                  {"level", "-2"},
                                                                  {"level", "1.5"},
                                                                  {"level", ""},
                                                                  {"level", "1 "},
                                                                  {"level", "0x1"},
                                                                  {"level", "99999999999999999999"},
                                                                  {"mode", "slow"},
                                                                  {"mode", ""},
                                                                  {"mode", "fast|exact"},
                                                                  {"spin", "1"},
                                                                  {"spin", "true"},
                                                                  {"spin", ""},
                                                                  {"note", ""},
                                                                  {"note", std::string(201, 'x')}};
  for (const auto& [name, value] : wrong) {
    CAPTURE(name);
    CAPTURE(value);
    const std::string text = refusal(with(name, value));
    CHECK(text.find("option " + name + " of test: expected ") == 0);
  }
  CHECK(refusal(with("level", "4")).find("a whole number from -1 to 3, got '4'") !=
        std::string::npos);
  CHECK(refusal(with("mode", "slow")).find("one of fast, exact, got 'slow'") != std::string::npos);
  CHECK(refusal(with("spin", "1")).find("on or off, got '1'") != std::string::npos);
}

TEST_CASE("an option that the runtime lacks is refused with those like it") {
  CHECK(refusal(with("moed", "fast")) ==
        "test has no option 'moed'; the nearest are mode, note, level");
  CHECK(refusal(with("", "x")).find("test has no option ''") == 0);
  CHECK(refusal(with("spin\n\x1b[31m", "on")).find("'spin??[31m'") != std::string::npos);
  CHECK(refusal(with("spin", "on"), kNone) == "bare has no option 'spin'; it has none");
  RunOptions many;
  for (int i = 0; i < 65; ++i) many.named["o" + std::to_string(i)] = "on";
  CHECK(refusal(many).find("at most 64 options, got 65") != std::string::npos);
}

TEST_CASE("Hello tells what worker.json says") {
  const std::vector<OptionInfo> infos = option_infos(test_worker::kFacts);
  REQUIRE(infos.size() == 4);
  CHECK(infos[0].name == "level");
  CHECK(infos[0].kind == "number");
  CHECK(infos[0].minimum == -1);
  CHECK(infos[0].maximum == 3);
  CHECK(infos[0].usual == "2");
  CHECK(infos[0].help == "A level with a \"usual\" value.");
  CHECK(infos[1].kind == "choice");
  CHECK(infos[1].values == "fast|exact");
  CHECK(infos[2].kind == "switch");
  CHECK(infos[2].only_runs);
  CHECK_FALSE(infos[3].only_runs);
  CHECK(infos[3].kind == "text");
  CHECK(option_infos(kNone).empty());
}
