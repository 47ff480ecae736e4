#include "workers/qnn/cycles.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace dx {
namespace {

constexpr std::string_view kHead =
    "Msg Timestamp,Message,Time,Unit of Measurement,Timing Source,Event Level,Event Identifier";
// Where each event has what; a name behind the last comma may hold commas.
constexpr std::size_t kColumns = 7;
constexpr std::size_t kMessage = 1;
constexpr std::size_t kCount = 2;
constexpr std::size_t kUnit = 3;
constexpr std::size_t kName = 6;
using Columns = std::array<std::string_view, kColumns>;

std::optional<Columns> split(std::string_view line) {
  Columns columns;
  for (std::size_t i = 0; i + 1 < kColumns; ++i) {
    const std::size_t comma = line.find(',');
    if (comma == std::string_view::npos) return std::nullopt;
    columns[i] = line.substr(0, comma);
    line.remove_prefix(comma + 1);
  }
  columns.back() = line;
  return columns;
}

// "/conv/Conv:OpId_23 (cycles)" is "/conv/Conv", "Input OpId_2 (cycles)" is "Input".
std::string node_name(std::string_view text) {
  constexpr std::string_view kEnd = " (cycles)";
  constexpr std::string_view kNumber = "OpId_";
  if (text.size() >= kEnd.size() && text.substr(text.size() - kEnd.size()) == kEnd) {
    text.remove_suffix(kEnd.size());
  }
  const std::size_t at = text.rfind(kNumber);
  const bool is_numbered =
      at != std::string_view::npos && at > 1 && (text[at - 1] == ':' || text[at - 1] == ' ') &&
      text.find_first_not_of("0123456789", at + kNumber.size()) == std::string_view::npos;
  return std::string(is_numbered ? text.substr(0, at - 1) : text);
}

std::optional<NodeCycles> node_of(const Columns& event) {
  NodeCycles node{node_name(event[kName]), 0};
  const char* const end = event[kCount].data() + event[kCount].size();
  const auto [stopped, error] = std::from_chars(event[kCount].data(), end, node.cycles);
  if (error != std::errc() || stopped != end || node.cycles < 0) return std::nullopt;
  return node;
}

// Numbers the nodes of a run's graphs behind its layers, the same in every run.
class Numbers {
 public:
  explicit Numbers(std::uint32_t first) : first_(first) {}

  std::uint32_t of(std::size_t graph, std::size_t node) {
    const auto next = first_ + static_cast<std::uint32_t>(known_.size());
    return known_.try_emplace({graph, node}, next).first->second;
  }

 private:
  std::uint32_t first_;
  std::map<std::pair<std::size_t, std::size_t>, std::uint32_t> known_;
};

bool have_same_nodes(const std::vector<NodeCycles>& one, const std::vector<NodeCycles>& other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](const NodeCycles& a, const NodeCycles& b) { return a.name == b.name; });
}

// Whether there is one graph for each layer of that unit, and a layer's nodes are the same in every
// run.
bool agree(const std::vector<std::vector<NodeCycles>>& graphs, const std::string& unit,
           const std::vector<std::vector<LayerRun>>& runs) {
  std::map<std::uint32_t, const std::vector<NodeCycles>*> known;
  std::size_t next = 0;
  for (const std::vector<LayerRun>& layers : runs) {
    for (const LayerRun& layer : layers) {
      if (layer.unit != unit) continue;
      if (next == graphs.size()) return false;
      const std::vector<NodeCycles>& nodes = graphs[next++];
      if (!have_same_nodes(*known.try_emplace(layer.index, &nodes).first->second, nodes)) {
        return false;
      }
    }
  }
  return next == graphs.size();
}

std::uint32_t first_free(const std::vector<std::vector<LayerRun>>& runs) {
  std::uint32_t first = 0;
  for (const std::vector<LayerRun>& layers : runs) {
    for (const LayerRun& layer : layers) first = std::max(first, layer.index + 1);
  }
  return first;
}

}  // namespace

std::vector<std::vector<NodeCycles>> read_cycles(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::vector<NodeCycles>> graphs;
  std::vector<NodeCycles> nodes;
  std::string line;
  if (!std::getline(file, line) || line != kHead) return {};
  while (std::getline(file, line)) {
    const std::optional<Columns> event = split(line);
    if (!event) return {};
    if ((*event)[kMessage] == "NODE" && (*event)[kUnit] == "CYCLES") {
      std::optional<NodeCycles> node = node_of(*event);
      if (!node) return {};
      nodes.push_back(std::move(*node));
    } else if ((*event)[kMessage] == "EXECUTE") {  // A run is noted after its nodes.
      graphs.push_back(std::move(nodes));
      nodes.clear();
    }
  }
  return nodes.empty() ? graphs : std::vector<std::vector<NodeCycles>>();
}

void add_parts(const std::vector<std::vector<NodeCycles>>& graphs, const std::string& unit,
               std::vector<std::vector<LayerRun>>& runs) {
  if (!agree(graphs, unit, runs)) return;
  Numbers numbers(first_free(runs));
  std::size_t next = 0;
  for (std::vector<LayerRun>& layers : runs) {
    std::vector<LayerRun> whole;
    for (LayerRun& layer : layers) {
      const bool has_parts = layer.unit == unit;
      const std::uint32_t index = layer.index;
      whole.push_back(std::move(layer));
      if (!has_parts) continue;
      const std::vector<NodeCycles>& nodes = graphs[next++];
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        LayerRun part;
        part.index = numbers.of(index, i);
        part.name = nodes[i].name;
        part.unit = unit;
        part.cycles = nodes[i].cycles;
        whole.push_back(std::move(part));
      }
    }
    layers = std::move(whole);
  }
}

void remove_counts(const std::string& path) {
  (void)std::remove(path.c_str());
  // Qualcomm's own form of the same.
  (void)std::remove((path.substr(0, path.rfind('.')) + "_qnn.log").c_str());
}

}  // namespace dx
