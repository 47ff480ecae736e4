"""How each node is computed while scales are found: by PPQ, or by ONNX Runtime where PPQ errs.

PPQ knows a part of ONNX, and some of that wrongly. So each node is tried once, on what it has
before it for the first sample: ONNX Runtime computes it alone, and PPQ's own operator is taken
only where it gives the same. Everything else ONNX Runtime goes on computing. Such a node stays in
float, and no gradient goes through it. This is imported in the process with PPQ only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from esp_ppq.core import TargetPlatform
from esp_ppq.executor.torch import OPERATION_FORWARD_TABLE
from numpy.typing import NDArray
from onnx import helper

from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.quantization.ppq_view import Window, outer_inputs

_OWN = dict(OPERATION_FORWARD_TABLE[TargetPlatform.FP32])
_TOLERANCE = 1e-4
_WINDOWS = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")
_WEIGHTED = ("Conv", "ConvTranspose")
Value = Any  # of PPQ: a tensor, or None for an input that is left out


class NodeError(Exception):
    """A node that cannot be computed or quantized; says which, and why."""

    def __init__(self, node: str, type: str, reason: str) -> None:
        super().__init__(f"the node '{node}' ({type}): {reason}")


class Operators:
    """The table of operators for one graph, which settles for each node who computes it."""

    def __init__(self, model: onnx.ModelProto, on_node: Callable[[], None]) -> None:
        """``model`` as it was before ``view_of``; ``on_node`` is called as each is settled."""
        self._model = model
        self._nodes = {node.name: node for node in model.graph.node}
        self._sessions: dict[tuple[Any, ...], Any] = {}
        self._settled: set[str] = set()
        self._on_node = on_node
        self.foreign: dict[str, str] = {}
        """The nodes that ONNX Runtime computes, with the reason."""

    def install(self, types: Iterable[str]) -> None:
        """Have PPQ's executor ask here for those operators, on all of its platforms."""
        for platform in OPERATION_FORWARD_TABLE:
            OPERATION_FORWARD_TABLE[platform] = dict.fromkeys(types, self.compute)

    def compute(
        self, operation: Any, values: Sequence[Value], context: Any = None, **others: Any
    ) -> Any:
        """The node's outputs, as PPQ's executor calls for them."""
        if operation.name not in self._settled:
            return self._settle(operation, values, context)
        try:
            if operation.name in self.foreign:
                return self._by_onnx_runtime(operation, values)
            return _OWN[operation.type](operation, list(values), context)
        except Exception as error:  # any, from torch, PPQ or ONNX Runtime
            raise NodeError(operation.name, operation.type, _one_line(error)) from error

    def _settle(self, operation: Any, values: Sequence[Value], context: Any) -> list[Value]:
        self._settled.add(operation.name)
        self._on_node()
        try:
            wanted = self._by_onnx_runtime(operation, values)
        except Exception as error:  # its exceptions share no other base
            return self._unproven(operation, values, context, error)
        reason = _why_not(operation, values, context, wanted)
        if reason is None:
            self._sessions.clear()  # of this node; those of others are made again
        else:
            self.foreign[operation.name] = reason
        return wanted

    def _unproven(
        self, operation: Any, values: Sequence[Value], context: Any, error: Exception
    ) -> list[Value]:
        """PPQ's own where ONNX Runtime cannot run the node alone; the whole is compared later."""
        if operation.type not in _OWN:
            raise NodeError(operation.name, operation.type, _one_line(error))
        try:
            return _listed(_OWN[operation.type](operation, list(values), context))
        except Exception as own:  # any, from torch or PPQ
            raise NodeError(operation.name, operation.type, _one_line(own)) from own

    def _by_onnx_runtime(self, operation: Any, values: Sequence[Value]) -> list[Value]:
        node = self._nodes.get(operation.name)
        if node is None:  # one of the view's own
            return list(values)
        arrays = {
            name: value.detach().cpu().numpy()
            for name, value in zip(_read_names(node), values, strict=False)
            if name and value is not None
        }
        key = (node.name, tuple((name, array.dtype.str) for name, array in arrays.items()))
        if key not in self._sessions:
            self._sessions[key] = self._opened(node, arrays)
        made = [name for name in node.output if name]
        results = dict(zip(made, self._sessions[key].run(made, arrays), strict=True))
        return [torch.from_numpy(results[n].copy()) if n else None for n in node.output]

    def _opened(self, node: onnx.NodeProto, arrays: dict[str, NDArray[Any]]) -> Any:
        graph = helper.make_graph(
            [node],
            "one",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(array.dtype), None
                )
                for name, array in arrays.items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in node.output if name],
        )
        model = helper.make_model(
            graph, opset_imports=self._model.opset_import, functions=self._model.functions
        )
        model.ir_version = self._model.ir_version
        return open_model(model.SerializeToString())


def _read_names(node: onnx.NodeProto) -> list[str]:
    """What the view of the node reads, in its order."""
    own = list(node.input)
    while own and not own[-1]:
        own.pop()
    return [*own, *outer_inputs(node)]


def _why_not(
    operation: Any, values: Sequence[Value], context: Any, wanted: Sequence[Value]
) -> str | None:
    """Why PPQ's own operator does not serve; None where it gives the same."""
    own = _OWN.get(operation.type)
    if own is None:
        return "PPQ does not know the operator"
    if operation.type in _WINDOWS:
        _write_window(operation, values, wanted)
    copies = [value.clone() if isinstance(value, torch.Tensor) else value for value in values]
    try:
        with torch.no_grad():
            found = _listed(own(operation, copies, context))
    except Exception as error:  # any, from torch or PPQ
        return f"PPQ cannot compute it: {_one_line(error)}"
    for ours, theirs in zip(wanted, found, strict=False):
        if ours is not None and not same(ours, theirs):
            return "PPQ computes it otherwise than ONNX Runtime"
    return None if len(found) >= len(wanted) else "PPQ gives fewer outputs"


def _write_window(operation: Any, values: Sequence[Value], wanted: Sequence[Value]) -> None:
    """Nothing of the window is left to what PPQ takes for the default."""
    is_weighted = operation.type in _WEIGHTED
    kernel = values[1].shape[2:] if is_weighted else operation.attributes.get("kernel_shape", ())
    window = Window(
        type=operation.type,
        attributes=operation.attributes,
        sizes=values[0].shape[2:],
        kernel=kernel,
        out=wanted[0].shape[2:],
    )
    operation.attributes.update(window.written())
    operation.attributes.pop("output_shape", None)


def same(wanted: torch.Tensor, found: Any, tolerance: float = _TOLERANCE) -> bool:
    """Whether both hold the same: type and shape, NaN and infinity in the same places."""
    if not isinstance(found, torch.Tensor):
        return False
    if wanted.shape != found.shape or wanted.dtype != found.dtype:
        return False
    if not wanted.is_floating_point():
        return bool(torch.equal(wanted, found))
    first, second = (tensor.detach().double() for tensor in (wanted, found))
    finite = torch.isfinite(first)
    if not np.array_equal(first[~finite].numpy(), second[~finite].numpy(), equal_nan=True):
        return False
    error = float((second[finite] - first[finite]).norm())
    return error <= tolerance * max(float(first[finite].norm()), 1e-12)


def _listed(outputs: Any) -> list[Value]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 200 else f"… {text[-200:]}").rstrip(".")
