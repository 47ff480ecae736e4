"""Where a quantized source rounds to quantized values, and what its steps are there.

A runtime joins what is between two such places into one layer, so tensors are looked at there and
not inside: who asks for a tensor inside stops the runtime from computing as it does on a board.

    ┄ Quantize ── Dequantize ── d1 ── Conv ── Relu ── Quantize ── Dequantize ── d2 ┄
                                ↑ a point                                       ↑ the next one
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.sources.onnx.file import prepared
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_QUANTIZE, _RESTORE = "QuantizeLinear", "DequantizeLinear"
_DYNAMIC = "DynamicQuantizeLinear"
# Operators that take quantized values and give some (QLinearConv …).
_INTEGER = "QLinear"
_CHANNELS = 1


@dataclass(frozen=True, kw_only=True)
class Point:
    """A tensor at which both sides are compared.

    ``step`` is the difference of two neighbouring quantized values, one for all or one for each
    element along ``axis``; None where the tensor is not quantized. ``maker`` is the node whose
    result it holds, ``exact`` the tensor that is quantized, where that is known. ``is_rounded`` is
    False for what goes into such steps, which a runtime may give before or after that. ``least``
    and ``most`` are the first and the last quantized value, in steps from 0, where it is known.
    """

    step: NDArray[Any] | None
    axis: int
    maker: onnx.NodeProto
    exact: str | None = None
    is_rounded: bool = True
    least: float | None = None
    most: float | None = None

    def steps(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of the tensor, counted in steps."""
        import numpy as np

        counted: NDArray[Any] = values.astype(np.float64) / self._step_for(values.ndim)
        return counted

    def values(self, steps: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
        """The tensor of so many steps, none beyond the quantized values; ``like`` has its type."""
        import numpy as np

        steps = np.clip(steps, self.least, self.most) if self.most is not None else steps
        return np.asarray(steps * self._step_for(like.ndim), dtype=like.dtype)

    def _step_for(self, dimensions: int) -> NDArray[Any]:
        assert self.step is not None
        shape = [1] * dimensions
        if self.step.size > 1:
            shape[self.axis] = self.step.size
        return self.step.reshape(shape)


def rounds_to_steps(node: onnx.NodeProto) -> bool:
    """Whether what the node gives was rounded to quantized values by it."""
    return node.op_type in (_QUANTIZE, _DYNAMIC) or node.op_type.startswith(_INTEGER)


def find_points(walk: SourceWalk) -> dict[str, Point]:
    """The points of a source by the names of their tensors, in the order of its nodes.

    All outputs that nodes make are among them.
    """
    makers = walk.makers
    outputs = {*walk.source.output_names}
    entered = {n.input[0]: n for n in makers.values() if n.op_type == _QUANTIZE}
    scales = _Scales(prepared(walk.source))
    inner = _joined(makers)
    found: dict[str, Point] = {}
    for name, node in makers.items():
        if node.op_type == _RESTORE and node.input[0] in makers:
            step = scales.of(node)
            if step is not None:
                least, most = scales.range_of(node)
                found[name] = Point(
                    step=step,
                    axis=scales.axis_of(node),
                    maker=_origin(node, makers),
                    exact=_quantized(makers[node.input[0]], node),
                    least=least,
                    most=most,
                )
        elif node.op_type.startswith(_INTEGER):
            found[name] = Point(step=_one(), axis=_CHANNELS, maker=node)
        elif name in outputs and name in entered:
            reader = entered[name]
            step, axis = scales.of(reader), scales.axis_of(reader)
            found[name] = Point(step=step, axis=axis, maker=node, is_rounded=False)
        elif name not in inner or name in outputs:
            found[name] = Point(step=None, axis=_CHANNELS, maker=node)
    return found


def _joined(makers: Mapping[str, onnx.NodeProto]) -> set[str]:
    """The tensors that a runtime may keep inside of one quantized layer.

    They come directly out of quantized values, or go into such by one node or two.
    """
    readers: dict[str, list[str]] = {}
    for name, node in makers.items():
        for each in node.input:
            readers.setdefault(each, []).append(name)
    joined: set[str] = set()
    for name, node in makers.items():
        behind = [other for each in node.output for other in readers.get(each, ())]
        further = [other for each in behind for other in readers.get(each, ())]
        before = [makers[each] for each in node.input if each in makers]
        enters = any(_is_integer(makers[each]) for each in (*behind, *further))
        if enters or _is_integer(node) or any(_is_integer(each) for each in before):
            joined.add(name)
    return joined - _dynamic_inputs(makers)


def _dynamic_inputs(makers: Mapping[str, onnx.NodeProto]) -> set[str]:
    """What is quantized by a step of its own in each run; nothing joins across these."""
    return {node.input[0] for node in makers.values() if node.op_type == _DYNAMIC}


def _is_integer(node: onnx.NodeProto) -> bool:
    return rounds_to_steps(node) or node.op_type == _RESTORE or node.op_type.endswith("Integer")


def _origin(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto]) -> onnx.NodeProto:
    """The node whose result is quantized and restored by ``node``."""
    while node.op_type in (_RESTORE, _QUANTIZE) and node.input[0] in makers:
        node = makers[node.input[0]]
    return node


def _quantized(before: onnx.NodeProto, restored: onnx.NodeProto) -> str | None:
    """What both nodes of a pair quantize and restore by the same scale."""
    is_pair = before.op_type == _QUANTIZE and before.input[1] == restored.input[1]
    return before.input[0] if is_pair else None


def _one() -> NDArray[Any]:
    import numpy as np

    return np.ones(1)


class _Scales:
    """The scales of Q and DQ nodes, as far as they are constants."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        for node in model.graph.node:
            if node.op_type == "Constant" and node.attribute[0].HasField("t"):
                self._constants[node.output[0]] = node.attribute[0].t

    def of(self, node: onnx.NodeProto) -> NDArray[Any] | None:
        from onnx import numpy_helper

        tensor = self._constants.get(node.input[1])
        if tensor is None or _blocks(node):
            return None
        scale = numpy_helper.to_array(tensor).astype("float64").reshape(-1)
        return scale if scale.size and (scale > 0).all() else None

    def range_of(self, node: onnx.NodeProto) -> tuple[float, float] | tuple[None, None]:
        """The first and the last quantized value, less the zero point where there is one of it."""
        import numpy as np
        from onnx import numpy_helper

        tensor = self._constants.get(node.input[2]) if len(node.input) > 2 else None
        if tensor is None:
            return None, None
        zeros = numpy_helper.to_array(tensor)
        if zeros.dtype.kind not in "iu" or np.unique(zeros).size != 1:
            return None, None
        zero, whole = int(zeros.reshape(-1)[0]), np.iinfo(zeros.dtype)
        return float(whole.min - zero), float(whole.max - zero)

    def axis_of(self, node: onnx.NodeProto) -> int:
        return next((each.i for each in node.attribute if each.name == "axis"), _CHANNELS)


def _blocks(node: onnx.NodeProto) -> bool:
    """Whether it has a scale for each block of elements."""
    return any(each.name == "block_size" and each.i for each in node.attribute)
