"""Which layer makes which tensor, where a converter kept no names.

Layers with weights are told apart by the kind and the number of their weights, and by their
order: both sides list them as the data flows.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from deployx_edge.runtimes.ncnn.files import Layer
from deployx_edge.runtimes.runner import Producer

if TYPE_CHECKING:
    import onnx

# ncnn's ids of how many weights a layer has, and of the activation that it runs itself.
_WEIGHT_COUNTS = {
    "Convolution": 6,
    "ConvolutionDepthWise": 6,
    "Convolution1D": 6,
    "ConvolutionDepthWise1D": 6,
    "Deconvolution": 6,
    "DeconvolutionDepthWise": 6,
    "InnerProduct": 2,
}
_BIAS, _ACTIVATION = 1, 9
_KINDS = {
    "Conv": "Convolution",
    "ConvTranspose": "Deconvolution",
    "Gemm": "InnerProduct",
    "MatMul": "InnerProduct",
}
_ACTIVATIONS = frozenset({"Relu", "LeakyRelu", "Clip", "Sigmoid", "Mish", "HardSwish"})


def match_by_weights(layers: Sequence[Layer], model: onnx.ModelProto) -> dict[str, Producer]:
    """The layer for each tensor of the canonical ``model`` that comes out of weights.

    A layer that runs its activation itself makes the tensor behind the activation; one that adds
    a bias, which a MatMul does not have, the sum.
    """
    weighted = [layer for layer in layers if layer.type in _WEIGHT_COUNTS]
    counts = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    nodes = [
        node for node in model.graph.node if node.op_type in _KINDS and node.input[1] in counts
    ]
    first = [_signature(layer) for layer in weighted]
    second = [(_KINDS[node.op_type], counts[node.input[1]]) for node in nodes]
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    found = {}
    for block in blocks:
        for offset in range(block.size):
            layer, node = weighted[block.a + offset], nodes[block.b + offset]
            tensor = node.output[0]
            params = dict(layer.params)
            if node.op_type == "MatMul" and params.get(_BIAS, "0") != "0":
                tensor = _behind(model, tensor, ("Add",))
            if params.get(_ACTIVATION, "0") != "0":
                tensor = _behind(model, tensor, _ACTIVATIONS)
            found[tensor] = Producer(layer=layer.name, type=layer.type, runtime_name=layer.tops[0])
    return found


def _signature(layer: Layer) -> tuple[str, int]:
    kind = layer.type.removesuffix("1D").removesuffix("DepthWise")
    return kind, int(dict(layer.params).get(_WEIGHT_COUNTS[layer.type], "0"))


def _behind(model: onnx.ModelProto, tensor: str, operators: Collection[str]) -> str:
    readers = [node for node in model.graph.node if tensor in node.input]
    if len(readers) == 1 and readers[0].op_type in operators:
        return str(readers[0].output[0])
    return tensor
