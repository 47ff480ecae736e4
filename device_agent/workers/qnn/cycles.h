// The file that QNN's provider writes what an NPU's nodes took into, one event a line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "workers/core/runtime.h"

namespace dx {

// A node of the NPU's graph in one run of it.
struct NodeCycles {
  std::string name;  // as the provider made it of the model's node, without its number
  std::int64_t cycles = 0;
};

// The nodes of each run of a graph, in the order of the runs. Nothing where the file cannot be
// read, or a line of it is not understood.
std::vector<std::vector<NodeCycles>> read_cycles(const std::string& path);

// Puts behind each layer that ran on `unit` the nodes of the next of `graphs`. Does nothing where
// these are more or fewer, or a layer's nodes are others in another run.
void add_parts(const std::vector<std::vector<NodeCycles>>& graphs, const std::string& unit,
               std::vector<std::vector<LayerRun>>& runs);

// Removes the file and what the provider writes beside it.
void remove_counts(const std::string& path);

}  // namespace dx
