// What a kernel of an operator is written against: no runtime is known here.
//
// A kernel is a class that is made once of a node's attributes and then called for each run:
//
//   class Kernel {
//    public:
//     explicit Kernel(const dx::op::Attributes& attributes);
//     const char* run(dx::op::Call& call) const;  // nullptr, or what is wrong, as a sentence's
//     part
//   };
//
// Tensors are dense float32 in ONNX's order, of any number of axes; whole numbers and truth values
// are floats that hold them exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "operators/facts.h"

namespace dx::op {

using Shape = std::vector<std::int64_t>;

struct Tensor {
  const float* data = nullptr;
  Shape shape;
};

// How many elements a tensor of that shape has, or those of its axes [begin, end).
std::int64_t elements(const Shape& shape);
std::int64_t elements(const Shape& shape, std::size_t begin, std::size_t end);

// The axis counted from the front; -1 where the shape has none such.
std::int64_t positive_axis(std::int64_t axis, std::size_t rank);

// The attributes of a node, with op.toml's defaults for those that it leaves out.
class Attributes {
 public:
  explicit Attributes(const OperatorFacts& facts);

  const OperatorFacts& facts() const { return facts_; }
  void set(std::size_t place, std::vector<double> values) { values_[place] = std::move(values); }
  const std::vector<double>& values(std::size_t place) const { return values_[place]; }

  // Those that have neither a value nor a default are 0, or a list without members.
  std::int64_t integer(const char* name) const;
  float number(const char* name) const;
  std::vector<std::int64_t> integers(const char* name) const;
  std::vector<float> numbers(const char* name) const;

 private:
  const std::vector<double>& find(const char* name) const;

  const OperatorFacts& facts_;
  std::vector<std::vector<double>> values_;
};

// One run of a kernel. Nothing of it is kept beyond the run.
class Call {
 public:
  using Body = void (*)(void* context, std::int64_t index, int thread);

  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  virtual ~Call() = default;

  // Whether the node has that input; it may leave optional ones out.
  virtual bool has(std::size_t input) const = 0;
  virtual const Tensor& input(std::size_t place) const = 0;

  // Where to write an output of that shape; nullptr where there is no memory for it.
  virtual float* output(std::size_t place, const Shape& shape) = 0;

  // Memory that is the kernel's until the run ends; nullptr where there is none.
  virtual float* scratch(std::size_t floats) = 0;

  // At most so many threads run a loop's rounds.
  virtual int threads() const = 0;

  // result[m][n] = a[m][k] * b[k][n]; false where there is no memory for it.
  virtual bool multiply(const float* a, const float* b, float* result, std::int64_t m,
                        std::int64_t n, std::int64_t k) = 0;

  // Calls body(index, thread) for each index below count, on all threads; thread < threads().
  // What a round throws comes from here, once no thread is in one any more.
  template <class Function>
  void parallel(std::int64_t count, const Function& function) {
    loop(
        count,
        [](void* context, std::int64_t index, int thread) {
          (*static_cast<const Function*>(context))(index, thread);
        },
        const_cast<Function*>(&function));
  }

 protected:
  virtual void loop(std::int64_t count, Body body, void* context) = 0;
};

constexpr const char* kNoMemory = "there is no memory for it";
constexpr const char* kThrew = "its kernel threw an exception";

}  // namespace dx::op
