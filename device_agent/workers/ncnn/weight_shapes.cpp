// What the sizes of a layer's weights say about its input. The parameter ids and the formulas are
// those of ncnn's own layers (src/layer/*.cpp, load_param and load_model).
#include <array>
#include <cstddef>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "common/text.h"
#include "workers/ncnn/param_file.h"

namespace dx {
namespace {

// A family of convolutions: the rank of its blobs and the ids that it reads.
struct Convolution {
  const char* type;
  std::size_t rank;
  bool grouped;
  int dynamic_weight_id;
};

constexpr std::array<Convolution, 12> kConvolutions = {{
    {"Convolution", 3, false, 19},
    {"ConvolutionDepthWise", 3, true, 19},
    {"Deconvolution", 3, false, 28},
    {"DeconvolutionDepthWise", 3, true, 28},
    {"Convolution1D", 2, false, 19},
    {"ConvolutionDepthWise1D", 2, true, 19},
    {"Deconvolution1D", 2, false, 28},
    {"DeconvolutionDepthWise1D", 2, true, 28},
    {"Convolution3D", 4, false, 19},
    {"ConvolutionDepthWise3D", 4, true, 19},
    {"Deconvolution3D", 4, false, 28},
    {"DeconvolutionDepthWise3D", 4, true, 28},
}};

// Layers that hold one number a channel, with the id that says how many channels.
struct PerChannel {
  const char* type;
  int channels_id;
  std::int64_t smallest;  // smaller values mean something else
};

constexpr std::array<PerChannel, 5> kPerChannel = {{
    {"BatchNorm", 0, 1},
    {"Scale", 0, 1},
    {"Bias", 0, 1},
    {"PReLU", 0, 2},  // 1: one slope for all
    {"GroupNorm", 1, 1},
}};

// Layers over a sequence: gates a cell.
struct Recurrent {
  const char* type;
  std::int64_t gates;
};

constexpr std::array<Recurrent, 3> kRecurrent = {{{"LSTM", 4}, {"GRU", 3}, {"RNN", 1}}};

using Dims = std::vector<std::int64_t>;

std::int64_t product(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1},
                         [](std::int64_t a, std::int64_t b) { return a * b; });
}

std::string expects(const std::string& what, const Dims& dims) {
  return "its weights fit an input of " + what + ", it got " + dims_text(dims);
}

std::optional<std::string> convolution_unfit(const Convolution& kind, const ParamLayer& layer,
                                             const Dims& dims) {
  if (layer.integer(kind.dynamic_weight_id, 0) != 0) return std::nullopt;
  const std::int64_t outputs = layer.integer(0, 0);
  const std::int64_t weights = layer.integer(6, 0);
  const std::int64_t kernel_w = layer.integer(1, 0);
  std::int64_t kernel = kernel_w;
  if (kind.rank >= 3) kernel *= layer.integer(11, kernel_w);
  // Of three 32-bit factors only the first two cannot overflow; ncnn refuses such a kernel itself.
  if (outputs <= 0 || weights <= 0 || kernel <= 0 || kernel > weights) return std::nullopt;
  if (kind.rank >= 4) kernel *= layer.integer(21, kernel_w);
  if (kernel <= 0) return std::nullopt;

  std::int64_t channels = weights / outputs / kernel;
  if (kind.grouped) channels *= layer.integer(7, 1);
  // ncnn takes a flat blob through a 1x1 convolution as through an InnerProduct.
  const bool flat = kind.rank == 3 && dims.size() == 1 && kernel == 1;
  if ((dims.size() == kind.rank || flat) && dims[0] == channels) return std::nullopt;
  return expects(std::to_string(kind.rank) + " axes with " + std::to_string(channels) + " channels",
                 dims);
}

std::optional<std::string> inner_product_unfit(const ParamLayer& layer, const Dims& dims) {
  const std::int64_t outputs = layer.integer(0, 0);
  if (outputs <= 0 || layer.integer(2, 0) <= 0) return std::nullopt;
  const std::int64_t inputs = layer.integer(2, 0) / outputs;
  // Two axes are rows that are multiplied one by one.
  if (product(dims) == inputs || (dims.size() == 2 && dims[1] == inputs)) return std::nullopt;
  return expects(std::to_string(inputs) + " elements", dims);
}

std::optional<std::string> recurrent_unfit(const Recurrent& kind, const ParamLayer& layer,
                                           const Dims& dims) {
  const std::int64_t directions = layer.integer(2, 0) == 2 ? 2 : 1;
  // Only LSTM knows a hidden size of its own.
  const std::int64_t outputs = layer.integer(0, 0);
  const std::int64_t hidden = kind.gates == 4 ? layer.integer(3, outputs) : outputs;
  if (hidden <= 0 || layer.integer(1, 0) <= 0) return std::nullopt;
  const std::int64_t size = layer.integer(1, 0) / directions / hidden / kind.gates;
  if (dims.size() == 2 && dims[1] == size) return std::nullopt;
  return expects("2 axes with rows of " + std::to_string(size), dims);
}

std::optional<std::string> gemm_unfit(const ParamLayer& layer, const Dims& dims) {
  const bool constant_a = layer.integer(4, 0) != 0;
  const bool constant_b = layer.integer(5, 0) != 0;
  const std::int64_t inner = layer.integer(9, 0);
  if (constant_a == constant_b || inner <= 0 || dims.empty()) return std::nullopt;
  // The inner axis is A's last and B's first, unless transposed.
  const bool inner_is_last = constant_b ? layer.integer(2, 0) == 0 : layer.integer(3, 0) != 0;
  const std::int64_t found = inner_is_last || dims.size() == 1 ? dims.back() : dims.front();
  if (found == inner) return std::nullopt;
  return expects("an inner axis of " + std::to_string(inner), dims);
}

}  // namespace

std::optional<std::string> why_unfit(const ParamLayer& layer, const Dims& dims) {
  if (dims.empty()) return std::nullopt;
  for (const Convolution& kind : kConvolutions) {
    if (layer.type == kind.type) return convolution_unfit(kind, layer, dims);
  }
  for (const PerChannel& kind : kPerChannel) {
    if (layer.type != kind.type) continue;
    const std::int64_t channels = layer.integer(kind.channels_id, 0);
    if (channels < kind.smallest || dims[0] == channels) return std::nullopt;
    return expects(std::to_string(channels) + " channels", dims);
  }
  for (const Recurrent& kind : kRecurrent) {
    if (layer.type == kind.type) return recurrent_unfit(kind, layer, dims);
  }
  if (layer.type == "InnerProduct") return inner_product_unfit(layer, dims);
  if (layer.type == "Gemm") return gemm_unfit(layer, dims);
  return std::nullopt;
}

}  // namespace dx
