#include "workers/onnxruntime/inner_outputs.h"

#include <cstddef>

namespace dx {
namespace {

// onnx.proto: ModelProto.graph, GraphProto.output and ValueInfoProto.name.
constexpr int kGraph = 7;
constexpr int kOutput = 12;
constexpr int kName = 1;

// A field of bytes in protobuf's wire format.
std::string field(int number, const std::string& content) {
  std::string bytes(1, static_cast<char>(number << 3 | 2));
  std::size_t length = content.size();
  for (; length > 0x7F; length >>= 7) bytes.push_back(static_cast<char>((length & 0x7F) | 0x80));
  bytes.push_back(static_cast<char>(length));
  return bytes + content;
}

}  // namespace

// A message that comes twice is one message to a protobuf reader, its lists put together.
std::string with_outputs(std::string model, const std::vector<std::string>& names) {
  std::string outputs;
  for (const std::string& name : names) outputs += field(kOutput, field(kName, name));
  model += field(kGraph, outputs);
  return model;
}

}  // namespace dx
