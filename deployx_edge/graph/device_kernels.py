"""Kernels for GPUs on the processor: what they compute, where there is no GPU to see it.

The library of operators that ONNX Runtime has here holds each ``kernel.cu`` compiled for the
processor, with loops in place of blocks and threads, as an operator of a domain of its own. How
kernels are launched on a GPU, and how it rounds, is not seen by that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.onnx_runtime import open_with_operators, refusal
from deployx_edge.operator_facts import find_operator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

# As workers/onnxruntime/operator.h has it.
_DOMAIN = "dx.device"


def run_device_kernels(path: Path, operators: Collection[str], fed: Arrays) -> Arrays:
    """All outputs of the ONNX file, where those ``operators`` of ours are computed by their kernels
    for GPUs.

    MissingToolError where the library is not built, or from other kernels; ModelError where one
    refuses its inputs.
    """
    import onnx

    model = onnx.load(path)
    for node in model.graph.node:
        facts = find_operator(node.domain, node.op_type)
        if facts is not None and facts.name in operators:
            node.domain, node.op_type = _DOMAIN, facts.name
    model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    try:
        session = open_with_operators(model.SerializeToString(), operators)
        names = [value.name for value in model.graph.output]
        return dict(zip(names, session.run(names, dict(fed)), strict=True))
    except Exception as error:  # its exceptions share no other base
        raise refusal(path.name, error) from error
