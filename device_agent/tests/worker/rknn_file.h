// Files for the library that stands in for Rockchip's: the head and the description of an .rknn,
// with an ONNX model between them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace dx::test {

inline std::string rknn_file(const std::string& onnx, const std::string& toolkit = "2.5.0",
                             const std::string& chip = "rk3588") {
  const auto number = [](std::uint64_t value) {
    std::string bytes(sizeof value, '\0');
    std::memcpy(bytes.data(), &value, sizeof value);
    return bytes;
  };
  const std::string facts =
      R"({"name":"rknn model","target_platform":[")" + chip + R"("],"version":")" + toolkit + "\"}";
  std::string head = std::string("RKNN\0\0\0\0", 8) + number(6) + number(onnx.size());
  head.resize(64);
  return head + onnx + number(facts.size()) + facts;
}

}  // namespace dx::test
