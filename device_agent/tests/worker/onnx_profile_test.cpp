// The file with ONNX Runtime's times, read.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "tests/worker/test_model.h"
#include "workers/core/json.h"
#include "workers/onnxruntime/profile_file.h"

using namespace dx;
using namespace dx::test;

namespace {

using Runs = std::vector<std::vector<LayerRun>>;

std::string event(const std::string& kind, const std::string& name, int start, int ticks,
                  const std::string& arguments) {
  return R"({"cat" : ")" + kind + R"(","pid" :7,"tid" :7,"dur" :)" + std::to_string(ticks) +
         R"(,"ts" :)" + std::to_string(start) + R"(,"ph" : "X","name" :")" + name +
         R"(","args" : )" + arguments + "},\n";
}

std::string node(const std::string& name, const std::string& type, int start, int ticks,
                 const std::string& shape = R"({"float":[1,16,8,8]})") {
  return event("Node", name + "_kernel_time", start, ticks,
               R"({"op_name" : ")" + type + R"(","node_index" : "3","output_type_shape" : [)" +
                   shape + R"(],"thread_scheduling_stats" : {"core": -1}})");
}

std::string end_of_run(int start, int ticks) {
  return event("Session", "model_run", start, ticks, "{}");
}

Runs read(const std::string& events) {
  const TemporaryFolder folder;
  return read_profile(folder.write("times.json", "[\n" + events + "]\n"));
}

}  // namespace

TEST_CASE("what another device than the processor computes in is not told") {
  const std::string rest = R"(,"output_type_shape" : [{"float":[1,4]}]})";
  const auto on = [&rest](const std::string& provider) {
    return event("Node", provider + "_kernel_time", 10, 5,
                 R"({"op_name" : "Conv","provider" : ")" + provider + "\"" + rest);
  };
  const Runs runs =
      read(on("CPUExecutionProvider") + on("QNNExecutionProvider") + end_of_run(9, 20));
  REQUIRE(runs.size() == 1);
  CHECK(runs[0][0].precision == "fp32");
  CHECK(runs[0][1].precision.empty());
  CHECK_FALSE(runs[0][1].computes);
  CHECK(runs[0][1].ns == 5000);
}

TEST_CASE("a run's layers have name, type, shape, precision and time") {
  const Runs runs = read(
      event("Session", "session_initialization", 0, 9, "{}") + node("a", "Conv", 10, 5) +
      node("b", "QLinearConv", 16, 4, R"({"uint8":[1,4]})") +
      node("c", "Reshape", 21, 1, R"({"float":[4]})") + node("d", "Add", 23, 2, R"({"int64":[]})") +
      node("e", "Softmax", 26, 2, R"({"float16":[1,4]})") + end_of_run(9, 20) +
      node("a", "Conv", 40, 6) + end_of_run(39, 9));
  REQUIRE(runs.size() == 2);
  REQUIRE(runs[0].size() == 5);
  const LayerRun& conv = runs[0][0];
  CHECK(conv.name == "a");
  CHECK(conv.type == "Conv");
  CHECK(conv.dims == std::vector<std::int64_t>{1, 16, 8, 8});
  CHECK(conv.precision == "fp32");
  CHECK(conv.element_bits == 32);
  CHECK(conv.computes);
  CHECK(conv.ns == 5000);
  CHECK(runs[0][1].precision == "int8");
  CHECK_FALSE(runs[0][2].computes);
  // Whole numbers are counted among no precision.
  CHECK_FALSE(runs[0][3].computes);
  CHECK(runs[0][4].precision == "fp16");
  // The same node in the next run.
  REQUIRE(runs[1].size() == 1);
  CHECK(runs[1][0].index == conv.index);
  CHECK(runs[0][1].index != conv.index);
}

TEST_CASE("the time of a loop is without that of the nodes inside of it") {
  // Nodes are noted when they end, so those inside come first.
  const Runs runs =
      read(node("i", "Add", 12, 3) + node("i", "Add", 16, 3) + node("loop", "Loop", 10, 20) +
           node("after", "Mul", 31, 2) + end_of_run(9, 30));
  REQUIRE(runs.size() == 1);
  REQUIRE(runs[0].size() == 4);
  CHECK(runs[0][0].name == "loop");
  CHECK(runs[0][0].ns == 14000);
  CHECK(runs[0][1].index == runs[0][2].index);
  CHECK(runs[0][3].ns == 2000);
}

TEST_CASE("names hold what they like") {
  const std::string odd = "a\"b\\c\nd\",\"args\" : {";
  const Runs runs = read(node(odd, "Conv", 1, 2) + end_of_run(0, 9));
  REQUIRE(runs.size() == 1);
  REQUIRE(runs[0].size() == 1);
  CHECK(runs[0][0].name == odd);
}

TEST_CASE("what is not understood tells nothing") {
  CHECK(read_profile("/nowhere").empty());
  const std::string whole = node("a", "Conv", 10, 5) + end_of_run(9, 20);
  REQUIRE(read(whole).size() == 1);
  for (std::size_t length = 1; length + 1 < whole.size(); length += 7) {
    const Runs runs = read(whole.substr(0, length));
    CHECK(runs.empty());
  }
  CHECK(read("{\"cat\" : \"Node\"}},\n").empty());
}

TEST_CASE("the runs of a batch's samples are added up, and the first can be left out") {
  const std::string one = node("a", "Conv", 1, 2) + end_of_run(0, 5);
  Runs runs = join_samples(read(one + one + one + one), 2);
  REQUIRE(runs.size() == 2);
  REQUIRE(runs[0].size() == 1);
  CHECK(runs[0][0].ns == 4000);
  runs = without_first(std::move(runs));
  CHECK(runs.size() == 1);
  CHECK(without_first({}).empty());
}

TEST_CASE("JSON is read as far as it goes") {
  const auto value = parse_json(R"( {"a" : [1, {"b":"x\"y"}], "c":-2.5e3} )");
  REQUIRE(value);
  REQUIRE(value->member("a") != nullptr);
  CHECK(value->member("a")->items[0].text == "1");
  CHECK(value->member("a")->items[1].member("b")->text == "x\"y");
  CHECK(value->member("c")->text == "-2.5e3");
  CHECK(value->member("d") == nullptr);
  for (const char* text : {"", "{", "[1,", "{\"a\"}", "\"open", "{} {}", "nothing", "[1 2]"}) {
    CHECK_FALSE(parse_json(text));
  }
  CHECK_FALSE(parse_json(std::string(100000, '[')));
}
