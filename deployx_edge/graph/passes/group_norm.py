"""Group normalization, as exporters write it below opset 21.

    x ─ Reshape (batch, groups, …) ─ InstanceNormalization ─ Reshape ─ Mul scale ─ Add bias ─ y
    ⇒
    x ─ GroupNormalization(scale, bias, groups, ε) ─ y

with one scale and one bias a channel, in which those of the groups are. Also: no scale, no bias.
Left alone: a Reshape that counts otherwise than by whole channels, a scale or a bias that is
computed or belongs to other axes, and what is also read elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import Shapes, attribute
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse
from deployx_edge.graph.passes.moments import fit

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_LEAST_RANK = 2  # samples and channels


def fuse_group_norm(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one GroupNormalization of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    if node.op_type not in ("Add", "Mul", "Reshape"):
        return None
    tensor, shift = _beside(graph, node.output[0], "Add")
    tensor, factor = _beside(graph, tensor, "Mul")
    norm = _normalized(graph, tensor)
    shape = graph.shape(node.output[0])
    if norm is None or shape is None:
        return None
    source = _source(graph, norm, shape)
    scales = _by_channel(graph, norm.input[1], factor, shape)
    biases = _by_channel(graph, norm.input[2], factor, shape)
    shifts = _shifts(shift, shape)
    if source is None or scales is None or biases is None or shifts is None:
        return None
    return Fused(
        operator="GroupNormalization",
        inputs=(
            source,
            graph.constant_for(node, "scale", scales),
            graph.constant_for(node, "bias", biases + shifts),
        ),
        attributes={
            "num_groups": (graph.shape(norm.input[0]) or ())[1],
            "epsilon": attribute(norm, "epsilon", 1e-5),
        },
        sources=(source,),
    )


def _beside(graph: PatternGraph, tensor: str, operator: str) -> tuple[str, NDArray[Any] | None]:
    """What a constant is added to or multiplied with, and the constant; else the tensor."""
    node = graph.maker(tensor, operator)
    if node is not None:
        for body, other in (node.input, reversed(node.input)):
            values = graph.constant(other)
            if values is not None:
                return body, values
    return tensor, None


def _normalized(graph: PatternGraph, tensor: str) -> onnx.NodeProto | None:
    """The node that normalizes what the tensor counts otherwise."""
    view = graph.maker(tensor, "Reshape")
    return None if view is None else graph.maker(view.input[0], "InstanceNormalization")


def _source(graph: PatternGraph, norm: onnx.NodeProto, shape: tuple[int, ...]) -> str | None:
    """What the node normalizes by groups of channels; None where it does something else."""
    view = graph.maker(norm.input[0], "Reshape")
    grouped = graph.shape(norm.input[0])
    if view is None or grouped is None or len(shape) < _LEAST_RANK:
        return None
    is_same = graph.shape(view.input[0]) == shape and grouped[:1] == shape[:1]
    return view.input[0] if is_same and shape[1] % grouped[1] == 0 else None


def _by_channel(
    graph: PatternGraph, tensor: str, factor: NDArray[Any] | None, shape: tuple[int, ...]
) -> NDArray[Any] | None:
    """The constant of the groups for each of their channels, times the factor."""
    import numpy as np

    values = graph.constant(tensor)
    factors = np.ones(shape[1]) if factor is None else _of_channels(factor, shape)
    if values is None or factors is None or shape[1] % values.size:
        return None
    spread = np.repeat(values.reshape(-1), shape[1] // values.size)
    return np.asarray(spread * factors, dtype=np.float32)


def _shifts(shift: NDArray[Any] | None, shape: tuple[int, ...]) -> NDArray[Any] | None:
    import numpy as np

    return np.zeros(shape[1], dtype=np.float32) if shift is None else _of_channels(shift, shape)


def _of_channels(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The values as one a channel; None where they differ along other axes."""
    fitted = fit(values, (shape[1], *[1] * (len(shape) - 2)))
    return None if fitted is None else fitted.reshape(-1)
