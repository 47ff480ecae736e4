"""A small model of every kind that ONNX Runtime takes on a board and ncnn does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.integration.models.onnx_models import constant, model, small_cnn, weights

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """``words`` say what stays open, as ``--input`` takes it; ``inputs`` are tried one after the
    other."""

    make: Callable[[], onnx.ModelProto]
    inputs: tuple[Arrays, ...]
    words: tuple[str, ...] = ()
    precision: str = "fp32"


def transformer() -> onnx.ModelProto:
    """ids and mask (1, 6) int64 -> attention of one head -> scores (1, 6, 16)."""
    nodes = [
        helper.make_node("Gather", ["words", "ids"], ["x"], name="embed"),
        *(helper.make_node("MatMul", ["x", f"w{each}"], [each]) for each in "qkv"),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "kt"], ["raw"], name="scores"),
        helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "kept"], ["hidden"]),
        helper.make_node("Mul", ["hidden", "far"], ["shift"]),
        helper.make_node("Unsqueeze", ["shift", "axis"], ["row"]),
        helper.make_node("Add", ["raw", "row"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["y"], name="mix"),
        helper.make_node("ArgMax", ["y"], ["best"], axis=-1, keepdims=0),
    ]
    made = model(
        nodes,
        {"ids": (1, 6), "mask": (1, 6)},
        {"y": (1, 6, 16)},
        [
            weights("words", 50, 16, scale=1.0),
            *(weights(f"w{each}", 16, 16) for each in "qkv"),
            constant("one", np.float32(1)),
            constant("far", np.float32(-1e4)),
            constant("axis", np.array([1], np.int64)),
        ],
        input_type=TensorProto.INT64,
    )
    made.graph.output.append(helper.make_tensor_value_info("best", TensorProto.INT64, [1, 6]))
    return made


def text_bytes() -> onnx.ModelProto:
    """text (1, 12) int32, bytes -> their embeddings' mean -> y (1, 4)."""
    nodes = [
        helper.make_node("Gather", ["table", "text"], ["x"]),
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["y"]),
    ]
    tables = [weights("table", 256, 8, scale=1.0), weights("w", 8, 4)]
    return model(nodes, {"text": (1, 12)}, {"y": (1, 4)}, tables, input_type=TensorProto.INT32)


def raw_image() -> onnx.ModelProto:
    """image (1, 8, 8, 3) uint8 -> convolution -> y (1, 4, 8, 8)."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["x", "white"], ["unit"]),
        helper.make_node("Transpose", ["unit"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "w"], ["y"], pads=[1] * 4),
    ]
    constants = [constant("white", np.float32(255)), weights("w", 4, 3, 3, 3)]
    return model(
        nodes, {"image": (1, 8, 8, 3)}, {"y": (1, 4, 8, 8)}, constants, input_type=TensorProto.UINT8
    )


def open_image() -> onnx.ModelProto:
    """image (1, 3, h, w) -> convolution, upsampled twice -> y (1, 4, 2h, 2w)."""
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Resize", ["r", "", "twice"], ["y"], mode="nearest"),
    ]
    constants = [weights("w", 4, 3, 3, 3), constant("twice", np.array([1, 1, 2, 2], np.float32))]
    shapes = {"image": (1, 3, "h", "w")}, {"y": (1, 4, "h2", "w2")}
    return model(nodes, *shapes, constants)


def branches() -> onnx.ModelProto:
    """x (1, 4): doubled in a Loop, once for each number that is not 0; then 1 is added where the
    sum is above 0, and taken off elsewhere, in an If."""

    def value(name: str, type: int, shape: list[int]) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, type, shape)

    flag, number = TensorProto.BOOL, TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Add", ["carried", "carried"], ["twice"], name="double"),
        ],
        "body",
        [
            value("i", TensorProto.INT64, []),
            value("go", flag, []),
            value("carried", number, [1, 4]),
        ],
        [value("go_on", flag, []), value("twice", number, [1, 4])],
    )
    arms = {
        name: helper.make_graph(
            [helper.make_node(type, ["grown", "one"], [name], name=name)],
            name,
            [],
            [value(name, number, [1, 4])],
        )
        for name, type in (("more", "Add"), ("less", "Sub"))
    }
    nodes = [
        helper.make_node("Sign", ["x"], ["signs"]),
        helper.make_node("Abs", ["signs"], ["ones"]),
        helper.make_node("ReduceSum", ["ones"], ["count"], keepdims=0),
        helper.make_node("Cast", ["count"], ["times"], to=TensorProto.INT64),
        helper.make_node("Loop", ["times", "", "x"], ["grown"], body=body, name="loop"),
        helper.make_node("ReduceSum", ["grown"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["positive"]),
        helper.make_node(
            "If", ["positive"], ["y"], then_branch=arms["more"], else_branch=arms["less"], name="if"
        ),
    ]
    constants = [
        constant("zero", np.float32(0)),
        constant("one", np.float32(1)),
    ]
    return model(nodes, {"x": (1, 4)}, {"y": (1, 4)}, constants)


def eight_bits() -> onnx.ModelProto:
    """x (1, 3, 8, 8) -> a convolution between QuantizeLinear and DequantizeLinear -> y."""
    codes = np.random.default_rng(3).integers(-127, 128, (8, 3, 3, 3)).astype(np.int8)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["codes", "sw", "zw"], ["w"]),
        helper.make_node("Conv", ["xd", "w"], ["c"], pads=[1] * 4, name="conv"),
        helper.make_node("QuantizeLinear", ["c", "sy", "zx"], ["yq"]),
        helper.make_node("DequantizeLinear", ["yq", "sy", "zx"], ["y"]),
    ]
    constants = [
        constant("codes", codes),
        *(constant(name, np.float32(scale)) for name, scale in (("sx", 0.02), ("sw", 0.005))),
        constant("sy", np.float32(0.05)),
        constant("zx", np.uint8(128)),
        constant("zw", np.int8(0)),
    ]
    return model(nodes, {"x": (1, 3, 8, 8)}, {"y": (1, 8, 8, 8)}, constants)


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape).astype(np.float32)


_RANDOM = np.random.default_rng(7)

KINDS = {
    "cnn": Kind(make=small_cnn, inputs=({"image": _noise(3, 3, 16, 16)},)),
    "halves": Kind(make=small_cnn, inputs=({"image": _noise(1, 3, 16, 16)},), precision="fp16"),
    "transformer": Kind(
        make=transformer,
        inputs=(
            {
                "ids": _RANDOM.integers(0, 50, (1, 6)),
                "mask": np.array([[1, 1, 1, 1, 0, 0]], np.int64),
            },
        ),
    ),
    "text": Kind(
        make=text_bytes,
        inputs=({"text": np.frombuffer(b"hello, board", np.uint8).astype(np.int32)[None]},),
    ),
    "raw": Kind(
        make=raw_image,
        inputs=({"image": _RANDOM.integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)},),
    ),
    "open": Kind(
        make=open_image,
        inputs=tuple({"image": _noise(1, 3, *size)} for size in ((8, 8), (12, 20), (32, 16))),
        words=("image:1x3x{8..32}x{8..32}",),
    ),
    "branches": Kind(
        make=branches,
        inputs=(
            {"x": np.array([[1, 0, 3, 4]], np.float32)},
            {"x": -np.array([[1, 2, 3, 4]], np.float32)},
        ),
    ),
    "int8": Kind(make=eight_bits, inputs=({"x": _noise(1, 3, 8, 8)},)),
}
