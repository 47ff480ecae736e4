// Tensors inside a model as outputs of it.
#pragma once

#include <string>
#include <vector>

namespace dx {

// The content of an ONNX file, with these tensors of its graph among its outputs. Their types are
// left to whoever loads it.
std::string with_outputs(std::string model, const std::vector<std::string>& names);

}  // namespace dx
