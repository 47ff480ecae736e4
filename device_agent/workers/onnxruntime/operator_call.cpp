#include "workers/onnxruntime/operator_call.h"

#include <algorithm>
#include <new>
#include <thread>

#include "operators/guarded_rounds.h"

namespace dx {
namespace {

constexpr int kMostThreads = 64;
constexpr int kMatMulOpset = 13;
constexpr std::int64_t kLargestWhole = std::int64_t{1} << 24;

// Whether it went well; what it said is dropped.
bool went_well(const OrtApi& api, OrtStatus* status) {
  if (status == nullptr) return true;
  api.ReleaseStatus(status);
  return false;
}

// False where floats do not hold a value exactly.
template <class T>
bool to_floats(const void* from, std::size_t count, float* to) {
  const T* const values = static_cast<const T*>(from);
  bool exact = true;
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = static_cast<std::int64_t>(values[i]);
    exact = exact && value >= -kLargestWhole && value <= kLargestWhole;
    to[i] = static_cast<float>(value);
  }
  return exact;
}

template <class T>
void from_floats(const float* from, std::size_t count, void* to) {
  T* const values = static_cast<T*>(to);
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>(from[i]);
}

}  // namespace

OrtProduct::OrtProduct(const OrtApi& api, const OrtKernelInfo* info) : api_(api) {
  const char* name = "T";
  const ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
  (void)went_well(
      api, api.CreateOp(info, "MatMul", "", kMatMulOpset, &name, &type, 1, nullptr, 0, 2, 1, &op_));
  (void)went_well(api, api.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory_));
}

OrtProduct::~OrtProduct() {
  if (op_ != nullptr) api_.ReleaseOp(op_);
  if (memory_ != nullptr) api_.ReleaseMemoryInfo(memory_);
}

bool OrtProduct::multiply(const OrtKernelContext* context, const float* a, const float* b,
                          float* result, std::int64_t m, std::int64_t n, std::int64_t k) const {
  if (op_ == nullptr || memory_ == nullptr) return false;
  const auto matrix = [this](const float* data, std::int64_t rows, std::int64_t columns,
                             OrtValue** value) {
    const std::int64_t dims[] = {rows, columns};
    const auto bytes = static_cast<std::size_t>(rows * columns) * sizeof(float);
    return went_well(
        api_, api_.CreateTensorWithDataAsOrtValue(memory_, const_cast<float*>(data), bytes, dims, 2,
                                                  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, value));
  };
  OrtValue* values[3] = {};
  const bool made = matrix(a, m, k, &values[0]) && matrix(b, k, n, &values[1]) &&
                    matrix(result, m, n, &values[2]);
  const bool done = made && went_well(api_, api_.InvokeOp(context, op_, values, 2, values + 2, 1));
  for (OrtValue* const value : values) {
    if (value != nullptr) api_.ReleaseValue(value);
  }
  return done;
}

OrtCall::OrtCall(const OrtApi& api, OrtKernelContext* context, const op::OperatorFacts& facts,
                 const OrtProduct& product)
    : api_(api), context_(context), facts_(facts), product_(product) {}

const char* OrtCall::take() {
  inputs_.resize(facts_.input_count);
  there_.assign(facts_.input_count, false);
  outputs_.resize(facts_.output_count);
  std::size_t given = 0;
  if (!went_well(api_, api_.KernelContext_GetInputCount(context_, &given))) {
    return "ONNX Runtime does not tell its inputs";
  }
  for (std::size_t i = 0; i < std::min(given, facts_.input_count); ++i) {
    const OrtValue* value = nullptr;
    if (!went_well(api_, api_.KernelContext_GetInput(context_, i, &value))) {
      return "ONNX Runtime does not give its inputs";
    }
    if (value == nullptr) continue;
    if (const char* complaint = take_input(i, value)) return complaint;
  }
  return nullptr;
}

