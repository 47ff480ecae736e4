// What ncnn's text .param says about a graph. ncnn parses it itself; this second look is for the
// reasons that its return codes do not carry, and for the shapes that the layers' weights imply.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"

namespace dx {

struct ParamLayer {
  std::string type;
  std::string name;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::map<int, std::int64_t> integers;  // only the parameters that are single integers

  std::int64_t integer(int key, std::int64_t otherwise) const {
    const auto found = integers.find(key);
    return found == integers.end() ? otherwise : found->second;
  }
};

// In the file's order, which is the order of ncnn::Net::layers().
struct ParamFile {
  std::vector<ParamLayer> layers;
};

// Fails with the reason: unreadable, not a .param, cut off, a layer type that `knows_layer_type`
// does not know, or a blob that two layers consume (ncnn wants a Split and would crash).
Result<ParamFile> read_param_file(const std::string& path,
                                  bool (*knows_layer_type)(const std::string& type));

// The dims of an Input layer, slowest axis first; empty where the file does not say.
std::vector<std::int64_t> declared_dims(const ParamLayer& input);

// Why a blob of these dims (slowest axis first) cannot be the layer's first input, as its weights
// have another size; ncnn would read beyond them or compute nonsense. Empty where nothing speaks
// against it.
std::optional<std::string> why_unfit(const ParamLayer& layer,
                                     const std::vector<std::int64_t>& dims);

}  // namespace dx
