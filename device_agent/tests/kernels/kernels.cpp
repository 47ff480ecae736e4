// Runs kernels of operators on cases that come in on standard input, and writes what they give.
//
// A case: the operator's name (with its length before it); for each attribute how many values it
// has (-1: left out) and these as doubles; for each input its number of axes (-1: left out), their
// sizes, its floats. An answer: 1 and a complaint, or 0 and each output like an input. Whole
// numbers are int32. It needs no C++ library, which zig would compile anew for each target.
//
// Called with "cost" it answers, in place of the outputs: how often the run took memory, how many
// values there are, and how many of them are missing if one of two threads does nothing.
#include "kernels.inc"  // each operator's kernel and facts

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

#include "operators/operator.h"

namespace {

std::int32_t taken = 0;  // pieces of memory, since the program began

void* take(std::size_t size) {
  ++taken;
  return std::calloc(size, 1);
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

#ifdef _LIBCPP_VERSION
_LIBCPP_BEGIN_NAMESPACE_STD
void __libcpp_verbose_abort(const char*, ...) noexcept { std::abort(); }
_LIBCPP_END_NAMESPACE_STD
#endif

namespace {

using dx::op::Shape;

template <class Value>
void read(Value* values, std::size_t count) {
  if (std::fread(values, sizeof(Value), count, stdin) != count) std::exit(3);
}

std::int32_t read_number() {
  std::int32_t value = 0;
  read(&value, 1);
  return value;
}

void write_number(std::int64_t value) {
  const auto number = static_cast<std::int32_t>(value);
  std::fwrite(&number, sizeof(number), 1, stdout);
}

// One run, by two threads that take turns.
class CaseCall : public dx::op::Call {
 public:
  explicit CaseCall(const dx::op::OperatorFacts& facts) : outputs_(facts.output_count) {
    // All of it before the first address is taken.
    values_.resize(facts.input_count);
    inputs_.resize(facts.input_count);
    has_.resize(facts.input_count);
    for (std::size_t i = 0; i < facts.input_count; ++i) {
      const std::int32_t rank = read_number();
      has_[i] = rank >= 0 ? 1 : 0;
      for (std::int32_t axis = 0; axis < rank; ++axis) inputs_[i].shape.push_back(read_number());
      if (rank < 0) continue;
      values_[i].resize(static_cast<std::size_t>(dx::op::elements(inputs_[i].shape)));
      read(values_[i].data(), values_[i].size());
      inputs_[i].data = values_[i].data();
    }
  }

  bool has(std::size_t input) const override { return input < has_.size() && has_[input] != 0; }
  const dx::op::Tensor& input(std::size_t place) const override { return inputs_[place]; }
  int threads() const override { return 2; }

  float* output(std::size_t place, const Shape& shape) override {
    outputs_[place].shape = shape;
    outputs_[place].data = scratch(static_cast<std::size_t>(dx::op::elements(shape)));
    return const_cast<float*>(outputs_[place].data);
  }

  float* scratch(std::size_t floats) override {
    return static_cast<float*>(take(floats * sizeof(float)));
  }

  bool multiply(const float* a, const float* b, float* result, std::int64_t m, std::int64_t n,
                std::int64_t k) override {
    for (std::int64_t i = 0; i < m * n; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < k; ++j) {
        sum += static_cast<double>(a[i / n * k + j]) * static_cast<double>(b[j * n + i % n]);
      }
      result[i] = static_cast<float>(sum);
    }
    return true;
  }

  // From now on the second thread does nothing; gives what was written so far.
  std::vector<dx::op::Tensor> lose_a_thread() {
    is_whole_ = false;
    return outputs_;
  }

  std::int32_t values() const {
    std::int64_t count = 0;
    for (const dx::op::Tensor& output : outputs_) count += dx::op::elements(output.shape);
    return static_cast<std::int32_t>(count);
  }

  std::int32_t missing(const std::vector<dx::op::Tensor>& whole) const {
    std::int32_t count = 0;
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      const std::int64_t size = dx::op::elements(outputs_[i].shape);
      for (std::int64_t at = 0; at < size; ++at) {
        count += outputs_[i].data[at] == whole[i].data[at] ? 0 : 1;
      }
    }
    return count;
  }

  void write() const {
    for (const dx::op::Tensor& output : outputs_) {
      write_number(static_cast<std::int64_t>(output.shape.size()));
      for (const std::int64_t size : output.shape) write_number(size);
      const auto count = static_cast<std::size_t>(dx::op::elements(output.shape));
      std::fwrite(output.data, sizeof(float), count, stdout);
    }
  }

 protected:
  void loop(std::int64_t count, Body body, void* context) override {
    for (std::int64_t i = 0; i < count; ++i) {
      if (is_whole_ || i % 2 == 0) body(context, i, static_cast<int>(i % 2));
    }
  }

 private:
  std::vector<std::vector<float>> values_;
  std::vector<dx::op::Tensor> inputs_;
  std::vector<char> has_;
  std::vector<dx::op::Tensor> outputs_;
  bool is_whole_ = true;
};

template <class Kernel>
void write_cost(CaseCall& call, const Kernel& kernel, std::int32_t cost) {
  const std::vector<dx::op::Tensor> whole = call.lose_a_thread();
  if (kernel.run(call) != nullptr) std::exit(4);
  write_number(cost);
  write_number(call.values());
  write_number(call.missing(whole));
}

template <class Kernel>
void run_case(const dx::op::OperatorFacts& facts, bool tells_cost) {
  dx::op::Attributes attributes(facts);
  for (std::size_t place = 0; place < facts.attribute_count; ++place) {
    const std::int32_t count = read_number();
    if (count < 0) continue;
    std::vector<double> values(static_cast<std::size_t>(count));
    read(values.data(), values.size());
    attributes.set(place, values);
  }
  CaseCall call(facts);
  const Kernel kernel(attributes);
  const std::int32_t before = taken;
  const char* const complaint = kernel.run(call);
  const std::int32_t cost = taken - before;
  write_number(complaint == nullptr ? 0 : 1);
  if (complaint == nullptr) return tells_cost ? write_cost(call, kernel, cost) : call.write();
  write_number(static_cast<std::int64_t>(std::strlen(complaint)));
  std::fwrite(complaint, 1, std::strlen(complaint), stdout);
}

}  // namespace

int main(int count, char** words) {
  const bool tells_cost = count > 1 && std::strcmp(words[1], "cost") == 0;
  std::int32_t length = 0;
  while (std::fread(&length, sizeof(length), 1, stdin) == 1) {
    char name[128] = {};
    if (length < 1 || length >= static_cast<std::int32_t>(sizeof(name))) return 3;
    read(name, static_cast<std::size_t>(length));
#define DX_OPERATOR(operator_name)                                                      \
  if (std::strcmp(name, #operator_name) == 0) {                                         \
    run_case<dx::op::operator_name::Kernel>(dx::op::operator_name::kFacts, tells_cost); \
  }
#include "kernels_list.inc"
#undef DX_OPERATOR
  }
}
