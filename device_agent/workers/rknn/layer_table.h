// The table of layer times that Rockchip's library writes as text.
#pragma once

#include <string_view>
#include <vector>

#include "workers/core/runtime.h"

namespace dx {

// The layers of its rows, in their order; lines that are no such rows are passed over. A layer that
// the processor computes has fallen back; the two that bring tensors in and out have no unit.
std::vector<LayerRun> read_layer_table(std::string_view table);

}  // namespace dx
