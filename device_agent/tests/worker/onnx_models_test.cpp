// What the workers of runtimes that read ONNX take beyond float32.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tests/worker/loaded.h"
#include "tests/worker/onnx_writer.h"
#include "tests/worker/tested_onnx.h"

using namespace dx;
using namespace dx::test;

namespace {

// x -> y, handed on.
std::string same(OnnxType type, const OnnxWriter::Dims& dims) {
  OnnxWriter net;
  net.input("x", type, dims);
  net.output("y", type, dims);
  net.node("Identity", "same", {"x"}, {"y"});
  return net.model();
}

// Whole numbers of 64 bits are 0 and 1, as there are runtimes that compute them in 32.
Tensor bytes_of(const std::string& dtype, const std::vector<std::int64_t>& dims,
                std::size_t bytes) {
  const std::size_t step = dtype == "int64" || dtype == "uint64" ? 8 : 1;
  std::string data(bytes, '\0');
  for (std::size_t i = 0; i < bytes; i += step) data[i] = static_cast<char>(i / step % 2);
  return {"x", dtype, dims, data, false};
}

std::vector<std::int64_t> integers_of(const Tensor& tensor) {
  std::vector<std::int64_t> values(tensor.data.size() / sizeof(std::int64_t));
  if (!values.empty()) std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

}  // namespace

TEST_CASE("every element type goes in and comes out as it is") {
  struct Type {
    OnnxType type;
    std::string name;
    std::size_t bytes;
  };
  const std::vector<Type> types = {
      {OnnxType::kBool, "bool", 1},         {OnnxType::kInt8, "int8", 1},
      {OnnxType::kUint8, "uint8", 1},       {OnnxType::kInt16, "int16", 2},
      {OnnxType::kUint16, "uint16", 2},     {OnnxType::kInt32, "int32", 4},
      {OnnxType::kUint32, "uint32", 4},     {OnnxType::kInt64, "int64", 8},
      {OnnxType::kUint64, "uint64", 8},     {OnnxType::kFloat16, "float16", 2},
      {OnnxType::kBfloat16, "bfloat16", 2}, {OnnxType::kFloat, "float32", 4},
      {OnnxType::kDouble, "float64", 8}};
  for (const Type& type : types) {
    CAPTURE(type.name);
    const TemporaryFolder folder;
    const auto model = loaded(load_onnx(folder, same(type.type, {2, 3}), fp32()));
    CHECK(model->info().inputs[0].dtype == type.name);
    CHECK(model->info().outputs[0].dtype == type.name);
    const Tensor given = bytes_of(type.name, {2, 3}, 6 * type.bytes);
    const std::vector<Tensor> found = run_of(*model, {given});
    REQUIRE(found.size() == 1);
    CHECK(found[0].dtype == type.name);
    CHECK(found[0].dims == given.dims);
    CHECK(found[0].data == given.data);
  }
}

TEST_CASE("a single value and eight dims are tensors, too") {
  const TemporaryFolder folder;
  const auto single = loaded(load_onnx(folder, same(OnnxType::kInt64, {}), fp32()));
  CHECK(run_of(*single, {bytes_of("int64", {}, 8)})[0].dims.empty());
  const std::vector<std::int64_t> dims = {1, 2, 1, 2, 1, 2, 1, 2};
  const auto eight = loaded(load_onnx(folder, same(OnnxType::kUint8, dims), fp32()));
  CHECK(run_of(*eight, {bytes_of("uint8", dims, 16)})[0].dims == dims);
}

TEST_CASE("an open axis varies from run to run") {
  const TemporaryFolder folder;
  const auto model = loaded(load_onnx(folder, same(OnnxType::kInt64, {-1, 2}), fp32()));
  REQUIRE(model->info().inputs[0].dims);
  CHECK(*model->info().inputs[0].dims == std::vector<std::int64_t>{-1, 2});
  for (const std::int64_t size : {1, 7, 3, 0}) {
    const Tensor given = bytes_of("int64", {size, 2}, static_cast<std::size_t>(size) * 16);
    const std::vector<Tensor> found = run_of(*model, {given});
    CHECK(found[0].dims == given.dims);
    CHECK(integers_of(found[0]) == integers_of(given));
  }
}

TEST_CASE("a batch runs sample by sample and its outputs are put together") {
  const TemporaryFolder folder;
  const auto model = loaded(load_onnx(folder, same(OnnxType::kFloat, {1, 3}), fp32()));
  Tensor batch = noise("x", {4, 1, 3}, 5);
  batch.batched = true;
  const std::vector<Tensor> found = run_of(*model, {batch});
  CHECK(found[0].batched);
  CHECK(found[0].dims == batch.dims);
  CHECK(found[0].data == batch.data);
}

TEST_CASE("inputs that do not fit are refused with both sides named, and nothing else is lost") {
  const TemporaryFolder folder;
  const auto model = loaded(load_onnx(folder, same(OnnxType::kFloat, {1, -1}), fp32()));
  const auto refused = [&model](const std::vector<Tensor>& inputs, const std::string& text) {
    return fails(model->set_inputs(inputs), FailureCode::kRuntimeRefused, {text});
  };
  CHECK(refused({bytes_of("int64", {1, 2}, 16)}, "takes float32, got int64"));
  CHECK(refused({noise("x", {2, 2}, 1)}, "takes 1x?, got 2x2"));
  CHECK(refused({noise("x", {2}, 1)}, "takes 1x?, got 2"));
  CHECK(refused({noise("z", {1, 2}, 1)}, "input 'x' is missing"));
  CHECK(refused({}, "takes 1 inputs (x), got 0"));
  CHECK(run_of(*model, {noise("x", {1, 5}, 1)})[0].dims == std::vector<std::int64_t>{1, 5});
}

TEST_CASE("models of texts and outputs that are not there are refused by name") {
  const TemporaryFolder folder;
  CHECK(fails(load(load_onnx(folder, same(OnnxType::kText, {2}), fp32())),
              FailureCode::kRuntimeRefused, {"input 'x' is not a tensor of numbers"}));
  Load request = load_onnx(folder, same(OnnxType::kFloat, {2}), fp32());
  request.outputs = {"z"};
  CHECK(fails(load(request), FailureCode::kRuntimeRefused, {"has no tensors z"}));
  request.outputs = {"y"};
  CHECK(loaded(request)->info().outputs.size() == 1);
}

TEST_CASE("tensors inside of the model can be asked for") {
  const TemporaryFolder folder;
  Load request = load_small_net(folder, fp32());
  const Tensor input = noise("in0", {8, 6, 6}, 1);
  const std::vector<Tensor> whole = run_of(*loaded(request), {input});
  request.outputs = {"c", "out0", "f"};
  const std::vector<Tensor> found = run_of(*loaded(request), {input});
  REQUIRE(found.size() == 3);
  CHECK(found[0].name == "c");
  CHECK(found[0].dims == std::vector<std::int64_t>{1, 16, 6, 6});
  CHECK(found[2].dims == std::vector<std::int64_t>{1, 32});
  const std::vector<float> a = floats_of(found[1]);
  const std::vector<float> b = floats_of(whole[0]);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-4));
}
