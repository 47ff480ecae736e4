"""What simplification takes out of a graph, what it leaves, and that no value changes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.graph.simplification import simplify
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import read_onnx
from tests.integration.models.onnx_models import constant, model, save, weights

_IMAGE = (1, 4, 6, 5)
_KERNEL = weights("w", 4, 4, 3, 3)
_SLICE = [
    constant(name, [value]) for name, value in (("a2", 2), ("a3", 3), ("one", 1), ("four", 4))
]


def _node(operator: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def _conv(inputs: str = "x w", output: str = "c", **attributes: object) -> onnx.NodeProto:
    return _node("Conv", inputs, output, name="conv", pads=[1] * 4, **attributes)


def _channels(name: str, *shape: int) -> onnx.TensorProto:
    return weights(name, *(shape or (4, 1, 1)), scale=1.0)


def _norm() -> list[onnx.TensorProto]:
    positive = constant("var", np.linspace(0.5, 2.0, 4, dtype=np.float32))
    return [*(weights(name, 4) for name in ("scale", "shift", "mean")), positive]


def _pads(*values: int) -> onnx.TensorProto:
    return constant("pads", np.asarray(values, dtype=np.int64))


_NORM = _node("BatchNormalization", "c scale shift mean var", "y", name="norm")

# By name: nodes from x to y, constants, and the operators that are left.
CASES: dict[str, tuple[list[onnx.NodeProto], list[onnx.TensorProto], list[str]]] = {
    "norm": ([_conv(), _NORM], [_KERNEL, *_norm()], ["Conv"]),
    "norm-bias": ([_conv("x w b"), _NORM], [_KERNEL, weights("b", 4), *_norm()], ["Conv"]),
    "norm-transposed": (
        [_node("ConvTranspose", "x w", "c", pads=[1] * 4, group=2), _NORM],
        [weights("w", 4, 2, 3, 3), *_norm()],
        ["ConvTranspose"],
    ),
    "norm-twice-read": (
        [_conv(), _NORM, _node("Relu", "c", "other")],
        [_KERNEL, *_norm()],
        ["Conv", "BatchNormalization", "Relu"],
    ),
    "mul": ([_conv(), _node("Mul", "f c", "y")], [_KERNEL, _channels("f")], ["Conv"]),
    "mul-number": (
        [_conv(), _node("Mul", "c f", "y")],
        [_KERNEL, constant("f", np.float32(0.3))],
        ["Conv"],
    ),
    # Along height or width a factor of as many values is none by channel.
    "mul-height": (
        [_node("Conv", "x w", "c"), _node("Mul", "c f", "y")],
        [weights("w", 6, 4, 1, 1), _channels("f", 6, 1)],
        ["Conv", "Mul"],
    ),
    "mul-width": (
        [_node("Conv", "x w", "c"), _node("Mul", "c f", "y")],
        [weights("w", 5, 4, 1, 1), _channels("f", 5)],
        ["Conv", "Mul"],
    ),
    "mul-larger": (
        [_conv(), _node("Mul", "c f", "y")],
        [_KERNEL, _channels("f", 2, 4, 1, 1)],
        ["Conv", "Mul"],
    ),
    "div": ([_conv(), _node("Div", "c f", "y")], [_KERNEL, _channels("f")], ["Conv"]),
    "divided": ([_conv(), _node("Div", "f c", "y")], [_KERNEL, _channels("f")], ["Conv", "Div"]),
    "add": ([_conv(), _node("Add", "f c", "y")], [_KERNEL, _channels("f")], ["Conv"]),
    "sub": ([_conv(), _node("Sub", "c f", "y")], [_KERNEL, _channels("f")], ["Conv"]),
    "subtracted": ([_conv(), _node("Sub", "f c", "y")], [_KERNEL, _channels("f")], ["Conv", "Sub"]),
    "chain": (
        [
            _conv(),
            _node("BatchNormalization", "c scale shift mean var", "n"),
            _node("Mul", "n f", "m"),
            _node("Add", "m f", "y"),
        ],
        [_KERNEL, *_norm(), _channels("f")],
        ["Conv"],
    ),
    "pad": (
        [_node("Pad", "x pads", "p"), _node("Conv", "p w", "y", pads=[0, 1, 0, 0])],
        [_KERNEL, _pads(0, 0, 1, 2, 0, 0, 0, 1)],
        ["Conv"],
    ),
    "pad-channels": (
        [_node("Pad", "x pads", "p"), _node("Conv", "p w", "y")],
        [weights("w", 4, 5, 3, 3), _pads(0, 1, 0, 0, 0, 0, 0, 0)],
        ["Pad", "Conv"],
    ),
    "pad-reflected": (
        [_node("Pad", "x pads", "p", mode="reflect"), _node("Conv", "p w", "y")],
        [_KERNEL, _pads(0, 0, 1, 1, 0, 0, 1, 1)],
        ["Pad", "Conv"],
    ),
    "pad-ones": (
        [_node("Pad", "x pads v", "p"), _node("Conv", "p w", "y")],
        [_KERNEL, _pads(0, 0, 1, 1, 0, 0, 1, 1), constant("v", np.float32(1.0))],
        ["Pad", "Conv"],
    ),
    "pad-cut": (
        [_node("Pad", "x pads", "p"), _node("Conv", "p w", "y")],
        [_KERNEL, _pads(0, 0, -1, 1, 0, 0, 1, 1)],
        ["Pad", "Conv"],
    ),
    "pad-nothing": (
        [_node("Pad", "x pads", "p"), _node("Relu", "p", "y")],
        [_pads(*[0] * 8)],
        ["Relu"],
    ),
    "identity": ([_node("Identity", "x", "i"), _node("Relu", "i", "y")], [], ["Relu"]),
    # The model gives its own input: nothing else can make that.
    "identity-of-input": ([_node("Identity", "x", "y")], [], ["Identity"]),
    "identity-named": (
        [_node("Relu", "x", "r"), _node("Identity", "r", "y"), _node("Neg", "r", "z")],
        [],
        ["Relu", "Neg"],
    ),
    "dropout": ([_node("Dropout", "x", "d"), _node("Relu", "d", "y")], [], ["Relu"]),
    "turned-back": (
        [
            _node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            _node("Transpose", "t", "u", perm=[0, 3, 1, 2]),
            _node("Relu", "u", "y"),
        ],
        [],
        ["Relu"],
    ),
    "turned-twice": (
        [
            _node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            _node("Transpose", "t", "y", perm=[0, 2, 1, 3]),
        ],
        [],
        ["Transpose"],
    ),
    "counted-twice": (
        [_node("Reshape", "x s", "r"), _node("Reshape", "r t", "y")],
        [constant("s", [4, 30]), constant("t", [0, 5, -1])],
        ["Reshape"],
    ),
    "same-shape": (
        [_node("Reshape", "x s", "r"), _node("Relu", "r", "y")],
        [constant("s", [0, 0, 6, -1])],
        ["Relu"],
    ),
    "cut-twice": (
        [_node("Slice", "x one four a2", "s"), _node("Slice", "s one four a3", "y")],
        _SLICE,
        ["Slice"],
    ),
    "cut-along-one-axis": (
        [_node("Slice", "x one four a2", "s"), _node("Slice", "s one four a2", "y")],
        _SLICE,
        ["Slice", "Slice"],
    ),
    "turned-round": (
        [_node("Slice", "x start end axis step", "s"), _node("Relu", "s", "y")],
        [
            constant("start", [-1]),
            constant("end", [-(2**31)]),
            constant("axis", [3]),
            constant("step", [-1]),
        ],
        ["Slice", "Relu"],
    ),
    "uncut": (
        [_node("Slice", "x zero large", "s"), _node("Relu", "s", "y")],
        [constant("zero", [0, 0]), constant("large", [9, 9])],
        ["Relu"],
    ),
    "joined-twice": (
        [_node("Concat", "x x", "c", axis=1), _node("Concat", "x c x", "y", axis=1)],
        [],
        ["Concat"],
    ),
    "joined-otherwise": (
        [_node("Concat", "x x", "c", axis=2), _node("Concat", "c c", "y", axis=1)],
        [],
        ["Concat", "Concat"],
    ),
    "times-one": (
        [_node("Mul", "one x", "m"), _node("Relu", "m", "y")],
        [constant("one", np.ones((1, 4, 1, 1), np.float32))],
        ["Relu"],
    ),
    "times-ones-made-larger": (
        [_node("Mul", "one x", "y")],
        [constant("one", np.ones((3, 4, 1, 1), np.float32))],
        ["Mul"],
    ),
    "from-zero": (
        [_node("Sub", "zero x", "y")],
        [constant("zero", np.float32(0.0))],
        ["Sub"],
    ),
    "computed-twice": (
        [_node("Relu", "x", "a"), _node("Relu", "x", "b"), _node("Mul", "a b", "y")],
        [],
        ["Relu", "Mul"],
    ),
    "given-twice": ([_node("Relu", "x", "y"), _node("Relu", "x", "z")], [], ["Relu", "Relu"]),
    "other-attributes": (
        [
            _node("LeakyRelu", "x", "a", alpha=0.1),
            _node("LeakyRelu", "x", "b", alpha=0.2),
            _node("Mul", "a b", "y"),
        ],
        [],
        ["LeakyRelu", "LeakyRelu", "Mul"],
    ),
    "chance": (
        [
            _node("RandomNormalLike", "x", "a"),
            _node("RandomNormalLike", "x", "b"),
            _node("Sub", "a b", "c"),
            _node("Mul", "c zero", "d"),
            _node("Add", "d x", "y"),
        ],
        [constant("zero", np.float32(0.0))],
        ["RandomNormalLike", "RandomNormalLike", "Sub", "Mul", "Add"],
    ),
}


def _model(nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> onnx.ModelProto:
    """With every tensor that nobody reads as an output, beside ``y``."""
    read = {name for node in nodes for name in node.input}
    ends = [name for node in nodes for name in node.output if name not in read or name == "y"]
    read |= set(ends)
    held = [tensor for tensor in constants if tensor.name in read]
    made = model(nodes, {"x": _IMAGE}, dict.fromkeys(ends, ()), held, opset=13)
    for value in made.graph.output:
        value.type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(made, data_prop=True)


def _shapes(made: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    found = onnx.shape_inference.infer_shapes(made, data_prop=True).graph
    values = (*found.input, *found.value_info, *found.output)
    return {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}


def _results(made: onnx.ModelProto, image: np.ndarray) -> dict[str, np.ndarray]:
    names = [value.name for value in made.graph.output]
    results = open_model(made.SerializeToString(), optimized=False).run(names, {"x": image})
    return dict(zip(names, results, strict=True))


def _check(made: onnx.ModelProto) -> onnx.ModelProto:
    """Simplify a copy, and hold its results against the model's."""
    simple = onnx.ModelProto()
    simple.CopyFrom(made)
    simplify(simple, _shapes(made))
    onnx.checker.check_model(simple)
    image = np.random.default_rng(0).standard_normal(_IMAGE).astype(np.float32)
    wanted, found = _results(made, image), _results(simple, image)
    assert wanted.keys() == found.keys()
    for name, array in wanted.items():
        assert array.shape == found[name].shape
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4 * abs(array).max())
    return simple


