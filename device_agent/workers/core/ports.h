// What goes in and out of models of dense tensors with any element type and open axes: for runtimes
// that take a batch sample by sample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// What a model declares of an input or output.
struct Port {
  std::string name;
  std::string dtype;               // numpy's name; "" for what is no tensor of numbers
  std::vector<std::int64_t> dims;  // -1: open

  bool is_fixed() const;
};

std::vector<TensorInfo> infos_of(const std::vector<Port>& ports);

// Keeps the ports of these names, in their order; all where there are no names. Fails for a name
// that no port has.
Status choose_ports(std::vector<Port>& ports, const std::vector<std::string>& names);

// Inputs that fit a model: a tensor a port, each with the same number of samples.
struct Fed {
  std::vector<const Tensor*> tensors;  // of the caller's
  std::size_t samples = 1;
  bool batched = false;
};
Result<Fed> fit_inputs(const std::vector<Port>& ports, const std::vector<Tensor>& inputs);

// The dims of one sample.
std::vector<std::int64_t> sample_dims(const Tensor& tensor);

// The outputs of all samples, put together.
class Gathered {
 public:
  explicit Gathered(bool batched) : batched_(batched) {}

  // Fails where an output has another shape than in the samples before.
  Status add(std::vector<Tensor> sample);

  std::vector<Tensor> take() && { return std::move(all_); }

 private:
  const bool batched_;
  std::size_t samples_ = 0;
  std::vector<Tensor> all_;
};

}  // namespace dx
