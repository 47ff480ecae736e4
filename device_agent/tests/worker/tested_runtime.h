// The runtime that a test program is of, and the same small models for each of them: what is
// promised of every worker is tested with these alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "tests/worker/test_model.h"
#include "workers/core/runtime.h"

namespace dx::test {

std::unique_ptr<Runtime> tested_runtime();

// in0 [3] -> out0 [2] = {{1, 2, 3}, {4, 5, 6}} in0 + {10, 20}
Load load_affine(const TemporaryFolder& folder, const RunOptions& options = {});

// in0 [3], state [3] -> out0 [3] = in0 + state / 2
Load load_recurrent(const TemporaryFolder& folder, const RunOptions& options = {});

// in0 [8, 6, 6] -> convolution to 16 channels -> ReLU beside a depthwise convolution -> joined
//   -> global average -> a matrix to 10 -> out0; seeded weights
Load load_small_net(const TemporaryFolder& folder, const RunOptions& options = {});

// The small net, cut in the middle of its weights.
Load load_cut_net(const TemporaryFolder& folder, const RunOptions& options = {});

struct Expected {
  std::string wrong_dims;                // a part of the refusal of in0 [7, 6, 6]
  std::string cut;                       // a part of the refusal of the cut net
  std::string wrong_option;              // NAME=VALUE with a value that the option does not take
  std::size_t computing_layers = 0;      // of the small net; the others only move data
  std::vector<std::string> layer_names;  // in the order of a profile; none where fusion decides
  std::uint32_t element_bits = 32;       // of each layer's output; 0: the runtime tells no shapes
  bool fuses = false;                    // there may be more or less, as the processor has it
};
Expected expected();

}  // namespace dx::test