@pytest.mark.parametrize("name", CASES)
def test_what_is_left(name: str) -> None:
    nodes, constants, left = CASES[name]
    simple = _check(_model(nodes, constants))
    assert [node.op_type for node in simple.graph.node] == left
    read = {tensor for node in simple.graph.node for tensor in node.input}
    assert {tensor.name for tensor in simple.graph.initializer} <= read


def test_what_a_branch_reads_stays() -> None:
    """The graphs of an If read tensors by their names."""
    branch = helper.make_graph(
        [_node("Neg", "i", "n")], "then", [], [helper.make_tensor_value_info("n", 1, None)]
    )
    other = helper.make_graph(
        [_node("Relu", "i", "n")], "else", [], [helper.make_tensor_value_info("n", 1, None)]
    )
    nodes = [
        _node("Relu", "x", "r"),
        _node("Identity", "r", "i"),
        _node("ReduceSum", "x", "sum", keepdims=0),
        _node("Greater", "sum zero", "positive"),
        _node("If", "positive", "y", then_branch=branch, else_branch=other),
    ]
    made = model(nodes, {"x": _IMAGE}, {"y": _IMAGE}, [constant("zero", np.float32(0.0))])
    assert "Identity" in [node.op_type for node in _check(made).graph.node]


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs_keep_their_values(seed: int) -> None:
    """Operators that rules know, in any order, with outputs anywhere between them."""
    draw = random.Random(seed)
    made = _random_model(draw)
    simple = _check(made)
    again = onnx.ModelProto()
    again.CopyFrom(simple)
    assert simplify(again, _shapes(simple)) == 0, "a second time there is nothing left to do"


