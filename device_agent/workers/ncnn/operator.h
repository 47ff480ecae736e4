// An operator of our own as a layer of ncnn. A file ops/<name>/ncnn.cpp holds one line:
//
//   DX_NCNN_OPERATOR(<name>, Kernel)
//
// The layer's type is dx.<name>. Its parameters are the node's attributes by their places in
// op.toml, and from 20 on one list an input: the number of its axes and their sizes in ONNX, -1
// alone where the node leaves it out. Blobs count the same elements by fewer axes
// (runtimes/ncnn/native/axes.py).
#pragma once

#include <layer.h>
#include <net.h>

#include <memory>
#include <string>
#include <vector>

#include "operators/operator.h"

namespace dx {

class NcnnOperator : public ncnn::Layer {
 public:
  explicit NcnnOperator(const op::OperatorFacts& facts);

  const op::OperatorFacts& facts() const { return facts_; }

  int load_param(const ncnn::ParamDict& params) override;
  int create_pipeline(const ncnn::Option& option) override;
  int destroy_pipeline(const ncnn::Option& option) override;
  int forward(const std::vector<ncnn::Mat>& bottoms, std::vector<ncnn::Mat>& tops,
              const ncnn::Option& option) const override;

 protected:
  virtual void make(const op::Attributes& attributes) = 0;
  virtual const char* run(op::Call& call) const = 0;

 private:
  const op::OperatorFacts& facts_;
  std::vector<op::Shape> shapes_;  // of the inputs
  std::vector<int> places_;        // of each input among the bottoms, -1 where it is left out
  std::unique_ptr<ncnn::Layer> product_;
};

template <class Kernel>
class NcnnKernel : public NcnnOperator {
 public:
  using NcnnOperator::NcnnOperator;

 protected:
  void make(const op::Attributes& attributes) override {
    kernel_ = std::make_unique<Kernel>(attributes);
  }
  const char* run(op::Call& call) const override { return kernel_->run(call); }

 private:
  std::unique_ptr<Kernel> kernel_;
};

// Whether layers of that type are operators of our own, of whatever build.
bool is_operator_type(const std::string& type);

// Whether this build has layers of that type, ncnn's own or an operator of ours.
bool knows_layer_type(const std::string& type);

// What the last operator that failed on this thread said, as a sentence's part; nullptr where none
// did since this was asked. It is about the inputs or the attributes.
const char* take_complaint();

// Makes the operators known to the net. REQUIRES: no model is loaded yet.
void register_operators(ncnn::Net& net);

}  // namespace dx

#define DX_NCNN_OPERATOR(name, kernel)                        \
  namespace dx::op::name {                                    \
  ncnn::Layer* make_ncnn_layer(void*) {                       \
    return new (std::nothrow) dx::NcnnKernel<kernel>(kFacts); \
  }                                                           \
  }
