// Steps of a model whose outputs are fed back: what one of them hands on to the next.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// Knows tensors and names, and no model. A failure forgets the steps so far: the next one starts
// anew, with all inputs.
class Steps {
 public:
  // The inputs of the next step: `given`, and of the others what the step before had or fed back.
  // Fails where an input that is fed back is not among them, or is fed twice.
  Status begin(std::vector<Tensor> given, const std::vector<FeedBack>& feeds);

  // REQUIRES: begin() succeeded.
  const std::vector<Tensor>& inputs() const { return inputs_; }

  // Takes what is fed back out of the step's outputs, and removes those that are omitted. Fails
  // where there is no such output, or its type or size is not the input's.
  Status end(std::vector<Tensor>& outputs, const std::vector<FeedBack>& feeds);

  void forget() { inputs_.clear(); }

 private:
  Status check(const std::vector<FeedBack>& feeds) const;
  Status feed(const Tensor& output, const FeedBack& feed);

  std::vector<Tensor> inputs_;
};

}  // namespace dx
