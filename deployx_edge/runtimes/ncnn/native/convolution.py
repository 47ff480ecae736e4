"""Conv and ConvTranspose, with the activation behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter, Weight
from deployx_edge.runtimes.ncnn.native.matrix import inner_product
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The ids of a convolution's parameters by spatial axis, fastest first: width, height, depth.
_KERNEL, _DILATION, _STRIDE = (1, 11, 21), (2, 12, 22), (3, 13, 23)
_PAD_BEGIN, _PAD_END = (4, 14, 24), (15, 16, 17)
_OUTPUT_PAD = (18, 19, 20)
_MAX_SPATIAL = 3
_MOST_SAMPLES = 8  # inside a model; the weights are stored as often
_SUFFIXES = {1: "1D", 2: "", 3: "3D"}


@writes("Conv")
def convolution(builder: GraphBuilder, node: Node) -> None:
    """Convolution or ConvolutionDepthWise (which stands for every grouped one), 1D to 3D.

    Several samples are groups of channels, each with the same weights. A single pixel is no
    image but a row of channels, for which InnerProduct needs no windows.
    """
    import numpy as np

    graph = builder.graph
    shape = _image_shape(graph, node)
    weight = graph.constant(node.input(1), "weight")
    windows = (shape[2:], weight.shape[2:], graph.shape(node.outputs[0])[2:])
    if all(math.prod(sizes) == 1 for sizes in windows) and node.integer("group", 1) == 1:
        bias = graph.constant(node.input(2), "bias") if node.input(2) else None
        inner_product(builder, node, weight.reshape(weight.shape[:2]), bias, node.outputs[0])
        return
    weight = np.concatenate([weight] * shape[0])
    group = node.integer("group", 1) * shape[0]
    spatial = len(shape) - 2
    window = Window.of(graph, node, tuple(weight.shape[2:]))
    params: dict[int, Parameter] = {0: int(weight.shape[0]), **window.params()}
    _finish(builder, node, "Convolution", weight, weight.shape[0], params, group, spatial)


@writes("ConvTranspose")
def transposed_convolution(builder: GraphBuilder, node: Node) -> None:
    """Deconvolution or DeconvolutionDepthWise, 1D to 3D."""
    import numpy as np

    graph = builder.graph
    shape = _image_shape(graph, node)
    weight = np.concatenate([graph.constant(node.input(1), "weight")] * shape[0])
    group = node.integer("group", 1) * shape[0]
    spatial = len(shape) - 2
    window = Window.of_transposed(graph, node, tuple(weight.shape[2:]))
    outputs = int(weight.shape[1]) * group
    # ONNX: (in, out / group, …); ncnn: (group, out / group, in / group, …).
    parts = weight.reshape(group, weight.shape[0] // group, *weight.shape[1:])
    turned = np.swapaxes(parts, 1, 2)
    extra = window.output_padding
    params: dict[int, Parameter] = {0: outputs, **window.params()}
    for index, size in enumerate(reversed(extra)):
        params[_OUTPUT_PAD[index]] = size
    _finish(builder, node, "Deconvolution", turned, outputs, params, group, spatial)


def _finish(
    builder: GraphBuilder,
    node: Node,
    type: str,
    weight: NDArray[Any],
    outputs: int,
    params: dict[int, Parameter],
    group: int,
    spatial: int,
) -> None:
    import numpy as np

    graph = builder.graph
    weights = [Weight(values=weight.reshape(-1), tagged=True)]
    params[5] = int(bool(node.input(2)))
    if node.input(2):
        bias = graph.constant(node.input(2), "bias")
        weights.append(Weight(values=np.resize(bias, outputs)))
    params[6] = int(weight.size)
    if group > 1:
        params[7] = group
    image = as_channels(graph.shape(node.input(0)))
    result = as_channels(graph.shape(node.outputs[0]))
    bottom = builder.take(node.input(0), image)
    tensor, activation = builder.fused_activation(node.outputs[0])
    params.update(activation)
    name = f"{type}{'DepthWise' if group > 1 else ''}{_SUFFIXES[spatial]}"
    builder.add(name, node, (bottom,), {tensor: result}, params, weights)


def _image_shape(graph: Graph, node: Node) -> tuple[int, ...]:
    """The input's shape: samples, channels, one to three spatial axes."""
    shape = graph.shape(node.input(0))
    if not 3 <= len(shape) <= _MAX_SPATIAL + 2:
        raise RefusedError(f"its input {format_shape(shape)} has not one to three spatial axes")
    if shape[0] > _MOST_SAMPLES:
        raise RefusedError(
            f"its input {format_shape(shape)} has {shape[0]} samples inside the model; ncnn "
            f"convolves one at a time, and more than {_MOST_SAMPLES} at once need too many weights"
        )
    return shape


