"""What follows a convolution by channel, or pads in front of it, as a part of its weights.

    x ─ Conv ─ BatchNormalization ─ y      ⇒      x ─ Conv ─ y
    x ─ Conv ─ Mul, Div, Add, Sub ─ y      ⇒      x ─ Conv ─ y      by a constant a channel, or one
    x ─ Pad ─ Conv ─ y                     ⇒      x ─ Conv ─ y      with zeros, in space

Transposed convolutions likewise, but for Pad. The weights are computed in float64, and stored as
they were. Left alone: weights that are computed, as those of quantized models are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.linked_graph import LinkedGraph, set_attributes
from deployx_edge.graph.links import FIRST_BROADCAST, attribute

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_CONVOLUTIONS = ("Conv", "ConvTranspose")
# With these a batch norm has statistics of its own, and one of each channel.
_PLAIN_NORM = {"epsilon", "momentum", "training_mode", "spatial", "is_test"}


@dataclass(frozen=True, kw_only=True)
class _Line:
    """``factor`` × a channel + ``offset``; both of one value a channel."""

    factor: NDArray[Any]
    offset: NDArray[Any]


def fold_norm(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A BatchNormalization behind a convolution."""
    import numpy as np

    into = _convolution(graph, node.input[0])
    values = [graph.constant(name) for name in node.input[1:5]]
    if into is None or any(value is None for value in values) or any(node.output[1:]):
        return False
    flags = {entry.name: entry for entry in node.attribute}
    is_plain = flags.keys() <= _PLAIN_NORM and ("spatial" not in flags or flags["spatial"].i)
    if not is_plain or (graph.opset < FIRST_BROADCAST and not attribute(node, "is_test", 0)):
        return False
    scale, shift, mean, variance = (np.asarray(value, dtype=np.float64) for value in values)
    factor = scale / np.sqrt(variance + attribute(node, "epsilon", 1e-5))
    return _fold(graph, node, into, _Line(factor=factor, offset=shift - mean * factor))


