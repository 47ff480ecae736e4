"""Kernels for GPUs on the processor: what they compute, where there is no GPU to see it.

The library of operators that ONNX Runtime has here holds each ``kernel.cu`` compiled for the
processor, with loops in place of blocks and threads, as an operator of a domain of its own. How
kernels are launched on a GPU, and how it rounds, is not seen by that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.onnx_runtime import (
    PACKAGE,
    open_with_operators,
    open_with_outputs,
    refusal,
)
from deployx_edge.graph.subgraphs import nodes_within
from deployx_edge.operator_facts import find_operator
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.operator_runtimes import device_runtimes

if TYPE_CHECKING:
    import onnx
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
    _rename(model, lambda facts: facts.name in operators)
    try:
        session = open_with_operators(model.SerializeToString(), operators)
        names = [value.name for value in model.graph.output]
        return dict(zip(names, session.run(names, dict(fed)), strict=True))
    except Exception as error:  # its exceptions share no other base
        raise refusal(path.name, error) from error


def open_with_kernels(path: Path, names: Sequence[str]) -> Any:
    """A session for a bundle's file that gives any of its tensors: operators of ours that have a
    kernel for GPUs alone are computed by that."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    found = _rename(model, _is_for_gpus_alone)
    if not found:
        return open_with_outputs(path, names)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return open_with_operators(model.SerializeToString(), found, folder=path.parent)


def _is_for_gpus_alone(facts: OperatorFacts) -> bool:
    """ONNX Runtime itself has those of ONNX's own domain."""
    has_one = bool(set(device_runtimes()).intersection(facts.runtimes))
    return has_one and PACKAGE not in facts.runtimes and bool(facts.names[0][0])


def _rename(model: onnx.ModelProto, chosen: Callable[[OperatorFacts], bool]) -> set[str]:
    """Let the nodes of the chosen operators be computed by kernels for GPUs; which these are."""
    import onnx

    found = set()
    for node in nodes_within(model.graph.node):
        facts = find_operator(node.domain, node.op_type)
        if facts is not None and chosen(facts):
            node.domain, node.op_type = _DOMAIN, facts.name
            found.add(facts.name)
    if found:
        model.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
    return found