def as_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of an image; several samples are more channels."""
    return (shape[0] * shape[1], *shape[2:])


def by_axis(*pairs: tuple[Sequence[int], Sequence[int]]) -> dict[int, Parameter]:
    """Parameters with one id a spatial axis: ids fastest axis first, values slowest first."""
    return {
        key: int(value)
        for ids, values in pairs
        for key, value in zip(ids, reversed(values), strict=False)
    }


@dataclass(frozen=True)
class Window:
    """What a convolution or pooling slides over its input: sizes by axis, slowest first."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...]
    output_padding: tuple[int, ...] = ()

    @classmethod
    def of(cls, graph: Graph, node: Node, kernel: tuple[int, ...]) -> Window:
        """Read the node's attributes; ``auto_pad`` is worked out from the shapes."""
        rank = len(kernel)
        ones = (1,) * rank
        strides = node.integers("strides") or ones
        dilations = node.integers("dilations") or ones
        sizes = graph.shape(node.input(0))[2:]
        begins, ends = _pads(node, sizes, kernel, strides, dilations)
        return cls(kernel, strides, dilations, begins, ends)

    @classmethod
    def of_transposed(cls, graph: Graph, node: Node, kernel: tuple[int, ...]) -> Window:
        """As ``of`` for ConvTranspose, whose padding may follow from an ``output_shape``."""
        rank = len(kernel)
        ones = (1,) * rank
        strides = node.integers("strides") or ones
        dilations = node.integers("dilations") or ones
        extra = node.integers("output_padding") or (0,) * rank
        sizes = graph.shape(node.input(0))[2:]
        wanted = graph.shape(node.outputs[0])[2:]
        mode = node.text("auto_pad", "NOTSET")
        pads = node.integers("pads") or (0,) * (2 * rank)
        begins, ends = list(pads[:rank]), list(pads[rank:])
        for axis in range(rank):
            reach = (kernel[axis] - 1) * dilations[axis] + 1
            full = (sizes[axis] - 1) * strides[axis] + reach + extra[axis]
            if node.integers("output_shape") or mode.startswith("SAME"):
                if not node.integers("output_shape") and any(extra):
                    raise RefusedError(f"it has an output_padding and the auto_pad {mode}")
                total = full - wanted[axis]
                if total < 0:
                    raise RefusedError("its output_shape is larger than what it computes")
                small, large = total // 2, total - total // 2
                begins[axis] = small if mode == "SAME_UPPER" else large
                ends[axis] = total - begins[axis]
        return cls(kernel, strides, dilations, tuple(begins), tuple(ends), extra)

    def params(self) -> dict[int, Parameter]:
        """The parameters of ncnn's convolutions."""
        return by_axis(
            (_KERNEL, self.kernel),
            (_DILATION, self.dilations),
            (_STRIDE, self.strides),
            (_PAD_BEGIN, self.begins),
            (_PAD_END, self.ends),
        )


def _pads(
    node: Node,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    dilations: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The padding before and behind each spatial axis."""
    rank = len(kernel)
    mode = node.text("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = node.integers("pads") or (0,) * (2 * rank)
        if min(pads) < 0:
            raise RefusedError("its padding is negative")
        return pads[:rank], pads[rank:]
    if mode == "VALID":
        return (0,) * rank, (0,) * rank
    begins, ends = [], []
    for axis in range(rank):
        outputs = -(-sizes[axis] // strides[axis])
        reach = (kernel[axis] - 1) * dilations[axis] + 1
        total = (outputs - 1) * strides[axis] + reach - sizes[axis]
        # ONNX Runtime shares out what strides leave over, and begins behind the first values; of
        # two values or fewer (SAME_LOWER: three) it leaves out the last.
        if total < (-3 if mode == "SAME_LOWER" else -2):
            raise RefusedError(f"its strides leave out values on both sides ({mode})")
        total = max(total, 0)
        begins.append(total - total // 2 if mode == "SAME_LOWER" else total // 2)
        ends.append(total - begins[-1])
    return tuple(begins), tuple(ends)
