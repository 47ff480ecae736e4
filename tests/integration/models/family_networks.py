"""Small networks with the inputs and outputs of well-known families, with seeded weights.

What a family's package does before and after its network is what its preset has to do; which
network is between makes no difference, so a file of kilobytes stands for one of megabytes.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Network:
    """A graph that is written node by node."""

    def __init__(self, seed: int, name: str, shape: tuple[int | str, ...]) -> None:
        self.random = np.random.default_rng(seed)
        self.inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, array: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(array, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def cells(self, stride: int, image: str) -> str:
        """The mean of each cell of a grid: 1 x 3 x rows x columns."""
        return self.add("AveragePool", image, kernel_shape=[stride] * 2, strides=[stride] * 2)

    def mixed(self, cells: str, scales: list[float], biases: list[float]) -> str:
        """Channels that are random sums of the three, each at its scale about its bias."""
        weights = self.random.normal(0, 1, (len(scales), 3, 1, 1))
        weights -= weights.mean(axis=1, keepdims=True)  # what is gray says nothing
        weights *= np.asarray(scales).reshape(-1, 1, 1, 1)
        return self.add(
            "Conv",
            cells,
            self.constant(weights.astype(np.float32)),
            self.constant(np.asarray(biases, np.float32)),
        )

    def as_rows(self, grid: str, columns: int) -> str:
        """1 x C x rows x columns as 1 x N x ``columns``, cell by cell."""
        turned = self.add("Transpose", grid, perm=[0, 2, 3, 1])
        return self.add("Reshape", turned, self.constant(np.asarray([1, -1, columns])))

    def write(self, path: Path, outputs: list[str], metadata: dict[str, str] | None = None) -> Path:
        values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in outputs]
        graph = helper.make_graph(self.nodes, "network", self.inputs, values, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        helper.set_model_props(model, metadata or {})
        onnx.save(onnx.shape_inference.infer_shapes(model), path)
        return path


def yolov8(path: Path) -> Path:
    """As Ultralytics exports with ``dynamic=True``: 4 + 3 numbers a cell, height and width open."""
    network, rows = Network(4, "images", ("batch", 3, "height", "width")), []
    for stride in (8, 16, 32):
        cells = network.cells(stride, "images")
        boxes = network.mixed(cells, [30.0] * 4, [90.0, 90.0, 60.0, 60.0])
        scores = network.add("Sigmoid", network.mixed(cells, [6.0] * 3, [-4.0] * 3))
        grid = network.add("Concat", boxes, scores, axis=1)
        rows.append(network.add("Reshape", grid, network.constant(np.asarray([0, 7, -1]))))
    network.add("Concat", *rows, output="output0", axis=2)
    said = {"task": "detect", "stride": "32", "batch": "1", "imgsz": "[320, 320]"}
    names = str({0: "cat", 1: "dog", 2: "bird"})
    return network.write(path, ["output0"], {**said, "names": names, "args": "{'dynamic': True}"})


def yolox(path: Path) -> Path:
    """As YOLOX exports: a row a cell, objectness and three classes through their sigmoid."""
    network, rows = Network(3, "images", (1, 3, 128, 160)), []
    for stride in (8, 16, 32):
        cells = network.cells(stride, "images")
        boxes = network.mixed(cells, [0.02] * 2 + [0.01] * 2, [0.5, 0.5, 1.0, 1.0])
        scores = network.add("Sigmoid", network.mixed(cells, [0.15] * 4, [-3, 0, 0, 0]))
        rows.append(network.as_rows(network.add("Concat", boxes, scores, axis=1), 8))
    network.add("Concat", *rows, output="output", axis=1)
    return network.write(path, ["output"])


def ssdlite(path: Path) -> Path:
    """Offsets, scores and prior boxes of torchvision's SSDlite: ten boxes a cell, two grids."""
    network = Network(5, "images", (1, 3, 320, 320))
    offsets, scores, priors = [], [], []
    for stride in (32, 64):
        cells = network.cells(stride, "images")
        offsets.append(network.as_rows(network.mixed(cells, [4.0] * 40, [0.0] * 40), 4))
        biases = [4.0, 0.0, 0.0] * 10
        scores.append(network.as_rows(network.mixed(cells, [3.0] * 30, biases), 3))
        priors.append(ssd_priors(stride, 10))
    network.add("Concat", *offsets, output="bbox_regression", axis=1)
    network.add("Concat", *scores, output="cls_logits", axis=1)
    network.add("Identity", network.constant(np.concatenate(priors)), output="anchors")
    return network.write(path, ["bbox_regression", "cls_logits", "anchors"])


