#include "tests/worker/onnx_writer.h"

namespace dx::test {
namespace {

// Protobuf's wire format.
std::string varint(std::uint64_t value) {
  std::string bytes;
  while (value > 0x7F) {
    bytes.push_back(static_cast<char>((value & 0x7F) | 0x80));
    value >>= 7;
  }
  bytes.push_back(static_cast<char>(value));
  return bytes;
}

std::string number(int field, std::uint64_t value) {
  return varint(static_cast<std::uint64_t>(field) << 3) + varint(value);
}

std::string bytes(int field, const std::string& content) {
  return varint(static_cast<std::uint64_t>(field) << 3 | 2) + varint(content.size()) + content;
}

// A ValueInfoProto.
std::string value_info(const std::string& name, OnnxType type, const OnnxWriter::Dims& dims) {
  std::string shape;
  for (const std::int64_t dim : dims) {
    const bool is_open = dim < 0;
    shape += bytes(1, is_open ? bytes(2, "n") : number(1, static_cast<std::uint64_t>(dim)));
  }
  const std::string tensor = number(1, static_cast<std::uint64_t>(type)) + bytes(2, shape);
  return bytes(1, name) + bytes(2, bytes(1, tensor));
}

}  // namespace

void OnnxWriter::input(const std::string& name, OnnxType type, const Dims& dims) {
  graph_ += bytes(11, value_info(name, type, dims));
}

void OnnxWriter::output(const std::string& name, OnnxType type, const Dims& dims) {
  graph_ += bytes(12, value_info(name, type, dims));
}

void OnnxWriter::constant(const std::string& name, OnnxType type, const Dims& dims,
                          const std::string& data) {
  std::string tensor;
  for (const std::int64_t dim : dims) tensor += number(1, static_cast<std::uint64_t>(dim));
  tensor += number(2, static_cast<std::uint64_t>(type)) + bytes(8, name) + bytes(9, data);
  graph_ += bytes(5, tensor);
}

void OnnxWriter::node(const std::string& type, const std::string& name,
                      const std::vector<std::string>& inputs,
                      const std::vector<std::string>& outputs, const Integers& attributes) {
  constexpr std::uint64_t kInt = 2;
  constexpr std::uint64_t kInts = 7;
  std::string node;
  for (const std::string& input : inputs) node += bytes(1, input);
  for (const std::string& output : outputs) node += bytes(2, output);
  const std::size_t colons = type.find("::");
  const std::string domain = colons == std::string::npos ? "" : type.substr(0, colons);
  domains_.insert(domain);
  node += bytes(3, name) + bytes(4, domain.empty() ? type : type.substr(colons + 2));
  node += bytes(7, domain);
  for (const auto& [key, values] : attributes) {
    std::string attribute = bytes(1, key);
    const bool is_single = key == "group" || key == "axis" || key == "to" || key == "transB";
    for (const std::int64_t value : values) {
      attribute += number(is_single ? 3 : 8, static_cast<std::uint64_t>(value));
    }
    attribute += number(20, is_single ? kInt : kInts);
    node += bytes(5, attribute);
  }
  graph_ += bytes(1, node);
}

std::string OnnxWriter::model() const {
  constexpr std::uint64_t kIrVersion = 8;
  constexpr std::uint64_t kOpset = 13;
  std::string opsets;
  for (const std::string& domain : domains_) {
    opsets += bytes(8, bytes(1, domain) + number(2, domain.empty() ? kOpset : 1));
  }
  return number(1, kIrVersion) + bytes(7, graph_ + bytes(2, "test")) + opsets;
}

}  // namespace dx::test
