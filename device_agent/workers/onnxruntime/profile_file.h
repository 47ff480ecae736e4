// The file that ONNX Runtime writes its times into, one event a line.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "workers/core/runtime.h"

namespace dx {

// The layers of every run, each with its provider by ONNX Runtime's name as the unit, in the order
// in which they ran, after fusion. The time of a node that runs a graph of its own (If, Loop, Scan)
// is without that of the nodes inside, which are layers themselves. Nothing where the file cannot
// be read, or a line of it is not understood.
std::vector<std::vector<LayerRun>> read_profile(const std::string& path);

// One list for each `samples` runs in a row, whose times are added up.
std::vector<std::vector<LayerRun>> join_samples(std::vector<std::vector<LayerRun>> runs,
                                                std::size_t samples);

// All but the first.
std::vector<std::vector<LayerRun>> without_first(std::vector<std::vector<LayerRun>> runs);

}  // namespace dx
