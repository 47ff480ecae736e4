"""What ncnn's int8 layers compute, as an ONNX model in floats.

Before each such layer stands what quantizes and restores its input, and its weights are what
their quantized values stand for. Sums of their products are whole numbers, and exact in ncnn; here
they are floats, so that both agree but for the rounding of float32, and for values that this tips
over.

    x ── · 1/scale ── round half away from 0 ── clip ±127 ── · scale ── layer
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.runtimes.converter import LayerScales
from deployx_edge.runtimes.ncnn.native.quantized import GEMM_BLOCK, RECURRENT, block_scales

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_INT8_LARGEST = 127.0
_CLIP_WITH_INPUTS = 11  # the opset in which Clip's bounds became inputs
_REDUCE_WITH_INPUTS = 18
_PREFIX = "deployx-int8"


def with_parameters(
    model: onnx.ModelProto, values: Mapping[tuple[str, int], NDArray[Any]]
) -> onnx.ModelProto:
    """A copy in which those inputs (node, place) are these constants, of the node's own."""
    import numpy as np
    from onnx import numpy_helper

    changed = copy.deepcopy(model)
    nodes = {node.name: node for node in changed.graph.node}
    for (name, place), array in values.items():
        own = f"{nodes[name].input[place]}/{name}"
        tensor = numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), own)
        changed.graph.initializer.append(tensor)
        nodes[name].input[place] = own
    return _without_unused(changed)


def run_time_weights(operator: str, weight: NDArray[Any], *, axis: int) -> NDArray[Any]:
    """What a weight is after a layer with scales found at run time has quantized it.

    Of a matrix each block of inputs of an output has a scale; of recurrent weights (directions,
    rows, inputs) each row.
    """
    import numpy as np

    if operator in RECURRENT:
        rows = weight.reshape(-1, weight.shape[-1]).astype(np.float64)
        scales = block_scales(rows, rows.shape[1])
        return np.asarray(np.rint(rows / scales) * scales, dtype=np.float32).reshape(weight.shape)
    turned = np.moveaxis(weight, axis, 0)  # of a convolution of single pixels: (…, inputs, 1, 1)
    by_output = turned.reshape(len(turned), -1).astype(np.float64)
    scales = np.repeat(block_scales(by_output, GEMM_BLOCK), GEMM_BLOCK, axis=1)
    scales = scales[:, : by_output.shape[1]]
    restored = np.asarray(np.rint(by_output / scales) * scales, dtype=np.float32)
    return np.moveaxis(restored.reshape(turned.shape), 0, axis)


def int8_reference(model: onnx.ModelProto, scales: Mapping[str, LayerScales]) -> onnx.ModelProto:
    """A copy of ``model``, whose weights are quantized and restored, with what quantizes
    activations.

    Recurrent layers quantize at each step, inside; there only the weights are as in ncnn.
    """
    made = copy.deepcopy(model)
    opset = next(e.version for e in made.opset_import if e.domain in ("", "ai.onnx"))
    builder = _Builder(opset=opset)
    nodes = []
    for node in made.graph.node:
        entry = scales.get(node.name)
        if entry is not None and node.op_type not in RECURRENT:
            scale = entry.activation_scale
            quantized = (
                builder.blocks(node.input[0], is_image=node.op_type == "Conv")
                if scale is None
                else builder.by_scale(node.input[0], scale)
            )
            nodes.extend(builder.take())
            node.input[0] = quantized
        nodes.append(node)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    made.graph.initializer.extend(builder.constants.values())
    return made


@dataclass(frozen=True)
class _Key:
    tensor: str
    scale: float | None


