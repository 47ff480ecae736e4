#include "common/tensors.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <string>
#include <vector>

using namespace dx;

namespace {

Tensor of(const std::string& dtype, const std::vector<std::int64_t>& dims, std::size_t bytes) {
  return {"in0", dtype, dims, std::string(bytes, 'x'), false};
}

bool refused(const Tensor& tensor, const std::string& text) {
  const Status status = check_tensor(tensor);
  if (status) return false;
  CAPTURE(status.failure().message);
  CHECK(status.failure().code == FailureCode::kRuntimeRefused);
  return status.failure().message.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("every element type has its size, and others have none") {
  const std::vector<std::pair<std::string, std::size_t>> sizes = {
      {"bool", 1},    {"int8", 1},    {"uint8", 1},   {"int16", 2},  {"uint16", 2},
      {"int32", 4},   {"uint32", 4},  {"int64", 8},   {"uint64", 8}, {"float16", 2},
      {"float32", 4}, {"float64", 8}, {"bfloat16", 2}};
  for (const auto& [name, size] : sizes) {
    CHECK(element_bytes(name) == size);
    CHECK(tensor_bytes(name, {2, 3, 4}) == 24 * size);
    CHECK(tensor_bytes(name, {}) == size);
    CHECK(check_tensor(of(name, {2, 3}, 6 * size)));
    CHECK(refused(of(name, {2, 3}, 6 * size - 1), std::to_string(6 * size) + " bytes"));
  }
  CHECK_FALSE(element_bytes("string"));
  CHECK_FALSE(tensor_bytes("float", {1}));
  CHECK(refused(of("complex64", {1}, 8), "'complex64'"));
}

TEST_CASE("a tensor's bytes are counted without overflow") {
  CHECK(tensor_bytes("float32", {1 << 28}) == std::size_t{1} << 30);
  CHECK_FALSE(tensor_bytes("float32", {(1 << 28) + 1}));
  CHECK_FALSE(tensor_bytes("int8", {std::int64_t{1} << 62, 4, 4}));
  CHECK_FALSE(tensor_bytes("int8", {std::int64_t{1} << 32, std::int64_t{1} << 32}));
  CHECK_FALSE(tensor_bytes("float32", {-1}));
  CHECK_FALSE(tensor_bytes("float32", {0, -1}));
  CHECK(tensor_bytes("float32", {2, 0}) == std::size_t{0});
  CHECK(tensor_bytes("float32", {std::int64_t{1} << 62, 0, std::int64_t{1} << 62}) ==
        std::size_t{0});
}

TEST_CASE("a tensor has at most eight dims, and a batch one more") {
  CHECK(check_tensor(of("uint8", {1, 1, 1, 1, 1, 1, 1, 2}, 2)));
  Tensor nine = of("uint8", {3, 1, 1, 1, 1, 1, 1, 1, 2}, 6);
  CHECK(refused(nine, "at most 8 dims, got 9"));
  nine.batched = true;
  CHECK(check_tensor(nine));
}