def fold_arithmetic(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Mul, Div, Add or Sub behind a convolution, whose other operand is constant."""
    import numpy as np

    if graph.opset < FIRST_BROADCAST:
        return False
    first = graph.constant(node.input[0])
    values = graph.constant(node.input[1]) if first is None else first
    tensor = node.input[1 if first is not None else 0]
    into = _convolution(graph, tensor)
    if into is None or values is None or (first is not None and node.op_type in ("Div", "Sub")):
        return False
    by_channel = _by_channel(graph, into, values)
    if by_channel is None or not np.isfinite(by_channel).all():
        return False
    ones, zeros = np.ones_like(by_channel), np.zeros_like(by_channel)
    if node.op_type in ("Mul", "Div"):
        if node.op_type == "Div" and not by_channel.all():
            return False
        factor = by_channel if node.op_type == "Mul" else 1.0 / by_channel
        return _fold(graph, node, into, _Line(factor=factor, offset=zeros))
    offset = by_channel if node.op_type == "Add" else -by_channel
    return _fold(graph, node, into, _Line(factor=ones, offset=offset))


def fold_padding(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Pad with zeros in front of a convolution ``node``."""
    pad = graph.maker(node.input[0], "Pad")
    shape = graph.shape(node.input[1])
    if pad is None or shape is None:
        return False
    if attribute(node, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
        return False
    pads = _zero_pads(graph, pad, len(shape))
    if pads is None or min(pads) < 0:
        return False
    rank = len(shape)
    if any(pads[:2]) or any(pads[rank : rank + 2]):
        return False
    own = attribute(node, "pads") or [0] * (2 * (rank - 2))
    added = (*pads[2:rank], *pads[rank + 2 :])
    total = [int(a) + int(b) for a, b in zip(own, added, strict=True)]
    set_attributes(node, {"pads": total, "auto_pad": None})
    graph.rewire(node, [pad.input[0], *node.input[1:]])
    return True


def _zero_pads(graph: LinkedGraph, node: onnx.NodeProto, rank: int) -> tuple[int, ...] | None:
    """How many zeros a Pad puts before and behind each axis; None where it pads otherwise."""
    if attribute(node, "mode", b"constant") != b"constant" or attribute(node, "value", 0.0):
        return None
    pads = graph.integers(node, "pads", 1)
    if pads is None:
        return None
    if len(node.input) > 2 and node.input[2]:
        value = graph.constant(node.input[2])
        if value is None or value.dtype.kind not in "fiu" or value.any():
            return None
    axes = tuple(range(rank))
    if len(node.input) > 3 and node.input[3]:
        given = graph.constant(node.input[3])
        if given is None:
            return None
        axes = tuple(int(axis) % rank for axis in given.reshape(-1))
    if len(pads) != 2 * len(axes):
        return None
    found = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        found[axis], found[rank + axis] = pads[index], pads[len(axes) + index]
    return tuple(found)


def _convolution(graph: LinkedGraph, tensor: str) -> onnx.NodeProto | None:
    """The convolution that makes the tensor for one reader, of constant weights and bias."""
    node = graph.maker(tensor, *_CONVOLUTIONS)
    if node is None or not graph.is_private(tensor):
        return None
    weights = graph.constant(node.input[1])
    bias = _input(node, 2)
    if weights is None or weights.dtype.kind != "f" or (bias and graph.constant(bias) is None):
        return None
    return node


def _channels(graph: LinkedGraph, node: onnx.NodeProto) -> int:
    """How many channels a convolution makes."""
    weights = graph.constant(node.input[1])
    assert weights is not None  # as _convolution has seen
    if node.op_type == "Conv":
        return int(weights.shape[0])
    return int(weights.shape[1] * attribute(node, "group", 1))


def _by_channel(
    graph: LinkedGraph, node: onnx.NodeProto, values: NDArray[Any]
) -> NDArray[Any] | None:
    """One value a channel of what a convolution makes, None where the values are no such."""
    import numpy as np

    rank = len(graph.shape(node.input[1]) or ())
    channels = _channels(graph, node)
    if values.ndim > rank:
        return None
    if values.size == 1:
        return np.full(channels, values.reshape(-1)[0], dtype=np.float64)
    shape = (1,) * (rank - values.ndim) + values.shape
    if shape != (1, channels, *(1,) * (rank - 2)):
        return None
    return np.asarray(values.reshape(-1), dtype=np.float64)


def _fold(graph: LinkedGraph, node: onnx.NodeProto, into: onnx.NodeProto, line: _Line) -> bool:
    """Make a line behind a convolution a part of it, and it the maker of the line's result."""
    import numpy as np

    weights = graph.constant(into.input[1])
    assert weights is not None  # as _convolution has seen
    if line.factor.shape != (_channels(graph, into),):
        return False
    bias = graph.constant(_input(into, 2))
    before = 0.0 if bias is None else np.asarray(bias, dtype=np.float64)
    folded = weights * _along_outputs(line.factor, weights, into)
    name = into.name or into.output[0]
    with np.errstate(over="ignore"):
        stored = folded.astype(weights.dtype)
        shift = (before * line.factor + line.offset).astype(weights.dtype)
    if not (np.isfinite(stored).all() and np.isfinite(shift).all()):
        return False
    inputs = [
        into.input[0],
        graph.new_constant(f"{name}/weight", stored),
        graph.new_constant(f"{name}/bias", shift),
    ]
    graph.absorb(node, into)
    graph.rewire(into, inputs)
    return True


def _along_outputs(
    factor: NDArray[Any], weights: NDArray[Any], node: onnx.NodeProto
) -> NDArray[Any]:
    """The factors laid along the axis of the weights that counts channels of the result."""
    import numpy as np

    kernel = (1,) * (weights.ndim - 2)
    if node.op_type == "Conv":
        return factor.reshape(-1, 1, *kernel)
    # (inputs, outputs of a group, …): each group of inputs has factors of its own.
    groups = int(attribute(node, "group", 1))
    by_group = factor.reshape(groups, 1, -1)
    rows = np.repeat(by_group, weights.shape[0] // groups, axis=1)
    return rows.reshape(weights.shape[0], -1, *kernel)


def _input(node: onnx.NodeProto, index: int) -> str:
    return node.input[index] if len(node.input) > index else ""