class _Builder:
    """Nodes that quantize tensors and restore them, each tensor once a scale."""

    def __init__(self, *, opset: int) -> None:
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._made: dict[_Key, str] = {}
        self.constants: dict[str, onnx.TensorProto] = {}

    def take(self) -> list[onnx.NodeProto]:
        """The nodes since the last call."""
        nodes, self._nodes = self._nodes, []
        return nodes

    def by_scale(self, tensor: str, scale: float) -> str:
        """Quantized by one scale, as calibrated layers do."""
        key = _Key(tensor, scale)
        if key not in self._made:
            quantized = self._quantize(self._add("Mul", tensor, self._number(1.0 / scale)))
            self._made[key] = self._add("Mul", quantized, self._number(scale))
        return self._made[key]

    def blocks(self, tensor: str, *, is_image: bool = False) -> str:
        """Quantized in blocks of neighbours, each by its largest value, as Gemm does.

        Neighbours lie along the last axis, of an image (of one pixel) along its channels.
        """
        key = _Key(tensor, None)
        if key not in self._made:
            self._made[key] = self._blocks(tensor, is_image=is_image)
        return self._made[key]

    def _blocks(self, tensor: str, *, is_image: bool) -> str:
        shape = self._add("Shape", tensor)
        minus_one = self._integers([-1])
        if is_image:
            tensor = self._add("Flatten", tensor, axis=1)
        sizes = self._add("Shape", tensor) if is_image else shape
        length = self._add("Gather", sizes, self._integers([-1]), axis=0)
        block = self._integers([GEMM_BLOCK])
        over = self._add("Mod", length, block)
        missing = self._add("Mod", self._add("Sub", block, over), block)
        rows = self._add("Reshape", tensor, self._add("Concat", minus_one, length, axis=0))
        pads = self._add("Concat", self._integers([0, 0, 0]), missing, axis=0)
        padded = self._add("Pad", rows, pads)
        inner = self._add("Reshape", padded, self._integers([-1, GEMM_BLOCK]))
        largest = self._add("Max", self._reduced(self._add("Abs", inner)), self._number(1e-30))
        scale = self._add("Div", self._number(_INT8_LARGEST), largest)
        quantized = self._quantize(self._add("Mul", inner, scale))
        restored = self._add(
            "Mul", quantized, self._add("Div", largest, self._number(_INT8_LARGEST))
        )
        wide = self._add("Add", length, missing)
        rows = self._add("Reshape", restored, self._add("Concat", minus_one, wide, axis=0))
        cut = self._add("Slice", rows, self._integers([0]), length, self._integers([1]))
        return self._add("Reshape", cut, shape)

    def _reduced(self, tensor: str) -> str:
        if self._opset >= _REDUCE_WITH_INPUTS:
            return self._add("ReduceMax", tensor, self._integers([1]), keepdims=1)
        return self._add("ReduceMax", tensor, axes=[1], keepdims=1)

    def _quantize(self, scaled: str) -> str:
        """floor(max(x, 0) + ½) − floor(max(−x, 0) + ½), which rounds half away from 0."""
        half = self._number(0.5)
        above = self._add("Floor", self._add("Add", self._add("Relu", scaled), half))
        negative = self._add("Relu", self._add("Neg", scaled))
        below = self._add("Floor", self._add("Add", negative, half))
        quantized = self._add("Sub", above, below)
        if self._opset < _CLIP_WITH_INPUTS:
            return self._add("Clip", quantized, min=-_INT8_LARGEST, max=_INT8_LARGEST)
        return self._add(
            "Clip", quantized, self._number(-_INT8_LARGEST), self._number(_INT8_LARGEST)
        )

    def _add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{_PREFIX}/{len(self._made)}/{len(self._nodes)}/{operator}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def _number(self, value: float) -> str:
        import numpy as np

        return self._constant(f"number/{value!r}", np.asarray(value, dtype=np.float32))

    def _integers(self, values: list[int]) -> str:
        import numpy as np

        return self._constant(f"integers/{values}", np.asarray(values, dtype=np.int64))

    def _constant(self, key: str, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"{_PREFIX}/{key}"
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(array, name)
        return name


def _without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    used = {name for node in model.graph.node for name in node.input}
    used.update(value.name for value in model.graph.output)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    return model
