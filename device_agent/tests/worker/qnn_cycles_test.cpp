// The file with what an NPU's nodes took, read, and put behind the layers that they are parts of.
#include <doctest/doctest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/worker/test_model.h"
#include "workers/onnxruntime/profile_file.h"
#include "workers/qnn/cycles.h"

using namespace dx;
using namespace dx::test;

namespace {

using Graphs = std::vector<std::vector<NodeCycles>>;
using Runs = std::vector<std::vector<LayerRun>>;

const std::string kHead =
    "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier\n";

std::string node(const std::string& identifier, const std::string& cycles) {
  return "0,NODE," + cycles + ",CYCLES,BACKEND,SUB-EVENT," + identifier + " (cycles)\n";
}

// Of a run with these nodes, with all that stands around them.
std::string graph(const std::string& nodes) {
  return "0,BACKEND,0,COUNT,BACKEND,ROOT,Number of HVX threads used\n"
         "0,BACKEND,99,CYCLES,BACKEND,ROOT,Accelerator (execute) time (cycles)\n" +
         nodes +
         "0,BACKEND,38281,US,BACKEND,ROOT,Accelerator (execute) time\n"
         "0,EXECUTE,38489,US,BACKEND,ROOT,QNN (execute) time\n";
}

const std::string kFinalized =
    "0,FINALIZE,93575,US,BACKEND,ROOT,QNN (finalize) time\n"
    "0,UNKNOWN,647,US,BACKEND,SUB-EVENT,Graph Preparation Initializing\n";

Graphs read(const std::string& text) {
  const TemporaryFolder folder;
  return read_cycles(folder.write("times.csv", text));
}

LayerRun layer(std::uint32_t index, const std::string& name, const std::string& unit) {
  LayerRun made;
  made.index = index;
  made.name = name;
  made.unit = unit;
  made.ns = 7;
  return made;
}

std::vector<std::string> names_of(const std::vector<LayerRun>& layers) {
  std::vector<std::string> names;
  for (const LayerRun& each : layers) names.push_back(each.name);
  return names;
}

}  // namespace

TEST_CASE("nodes have their names without numbers, and their cycles") {
  const std::string nodes = node("Input OpId_2", "3416") + node("/a, b/Conv_token_1:OpId_23", "0") +
                            node("odd:OpId_", "1") + node("Op:OpId_1x", "2");
  const Graphs graphs = read(kHead + kFinalized + graph(nodes) + graph(node("c:OpId_1", "5")));
  REQUIRE(graphs.size() == 2);
  REQUIRE(graphs[0].size() == 4);
  CHECK(graphs[0][0].name == "Input");
  CHECK(graphs[0][0].cycles == 3416);
  CHECK(graphs[0][1].name == "/a, b/Conv_token_1");
  CHECK(graphs[0][1].cycles == 0);
  CHECK(graphs[0][2].name == "odd");
  CHECK(graphs[0][3].name == "Op:OpId_1x");
  CHECK(graphs[1][0].cycles == 5);
}

TEST_CASE("a file of another form tells nothing") {
  CHECK(read_cycles("/nowhere").empty());
  CHECK(read("").empty());
  CHECK(read("Time," + kHead + graph(node("c:OpId_1", "5"))).empty());
  const std::string whole = kHead + graph(node("c:OpId_1", "5"));
  REQUIRE(read(whole).size() == 1);
  CHECK(read(whole + node("c:OpId_1", "5")).empty());  // A run that did not end.
  CHECK(read(whole + "half a li").empty());
  for (const std::string cycles : {"", "-1", "5.5", "many", "99999999999999999999"}) {
    CHECK(read(kHead + graph(node("c:OpId_1", cycles))).empty());
  }
}

TEST_CASE("parts stand behind their layer, with numbers of their own") {
  const std::vector<NodeCycles> first{{"a", 1}, {"b", 2}};
  const std::vector<NodeCycles> second{{"a", 5}};
  Runs runs(2, {layer(0, "one", "NPU"), layer(4, "cpu", "CPU"), layer(1, "two", "NPU")});
  add_parts({first, second, first, second}, "NPU", runs);
  for (const std::vector<LayerRun>& layers : runs) {
    CHECK(names_of(layers) == std::vector<std::string>{"one", "a", "b", "cpu", "two", "a"});
    CHECK(layers[1].cycles == 1);
    CHECK(layers[1].ns == 0);
    CHECK(layers[1].unit == "NPU");
    CHECK_FALSE(layers[1].computes);
    CHECK(layers[5].cycles == 5);
    CHECK_FALSE(layers[3].cycles);
    CHECK(layers[1].index == 5);
    CHECK(layers[2].index == 6);
    CHECK(layers[5].index == 7);
  }
  // A batch's samples are summed up.
  runs = join_samples(runs, 2);
  REQUIRE(runs.size() == 1);
  CHECK(runs[0][2].cycles == 4);
  CHECK(runs[0][0].ns == 14);
}

TEST_CASE("counts that do not fit the runs add nothing") {
  const Runs before(2, {layer(0, "one", "NPU"), layer(1, "cpu", "CPU")});
  const std::vector<NodeCycles> nodes{{"a", 1}};
  const std::vector<NodeCycles> others{{"b", 1}};
  const std::vector<Graphs> wrong{{}, {nodes}, {nodes, nodes, nodes}, {nodes, others}};
  for (const Graphs& graphs : wrong) {
    Runs runs = before;
    add_parts(graphs, "NPU", runs);
    for (const std::vector<LayerRun>& layers : runs) {
      CHECK(names_of(layers) == std::vector<std::string>{"one", "cpu"});
    }
  }
}

TEST_CASE("both files of counts are removed") {
  const TemporaryFolder folder;
  const std::string table = folder.write("layer-times.csv", "");
  const std::string own = folder.write("layer-times_qnn.log", "");
  remove_counts(table);
  CHECK(access(table.c_str(), F_OK) != 0);
  CHECK(access(own.c_str(), F_OK) != 0);
  remove_counts(table);  // Nothing is there any more.
}
