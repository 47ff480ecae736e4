#include "workers/core/onnx_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

namespace dx {
namespace {

// onnx.proto.
constexpr std::uint64_t kGraph = 7;        // ModelProto
constexpr std::uint64_t kMetadata = 14;    // ModelProto
constexpr std::uint64_t kInitializer = 5;  // GraphProto
constexpr std::uint64_t kInput = 11;       // GraphProto
constexpr std::uint64_t kOutput = 12;      // GraphProto
constexpr std::uint64_t kName = 1;         // ValueInfoProto; the key of a StringStringEntryProto
constexpr std::uint64_t kTensorName = 8;   // TensorProto
constexpr std::uint64_t kValue = 2;        // StringStringEntryProto

// A field of bytes in protobuf's wire format.
std::string field(std::uint64_t number, const std::string& content) {
  std::string bytes(1, static_cast<char>(number << 3 | 2));
  std::size_t length = content.size();
  for (; length > 0x7F; length >>= 7) bytes.push_back(static_cast<char>((length & 0x7F) | 0x80));
  bytes.push_back(static_cast<char>(length));
  return bytes + content;
}

// Goes over the fields of a message; those that are no bytes are passed over.
class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // The next field of bytes; false at the end, and where the message is broken.
  bool next() {
    while (!rest_.empty()) {
      const std::optional<std::uint64_t> tag = varint();
      if (!tag) return false;
      number = *tag >> 3;
      switch (*tag & 7) {
        case 0:
          if (!varint()) return false;
          break;
        case 1:
          if (!take(8)) return false;
          break;
        case 5:
          if (!take(4)) return false;
          break;
        case 2: {
          const std::optional<std::uint64_t> length = varint();
          return length && take(*length);
        }
        default:
          return fail();
      }
    }
    return false;
  }

  bool is_sound() const { return is_sound_; }

  std::uint64_t number = 0;
  std::string_view content;

 private:
  bool fail() {
    is_sound_ = false;
    return false;
  }

  bool take(std::uint64_t length) {
    if (length > rest_.size()) return fail();
    content = rest_.substr(0, static_cast<std::size_t>(length));
    rest_.remove_prefix(static_cast<std::size_t>(length));
    return true;
  }

  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    is_sound_ = false;
    return std::nullopt;
  }

  std::string_view rest_;
  bool is_sound_ = true;
};

// The last field of that number, as protobuf reads it.
std::string text_of(std::string_view message, std::uint64_t number) {
  std::string text;
  for (Fields fields(message); fields.next();) {
    if (fields.number == number) text = std::string(fields.content);
  }
  return text;
}

bool read_graph(std::string_view graph, OnnxNames& names, std::set<std::string>& valued) {
  Fields fields(graph);
  while (fields.next()) {
    if (fields.number == kInput) names.inputs.push_back(text_of(fields.content, kName));
    if (fields.number == kOutput) names.outputs.push_back(text_of(fields.content, kName));
    if (fields.number == kInitializer) valued.insert(text_of(fields.content, kTensorName));
  }
  return fields.is_sound();
}

}  // namespace

// A message that comes twice is one message to a protobuf reader, its lists put together.
std::string with_outputs(std::string model, const std::vector<std::string>& names) {
  std::string outputs;
  for (const std::string& name : names) outputs += field(kOutput, field(kName, name));
  model += field(kGraph, outputs);
  return model;
}

std::string metadata_entry(const std::string& key, const std::string& value) {
  return field(kMetadata, field(kName, key) + field(kValue, value));
}

Result<OnnxNames> read_onnx_names(std::string_view model) {
  OnnxNames names;
  std::set<std::string> valued;
  Fields fields(model);
  bool is_sound = true;
  while (fields.next()) {
    if (fields.number == kGraph) is_sound = read_graph(fields.content, names, valued) && is_sound;
    if (fields.number == kMetadata) {
      names.metadata[text_of(fields.content, kName)] = text_of(fields.content, kValue);
    }
  }
  if (!fields.is_sound() || !is_sound) {
    return Failure{FailureCode::kRuntimeRefused, "the file is damaged: it is no whole ONNX model",
                   Phase::kLoad};
  }
  const auto is_valued = [&valued](const std::string& name) { return valued.count(name) > 0; };
  names.inputs.erase(std::remove_if(names.inputs.begin(), names.inputs.end(), is_valued),
                     names.inputs.end());
  return names;
}

}  // namespace dx
