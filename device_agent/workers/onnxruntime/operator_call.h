// One run of an operator of our own within ONNX Runtime.
#pragma once

#include <onnxruntime_c_api.h>

#include <memory>
#include <vector>

#include "operators/operator.h"

namespace dx {

// ONNX Runtime's own product of matrices, made once a kernel.
class OrtProduct {
 public:
  OrtProduct(const OrtApi& api, const OrtKernelInfo* info);
  OrtProduct(const OrtProduct&) = delete;
  OrtProduct& operator=(const OrtProduct&) = delete;
  ~OrtProduct();

  // False where ONNX Runtime cannot do it.
  bool multiply(const OrtKernelContext* context, const float* a, const float* b, float* result,
                std::int64_t m, std::int64_t n, std::int64_t k) const;

 private:
  const OrtApi& api_;
  OrtOp* op_ = nullptr;
  OrtMemoryInfo* memory_ = nullptr;
};

class OrtCall : public op::Call {
 public:
  OrtCall(const OrtApi& api, OrtKernelContext* context, const op::OperatorFacts& facts,
          const OrtProduct& product);

  // What keeps the node's inputs from being read; nullptr if nothing does.
  const char* take();

  // Writes outputs of whole numbers and truth values; what is wrong, or nullptr.
  const char* finish();

  bool has(std::size_t input) const override { return input < there_.size() && there_[input]; }
  const op::Tensor& input(std::size_t place) const override { return inputs_[place]; }
  float* output(std::size_t place, const op::Shape& shape) override;
  float* scratch(std::size_t floats) override;
  int threads() const override;
  bool multiply(const float* a, const float* b, float* result, std::int64_t m, std::int64_t n,
                std::int64_t k) override;

 protected:
  void loop(std::int64_t count, Body body, void* context) override;

 private:
  struct Output {
    float* floats = nullptr;  // what the kernel writes
    OrtValue* value = nullptr;
    std::size_t count = 0;
  };

  const char* take_input(std::size_t place, const OrtValue* value);

  const OrtApi& api_;
  OrtKernelContext* context_;
  const op::OperatorFacts& facts_;
  const OrtProduct& product_;
  std::vector<op::Tensor> inputs_;
  std::vector<bool> there_;
  std::vector<Output> outputs_;
  std::vector<std::unique_ptr<float[]>> scratches_;
};

}  // namespace dx
