"""A model with Q and DQ nodes as the SDK's converter wants it: a float model, and ranges beside it.

The ranges are its JSON for ``--quantization_overrides``: by tensor, what one step is, where the
codes begin, and what lies between the smallest and the largest of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_BITS = {"int8": 8, "uint8": 8, "int16": 16, "uint16": 16}


def split_quantized(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model in floats, without Q and DQ, and the ranges that these held.

    Weights are what their codes stand for. Biases get no range: the SDK finds theirs by the scales
    that they are added with.
    """
    import onnx

    made = onnx.ModelProto()
    made.CopyFrom(model)
    splitter = _Splitter(made)
    splitter.split()
    return made, {
        "activation_encodings": splitter.activations,
        "param_encodings": splitter.weights,
    }


class _Splitter:
    def __init__(self, model: onnx.ModelProto) -> None:
        from onnx import numpy_helper

        self._graph = model.graph
        self._constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self._renamed: dict[str, str] = {}
        self.activations: dict[str, Any] = {}
        self.weights: dict[str, Any] = {}

    def split(self) -> None:
        quantized = {n.output[0]: n for n in self._graph.node if n.op_type == "QuantizeLinear"}
        for node in self._graph.node:
            if node.op_type == "DequantizeLinear":
                self._take(node, quantized)
        kept = [
            node
            for node in self._graph.node
            if node.op_type not in ("QuantizeLinear", "DequantizeLinear")
        ]
        self._keep_outputs()
        for node in kept:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    names[place] = self._name(name)
        del self._graph.node[:]
        self._graph.node.extend(kept)
        self.activations = {self._name(name): each for name, each in self.activations.items()}
        self._drop_unread(kept)

    def _take(self, node: onnx.NodeProto, quantized: dict[str, onnx.NodeProto]) -> None:
        from onnx import numpy_helper

        codes, output = node.input[0], node.output[0]
        if codes in self._constants:
            values = self._values(node)
            self._graph.initializer.append(numpy_helper.from_array(values, output))
            if str(self._constants[codes].dtype) in _BITS:
                self.weights[output] = self._ranges(node)
            return
        if codes not in quantized:
            raise ModelError(
                f"'{codes}' is handed on quantized, and nothing says from which floats."
            )
        tensor = quantized[codes].input[0]
        self._renamed[output] = tensor
        self.activations.setdefault(tensor, self._ranges(node))

    def _values(self, node: onnx.NodeProto) -> NDArray[Any]:
        import numpy as np

        codes, (scale, zero) = self._constants[node.input[0]], self._scales(node)
        shape = [1] * codes.ndim
        if scale.size > 1:
            axis = next((each.i for each in node.attribute if each.name == "axis"), 1)
            shape[axis] = -1
        steps = codes.astype(np.float64) - zero.astype(np.float64).reshape(shape)
        values: NDArray[Any] = (steps * scale.astype(np.float64).reshape(shape)).astype(np.float32)
        return values

    def _scales(self, node: onnx.NodeProto) -> tuple[NDArray[Any], NDArray[Any]]:
        import numpy as np

        scale = np.atleast_1d(self._constants[node.input[1]])
        named = node.input[2] if len(node.input) > 2 else ""
        zero = self._constants[named] if named else np.zeros(1, dtype=np.uint8)
        return scale, np.broadcast_to(np.atleast_1d(zero), scale.shape)

    def _ranges(self, node: onnx.NodeProto) -> list[dict[str, Any]]:
        scale, zero = self._scales(node)
        return [_range(float(s), int(z), str(zero.dtype)) for s, z in zip(scale, zero, strict=True)]

    def _name(self, name: str) -> str:
        while name in self._renamed:
            name = self._renamed[name]
        return name

    def _keep_outputs(self) -> None:
        """What a pair gave as an output of the model, the node before it gives."""
        for value in self._graph.output:
            if value.name in self._renamed:
                inner = self._renamed.pop(value.name)
                self._renamed[inner] = value.name

    def _drop_unread(self, kept: Iterable[onnx.NodeProto]) -> None:
        read = {name for node in kept for name in node.input}
        tensors = [tensor for tensor in self._graph.initializer if tensor.name in read]
        del self._graph.initializer[:]
        self._graph.initializer.extend(tensors)
        del self._graph.value_info[:]


def _range(scale: float, zero: int, dtype: str) -> dict[str, Any]:
    """Of one scale, in the SDK's words; its ``offset`` is the code of the smallest value."""
    bits = _BITS[dtype]
    lowest = -(1 << (bits - 1)) if dtype.startswith("int") else 0
    offset = lowest - zero
    return {
        "bitwidth": bits,
        "dtype": "int",
        "is_symmetric": str(dtype.startswith("int") and zero == 0),
        "min": scale * offset,
        "max": scale * (offset + (1 << bits) - 1),
        "offset": offset,
        "scale": scale,
    }