def ssd_priors(stride: int, count: int, side: int = 320) -> np.ndarray:
    """Boxes of several sizes around each cell, as corners in pixels."""
    places = np.arange(side // stride) * stride + stride / 2
    middles = np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 1, 2)
    steps = np.arange(count)
    sides = np.stack([stride * (0.7 + 0.3 * steps), stride * (2.5 - 0.2 * steps)], axis=-1)
    corners = np.concatenate([middles - sides / 2, middles + sides / 2], axis=-1)
    return corners.reshape(-1, 4).astype(np.float32)


def rtdetr(path: Path) -> Path:
    """Logits and boxes of a hundred queries, as transformers' RT-DETR gives them."""
    network = Network(7, "pixel_values", (1, 3, 640, 640))
    cells = network.cells(64, "pixel_values")
    boxes = network.add("Sigmoid", network.mixed(cells, [6.0] * 4, [0.0, 0.0, -1.0, -1.0]))
    network.as_rows(boxes, 4)
    network.nodes[-1].output[0] = "pred_boxes"
    network.as_rows(network.mixed(cells, [9.0] * 6, [-3.0] * 6), 6)
    network.nodes[-1].output[0] = "logits"
    return network.write(path, ["logits", "pred_boxes"])


def rtdetr_of_ultralytics(path: Path) -> Path:
    """Rows of a hundred queries: the box, the best class's score and its number."""
    network = Network(7, "images", (1, 3, 640, 640))
    cells = network.cells(64, "images")
    boxes = network.add("Sigmoid", network.mixed(cells, [6.0] * 4, [0.0, 0.0, -1.0, -1.0]))
    scores = network.add("Sigmoid", network.mixed(cells, [9.0] * 6, [-3.0] * 6))
    best = network.add("ReduceMax", scores, axes=[1], keepdims=1)
    number = network.add("Cast", network.add("ArgMax", scores, axis=1), to=TensorProto.FLOAT)
    network.as_rows(network.add("Concat", boxes, best, number, axis=1), 6)
    network.nodes[-1].output[0] = "output0"
    names = {index: f"thing{index}" for index in range(6)}
    said = {"task": "detect", "stride": "32", "batch": "1", "imgsz": "[640, 640]"}
    return network.write(path, ["output0"], {**said, "names": str(names)})


def centerface(path: Path, sides: tuple[int | str, int | str] = (128, 160)) -> Path:
    """Scores, sizes, offsets and landmarks on a grid of stride 4, named as CenterFace's."""
    network = Network(9, "input.1", (1, 3, *sides))
    cells = network.cells(4, "input.1")
    scores = network.mixed(cells, [0.12], [-4.0])
    network.add("Sigmoid", scores, output="537")
    for name, scales, biases in (
        ("538", [0.004] * 2, [2.0] * 2),
        ("539", [0.01] * 2, [0.0] * 2),
        ("540", [0.01] * 10, [0.5] * 10),
    ):
        network.mixed(cells, scales, biases)
        network.nodes[-1].output[0] = name
    return network.write(path, ["537", "538", "539", "540"])


def _line_scores(network: Network, image: str, perm: list[int], output: str) -> None:
    """37 scores of each step of a gray line of 32 x 100, from four heights of it."""
    cells = network.add("AveragePool", image, kernel_shape=[8, 4], strides=[8, 4])
    heights = network.add("Transpose", cells, perm=[0, 2, 1, 3])
    weights = network.random.normal(0, 4, (37, 4, 1, 1)).astype(np.float32)
    biases = network.random.normal(0, 1, 37).astype(np.float32)
    grid = network.add("Conv", heights, network.constant(weights), network.constant(biases))
    steps = network.add("Squeeze", grid, network.constant(np.asarray([2])))
    network.add("Transpose", steps, perm=perm, output=output)


def crnn(path: Path) -> Path:
    """As crnn.pytorch gives its scores: steps x samples x 37."""
    network = Network(11, "image", (1, 1, 32, 100))
    _line_scores(network, "image", [2, 0, 1], "scores")
    return network.write(path, ["scores"])


def crnn_of_mmocr(path: Path) -> Path:
    """As MMOCR's CRNN gives its probabilities: samples x steps x 37."""
    network = Network(12, "input", (1, 1, 32, 100))
    _line_scores(network, "input", [0, 2, 1], "steps")
    network.add("Softmax", "steps", output="output", axis=2)
    return network.write(path, ["output"])


NETWORKS = {
    "yolov8 with open sides": yolov8,
    "yolox": yolox,
    "ssd": ssdlite,
    "rtdetr": rtdetr,
    "rtdetr of Ultralytics": rtdetr_of_ultralytics,
    "centerface": centerface,
    "centerface with open sides": partial(centerface, sides=("height", "width")),
    "crnn": crnn,
    "crnn of MMOCR": crnn_of_mmocr,
}
