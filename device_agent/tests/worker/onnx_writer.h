// Writes small ONNX models: as much of the format's protobuf as they need.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace dx::test {

// The numbers of onnx.TensorProto.DataType.
enum class OnnxType : std::uint64_t {
  kFloat = 1,
  kUint8 = 2,
  kInt8 = 3,
  kUint16 = 4,
  kInt16 = 5,
  kInt32 = 6,
  kInt64 = 7,
  kText = 8,
  kBool = 9,
  kFloat16 = 10,
  kDouble = 11,
  kUint32 = 12,
  kUint64 = 13,
  kBfloat16 = 16,
};

class OnnxWriter {
 public:
  using Dims = std::vector<std::int64_t>;
  using Integers = std::vector<std::pair<std::string, std::vector<std::int64_t>>>;

  // An axis of -1 is open.
  void input(const std::string& name, OnnxType type, const Dims& dims);
  void output(const std::string& name, OnnxType type, const Dims& dims);
  // `data` is dense and little-endian.
  void constant(const std::string& name, OnnxType type, const Dims& dims, const std::string& data);
  // `type` is "Name", or "domain::Name" of another domain than ONNX's.
  void node(const std::string& type, const std::string& name,
            const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
            const Integers& attributes = {});

  // The content of the file.
  std::string model() const;

 private:
  std::string graph_;
  std::set<std::string> domains_ = {""};
};

}  // namespace dx::test