def _random_model(draw: random.Random) -> onnx.ModelProto:
    nodes: list[onnx.NodeProto] = []
    constants = [*_norm(), _KERNEL, _pads(0, 0, 1, 1, 0, 0, 1, 1), _channels("f")]
    constants += [constant("ones", np.ones((1, 4, 1, 1), np.float32)), weights("row", 5)]
    constants += [constant("none", np.zeros(8, np.int64))]
    constants += [constant("zero", [0]), constant("large", [99]), constant("same", [0, 0, 0, 0])]
    menu = {
        "Conv": ("w", {"pads": [1] * 4}),
        "BatchNormalization": ("scale shift mean var", {}),
        "Mul": ("f", {}),
        "Add": ("row", {}),
        "Div": ("ones", {}),
        "Sub": ("f", {}),
        "Identity": ("", {}),
        "Dropout": ("", {}),
        "Transpose": ("", {"perm": [0, 1, 2, 3]}),
        "Reshape": ("same", {}),
        "Slice": ("zero large", {}),
        "Pad": ("none", {}),
        "Relu": ("", {}),
    }
    tensors = ["x"]
    for index in range(draw.randrange(4, 16)):
        operator = draw.choice([*menu, "Turned", "Padded"])
        source = draw.choice(tensors[-3:])
        name = f"t{index}"
        if operator == "Turned":
            nodes.append(_node("Transpose", source, f"{name}/a", perm=[0, 2, 3, 1]))
            nodes.append(_node("Transpose", f"{name}/a", name, perm=[0, 3, 1, 2]))
        elif operator == "Padded":
            nodes.append(_node("Pad", f"{source} pads", f"{name}/a"))
            nodes.append(_node("Conv", f"{name}/a w", name))
        else:
            more, attributes = menu[operator]
            nodes.append(_node(operator, f"{source} {more}", name, **attributes))
        tensors.append(name)
    given = sorted({tensors[-1], *draw.sample(tensors[1:], draw.randrange(1, 4))})
    return model(nodes, {"x": _IMAGE}, dict.fromkeys(given, _IMAGE), constants, opset=13)


def test_sizes_that_depend_on_values_stay_open_for_runtimes_that_read_onnx(tmp_path: Path) -> None:
    """How many boxes are left, which no run on other values tells."""
    made = model(
        [
            _node("NonMaxSuppression", "boxes scores most shared least", "kept"),
            _node("Shape", "kept", "sizes"),
            _node("Cast", "sizes", "y", to=onnx.TensorProto.FLOAT),
        ],
        {"boxes": (1, 6, 4), "scores": (1, 1, 6)},
        {"y": (2,)},
        [
            constant("most", np.asarray([6])),
            constant("shared", np.asarray([0.5], dtype=np.float32)),
            constant("least", np.asarray([0.4], dtype=np.float32)),
        ],
    )
    source = read_onnx(save(made, tmp_path / "boxes.onnx"), {})
    boxes = np.arange(6, dtype=np.float32)[None, :, None] + np.asarray([0, 0, 1, 1], np.float32)
    for count in (0, 2, 6):
        scores = (np.arange(6) < count).astype(np.float32)[None, None]
        (found,) = open_model(simplified(source).SerializeToString()).run(
            None, {"boxes": boxes, "scores": scores}
        )
        assert list(found) == [count, 3]
