"""Make a network with random weights that is large enough to test a pipeline with.

Digits are too small: pushes and measurements need a model of at least 10 MB and, on a
fast core, at least 5 ms. This one is a residual network of 11.7 million weights (46 MB as
fp32, 23 MB as fp16) on a 3x224x224 image. The seed is fixed, torch is not needed:

    python examples/random_network.py random_network.onnx [--width 64]

``--width`` scales the channels: 32 gives 12 MB.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20261121
CLASSES = 1000


class _Builder:
    """Collects nodes and weights; every method returns the name of what it computes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._random = np.random.default_rng(SEED)
        self._count = 0

    def node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        """Add a node with one output."""
        self._count += 1
        output = f"{operator.lower()}_{self._count}"
        self.nodes.append(
            helper.make_node(operator, inputs, [output], name=f"{output}_node", **attributes)
        )
        return output

    def weight(self, *shape: int, fan_in: int) -> str:
        """Add normal weights whose products keep their variance after a ReLU (He et al. 2015)."""
        name = f"weight_{len(self.weights)}"
        values = self._random.standard_normal(shape) * np.sqrt(2.0 / fan_in)
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def conv(self, source: str, channels: tuple[int, int], kernel: int, stride: int = 1) -> str:
        """A convolution with a bias; the size stays, or is divided by the stride."""
        incoming, outgoing = channels
        fan_in = incoming * kernel * kernel
        weight = self.weight(outgoing, incoming, kernel, kernel, fan_in=fan_in)
        bias = self.weight(outgoing, fan_in=200)
        pad = kernel // 2
        return self.node(
            "Conv",
            [source, weight, bias],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
        )

    def block(self, source: str, channels: tuple[int, int], stride: int) -> str:
        """Two convolutions and a way around them."""
        outgoing = channels[1]
        inner = self.node("Relu", [self.conv(source, channels, 3, stride)])
        inner = self.conv(inner, (outgoing, outgoing), 3)
        around = source if channels[0] == outgoing else self.conv(source, channels, 1, stride)
        return self.node("Relu", [self.node("Add", [inner, around])])


def random_network(width: int = 64) -> onnx.ModelProto:
    """Image (1, 3, 224, 224) to scores (1, 1000); ``width`` channels after the first layer."""
    builder = _Builder()
    blob = builder.node("Relu", [builder.conv("image", (3, width), 7, 2)])
    blob = builder.node("MaxPool", [blob], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    incoming = width
    for stage in range(4):
        outgoing = width << stage
        blob = builder.block(blob, (incoming, outgoing), 1 if stage == 0 else 2)
        blob = builder.block(blob, (outgoing, outgoing), 1)
        incoming = outgoing
    blob = builder.node("Flatten", [builder.node("GlobalAveragePool", [blob])])
    weight = builder.weight(CLASSES, incoming, fan_in=incoming)
    bias = builder.weight(CLASSES, fan_in=200)
    builder.nodes.append(
        helper.make_node("Gemm", [blob, weight, bias], ["scores"], name="classifier", transB=1)
    )
    graph = helper.make_graph(
        builder.nodes,
        "random_network",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 224, 224])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, CLASSES])],
        builder.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


def main() -> None:
    """Write the file and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--width", type=int, default=64)
    arguments = parser.parse_args()
    onnx.save(random_network(arguments.width), arguments.output)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
