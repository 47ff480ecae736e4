// The little that workers look up in an ONNX file, or add to it, by themselves.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dx {

// The content of an ONNX file, with these tensors of its graph among its outputs. Their types are
// left to whoever loads it.
std::string with_outputs(std::string model, const std::vector<std::string>& names);

// What adds an entry to the metadata of an ONNX file, at the end of its content.
std::string metadata_entry(const std::string& key, const std::string& value);

struct OnnxNames {
  std::vector<std::string> inputs;  // without those that have a value in the file
  std::vector<std::string> outputs;
  std::map<std::string, std::string> metadata;
};

// Fails where it is not a message of protobuf.
Result<OnnxNames> read_onnx_names(std::string_view model);

}  // namespace dx