const char* OrtCall::take_input(std::size_t place, const OrtValue* value) {
  OrtTensorTypeAndShapeInfo* info = nullptr;
  if (!went_well(api_, api_.GetTensorTypeAndShape(value, &info))) return "an input is no tensor";
  std::size_t rank = 0;
  bool known = went_well(api_, api_.GetDimensionsCount(info, &rank));
  op::Shape& shape = inputs_[place].shape;
  shape.resize(rank);
  known = known && went_well(api_, api_.GetDimensions(info, shape.data(), rank));
  api_.ReleaseTensorTypeAndShapeInfo(info);
  void* data = nullptr;
  // It is only read from.
  known = known && went_well(api_, api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  if (!known) return "ONNX Runtime does not give its inputs";
  there_[place] = true;
  const op::Element element = facts_.inputs[place].element;
  if (element == op::Element::kFloat) {
    inputs_[place].data = static_cast<const float*>(data);
    return nullptr;
  }
  const auto count = static_cast<std::size_t>(op::elements(shape));
  float* const floats = scratch(std::max<std::size_t>(count, 1));
  if (floats == nullptr) return op::kNoMemory;
  bool exact = true;
  if (element == op::Element::kInt64) exact = to_floats<std::int64_t>(data, count, floats);
  if (element == op::Element::kInt32) exact = to_floats<std::int32_t>(data, count, floats);
  if (element == op::Element::kBool) exact = to_floats<bool>(data, count, floats);
  inputs_[place].data = floats;
  return exact ? nullptr
               : "an input holds a whole number beyond 2^24, which no float holds exactly";
}

float* OrtCall::output(std::size_t place, const op::Shape& shape) {
  if (place >= outputs_.size()) return nullptr;
  std::size_t wanted = 0;
  if (!went_well(api_, api_.KernelContext_GetOutputCount(context_, &wanted))) return nullptr;
  Output& output = outputs_[place];
  output.count = static_cast<std::size_t>(op::elements(shape));
  if (place < wanted &&
      !went_well(api_, api_.KernelContext_GetOutput(context_, place, shape.data(), shape.size(),
                                                    &output.value))) {
    return nullptr;
  }
  // What nobody reads is written all the same, and an empty tensor has no place to write to.
  const bool direct = output.value != nullptr && output.count > 0 &&
                      facts_.outputs[place].element == op::Element::kFloat;
  if (!direct) {
    output.floats = scratch(std::max<std::size_t>(output.count, 1));
    return output.floats;
  }
  void* data = nullptr;
  if (!went_well(api_, api_.GetTensorMutableData(output.value, &data))) return nullptr;
  output.floats = static_cast<float*>(data);
  return output.floats;
}

const char* OrtCall::finish() {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    const Output& output = outputs_[i];
    const op::Element element = facts_.outputs[i].element;
    if (output.value == nullptr || element == op::Element::kFloat) continue;
    void* data = nullptr;
    if (!went_well(api_, api_.GetTensorMutableData(output.value, &data))) return op::kNoMemory;
    if (element == op::Element::kInt64)
      from_floats<std::int64_t>(output.floats, output.count, data);
    if (element == op::Element::kInt32)
      from_floats<std::int32_t>(output.floats, output.count, data);
    if (element == op::Element::kBool) from_floats<bool>(output.floats, output.count, data);
  }
  return nullptr;
}

float* OrtCall::scratch(std::size_t floats) {
  scratches_.emplace_back(new (std::nothrow) float[floats]);
  return scratches_.back().get();
}

int OrtCall::threads() const {
  const unsigned all = std::thread::hardware_concurrency();
  return std::clamp(static_cast<int>(all), 1, kMostThreads);
}

bool OrtCall::multiply(const float* a, const float* b, float* result, std::int64_t m,
                       std::int64_t n, std::int64_t k) {
  return product_.multiply(context_, a, b, result, m, n, k);
}

void OrtCall::loop(std::int64_t count, Body body, void* context) {
  struct Shared {
    std::int64_t count, parts;
    op::GuardedRounds rounds;
  } shared{count, std::min<std::int64_t>(count, threads()), {body, context}};
  if (shared.parts < 1) return;
  // ONNX Runtime's own threads, as many as the session has, take the parts in turn.
  const auto part = [](void* loop, std::size_t index) {
    auto& all = *static_cast<Shared*>(loop);
    const auto place = static_cast<std::int64_t>(index);
    const std::int64_t end = all.count * (place + 1) / all.parts;
    for (std::int64_t i = all.count * place / all.parts; i < end; ++i) {
      all.rounds.run(i, static_cast<int>(place));
    }
  };
  const auto parts = static_cast<std::size_t>(shared.parts);
  if (!went_well(api_, api_.KernelContext_ParallelFor(context_, part, parts, parts, &shared))) {
    for (std::size_t i = 0; i < parts; ++i) part(&shared, i);
  }
  shared.rounds.finish();
}

}  // namespace dx
