"""The files of a new operator, which adds a number to its input: a start that is right as it is.

Words in capitals are filled in: NAME is the folder's, TITLE what models call it, NAMESPACE that of
the function in PyTorch.
"""

from __future__ import annotations

FACTS = """\
operator = "OPERATOR"
domain = "DOMAIN"
opset = 1
aliases = []
runtimes = [RUNTIMES]
source = "reference.py"

[[inputs]]
name = "x"
type = "float32"

[[outputs]]
name = "y"
type = "float32"

[[attributes]]
name = "by"
type = "float"
default = 1.0
"""

KERNEL = """\
// TITLE: every value of the input, and "by" more.
#pragma once

#include "operators/operator.h"

namespace dx::op::NAME {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes) : by_(attributes.number("by")) {}

  const char* run(Call& call) const {
    const Tensor& x = call.input(0);
    float* const y = call.output(0, x.shape);
    if (y == nullptr) return kNoMemory;
    const std::int64_t rows = x.shape.empty() ? 1 : x.shape.front();
    const std::int64_t size = rows > 0 ? elements(x.shape) / rows : 0;
    call.parallel(rows, [&](std::int64_t row, int) {
      for (std::int64_t i = row * size; i < (row + 1) * size; ++i) y[i] = x.data[i] + by_;
    });
    return nullptr;
  }

 private:
  float by_;
};

}  // namespace dx::op::NAME
"""

LAYER = """\
#include "NAME/kernel.h"
#include "HEADER"
#include "workers/KIND/operator.h"

MACRO(NAME, Kernel)
"""

DEVICE_KERNEL = """\
// TITLE on a GPU. The same file is compiled for the processor, to test what it computes.
#pragma once

#include "operators/device.h"

namespace dx::op::NAME {

struct Values {
  const float* x;
  float* y;
  float by;
};

DX_KERNEL(LAUNCHED, Values) { p.y[index] = p.x[index] + p.by; }

}  // namespace dx::op::NAME
"""

DEVICE_CALL = """\
// How the kernels of kernel.cu are launched.
#pragma once

#include "NAME/kernel.cu"
#include "operators/device_call.h"

namespace dx::op::NAME {

class DeviceKernel {
 public:
  explicit DeviceKernel(const Attributes& attributes) : by_(attributes.number("by")) {}

  template <class Shapes>
  void shapes(Shapes& shapes) const {
    shapes.same(0, 0);
  }

  const char* run(DeviceCall& call) const {
    const Tensor& x = call.input(0);
    call.launch(LAUNCHER{}, {x.data, call.output(0), by_}, elements(x.shape));
    return nullptr;
  }

 private:
  float by_;
};

}  // namespace dx::op::NAME
"""

DEVICE_LAYER = """\
#include "NAME/device.h"
#include "DEVICE_HEADER"
#include "HEADER"
#include "workers/KIND/operator.h"

MACRO(NAME, DeviceKernel)
"""

REFERENCE = '''\
"""What TITLE computes, by definition: kernels and exports are held against this."""


def reference(x, by):
    """``x`` is an array; the attributes of op.toml come by name."""
    return x + by
'''

FUNCTION = '''\
"""TITLE in PyTorch: ``from PACKAGE.NAME.function import NAME``."""

import torch


@torch.library.custom_op("NAMESPACE::NAME", mutates_args=())
def NAME(x: torch.Tensor, by: float = 1.0) -> torch.Tensor:
    return x + by


@NAME.register_fake
def _(x: torch.Tensor, by: float = 1.0) -> torch.Tensor:
    """Of the shape and type of the result."""
    return torch.empty_like(x)
'''

SYMBOLIC = '''\
"""What the function of function.py becomes in ONNX; every export from PyTorch here knows it."""

from deployx_edge.rewriting import symbolic_rewriter


@symbolic_rewriter("NAMESPACE::NAME", inputs=("tensor", "float"), optional=True)
def write(graph, x, by):
    return graph.op("TITLE", x, by=by)
'''

TESTS = '''\
"""Cases of TITLE: `deployx-edge op test NAME`, or pytest, which does the same."""

from deployx_edge.workflows.operators.cases import Case

CASES = (
    Case(name="image", inputs=((1, 3, 5, 7),)),
    Case(name="rows", inputs=((1, 5, 7),), attributes={"by": -2.5}),
    Case(name="5d", inputs=((1, 2, 3, 4, 5),), attributes={"by": 0.0}),
    Case(name="vector", inputs=((13,),), attributes={"by": 1e3}),
)


def test_every_runtime_is_as_the_reference():
    from deployx_edge.workflows.operators.testing import check_operators

    outcomes = check_operators(["NAME"], None)
    assert [each for each in outcomes if each.verdict != "right"] == []
'''
