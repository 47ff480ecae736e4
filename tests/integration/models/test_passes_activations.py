"""GELU, hard-swish, hard-sigmoid, swish and mish that are written out."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployx_edge.graph.passes import (
    GraphPass,
    fuse_gelu,
    fuse_hard_sigmoid,
    fuse_hard_swish,
    fuse_mish,
    fuse_swish,
)
from tests.integration.models.passes_helper import (
    Graph,
    fused,
    left_alone,
    operators,
    right_in_ncnn,
    shapes_of,
)

SHAPE = (1, 6, 5, 7)
ROOT = math.sqrt(2.0)
SLOPE = math.sqrt(2.0 / math.pi)
# A graph with the tensor "x" to what the activation makes of it.
Writing = Callable[[Graph], str]


def erf(graph: Graph, argument: str) -> str:
    return graph("Add", graph("Erf", argument), 1.0)


def tanh(graph: Graph, argument: str) -> str:
    return graph("Add", 1.0, graph("Tanh", argument))


def cubic(graph: Graph) -> str:
    cube = graph("Mul", graph("Pow", "x", 3.0), 0.044715)
    return graph("Mul", graph("Add", "x", cube), SLOPE)


def of_products(graph: Graph) -> str:
    square = graph("Mul", "x", "x")
    cube = graph("Mul", 0.044715, graph("Mul", "x", square))
    return graph("Mul", SLOPE, graph("Add", cube, "x"))


def in_brackets(graph: Graph) -> str:
    inner = graph("Add", graph("Mul", graph("Mul", "x", 0.044715), "x"), 1.0)
    return graph("Mul", graph("Mul", "x", SLOPE), inner)


def spread_out(graph: Graph) -> str:
    cube = graph("Mul", graph("Mul", graph("Mul", "x", "x"), "x"), SLOPE * 0.044715)
    return graph("Sub", graph("Mul", "x", SLOPE), graph("Neg", cube))


def clipped(graph: Graph, shift: float = 3.0, high: float = 6.0, low: float = 0.0) -> str:
    return graph("Clip", graph("Add", "x", shift), low, high)


EXACT: list[Writing] = [
    lambda g: g("Mul", g("Mul", "x", erf(g, g("Div", "x", ROOT))), 0.5),
    lambda g: g("Mul", g("Mul", "x", 0.5), erf(g, g("Div", "x", ROOT))),
    lambda g: g("Mul", erf(g, g("Mul", "x", 1.0 / ROOT)), g("Mul", 0.5, "x")),
    lambda g: g("Mul", "x", g("Mul", 0.5, erf(g, g("Mul", 0.70710678, "x")))),
    lambda g: g("Div", g("Mul", "x", erf(g, g("Div", "x", ROOT))), 2.0),
    lambda g: g("Mul", "x", g("Add", g("Mul", g("Erf", g("Div", "x", ROOT)), 0.5), 0.5)),
    lambda g: g("Mul", g("Div", "x", ROOT), g("Div", erf(g, g("Div", "x", ROOT)), ROOT)),
]
BY_TANH: list[Writing] = [
    lambda g: g("Mul", g("Mul", 0.5, "x"), tanh(g, cubic(g))),
    lambda g: g("Mul", g("Mul", "x", tanh(g, of_products(g))), 0.5),
    lambda g: g("Mul", "x", g("Mul", tanh(g, in_brackets(g)), 0.5)),
    lambda g: g("Div", g("Mul", tanh(g, spread_out(g)), "x"), 2.0),
]
HARD_SWISH: list[Writing] = [
    lambda g: g("Div", g("Mul", "x", clipped(g)), 6.0),
    lambda g: g("Mul", "x", g("Div", clipped(g), 6.0)),
    lambda g: g("Mul", g("Mul", clipped(g), 1.0 / 6.0), "x"),
    lambda g: g("Mul", g("Div", "x", 6.0), clipped(g)),
    lambda g: g("Mul", "x", g("HardSigmoid", "x", alpha=1.0 / 6.0, beta=0.5)),
    lambda g: g("Mul", g("HardSigmoid", "x", alpha=0.1666667, beta=0.5), "x"),
    lambda g: g("Mul", "x", g("Clip", g("Add", g("Div", "x", 6.0), 0.5), 0.0, 1.0)),
    lambda g: g("Mul", g("Div", g("Min", g("Relu", g("Add", 3.0, "x")), 6.0), 6.0), "x"),
    lambda g: g("Div", g("Mul", "x", g("Max", g("Min", g("Add", "x", 3.0), 6.0), 0.0)), 6.0),
    lambda g: g("Div", g("Mul", "x", g("Clip", g("Relu", g("Add", "x", 3.0)), -1.0, 6.0)), 6.0),
]
HARD_SIGMOID: list[Writing] = [
    lambda g: g("Div", clipped(g), 6.0),
    lambda g: g("Mul", clipped(g), 1.0 / 6.0),
    lambda g: g("Clip", g("Add", g("Mul", "x", 0.2), 0.5), 0.0, 1.0),
    lambda g: g("Div", g("Min", g("Relu", g("Sub", "x", -3.0)), 6.0), 6.0),
    lambda g: g("Min", g("Max", g("Add", g("Mul", "x", 0.25), 0.5), 0.0), 1.0),
    lambda g: g("Div", g("Clip", g("Sub", 1.0, g("Mul", "x", -2.0)), 0.0, 4.0), 4.0),
]
MISH: list[Writing] = [
    lambda g: g("Mul", "x", g("Tanh", g("Softplus", "x"))),
    lambda g: g("Mul", g("Tanh", g("Softplus", "x")), "x"),
    lambda g: g("Mul", "x", g("Tanh", g("Log", g("Add", g("Exp", "x"), 1.0)))),
]
SWISH: list[Writing] = [
    lambda g: g("Mul", "x", g("Sigmoid", "x")),
    lambda g: g("Mul", g("Sigmoid", "x"), "x"),
]
PASSES: dict[str, tuple[GraphPass, list[Writing]]] = {
    "Gelu": (fuse_gelu, [*EXACT, *BY_TANH]),
    "HardSwish": (fuse_hard_swish, HARD_SWISH),
    "HardSigmoid": (fuse_hard_sigmoid, HARD_SIGMOID),
    "Mish": (fuse_mish, MISH),
    "Swish": (fuse_swish, SWISH),
}
ALL = [
    (operator, graph_pass, writing)
    for operator, (graph_pass, writings) in PASSES.items()
    for writing in writings
]


def written(writing: Writing, opset: int = 13) -> onnx.ModelProto:
    graph = Graph(opset, x=SHAPE)
    return graph.model(graph("Neg", writing(graph)))


@pytest.mark.parametrize(("operator", "graph_pass", "writing"), ALL)
def test_activations_that_are_written_out(
    operator: str, graph_pass: GraphPass, writing: Writing, tmp_path: Path
) -> None:
    made = written(writing)
    after = fused(graph_pass, made)
    assert operators(after) == [operator, "Neg"]
    assert after.graph.node[0].name == made.graph.node[-2].name
    assert not after.graph.initializer
    right_in_ncnn(made, tmp_path)


@pytest.mark.parametrize("writing", BY_TANH)
def test_gelu_by_tanh_is_called_so(writing: Writing) -> None:
    (attribute,) = fused(fuse_gelu, written(writing)).graph.node[0].attribute
    assert (attribute.name, attribute.s) == ("approximate", b"tanh")


def test_the_line_of_a_hard_sigmoid() -> None:
    node = fused(fuse_hard_sigmoid, written(HARD_SIGMOID[5])).graph.node[0]
    values = {entry.name: entry.f for entry in node.attribute}
    assert values == pytest.approx({"alpha": 0.5, "beta": 0.25})


numbers = st.lists(
    st.tuples(
        st.sampled_from([0.25, 2.0, 3.0, 0.7]),
        st.sampled_from(["x", "bracket", "product"]),
        st.booleans(),
    ),
    max_size=3,
)
forms = st.sampled_from([None, cubic, of_products, in_brackets, spread_out])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(numbers=numbers, form=forms, turned=st.booleans())
def test_the_factors_of_a_gelu_stand_anywhere(
    numbers: list[tuple[float, str, bool]], form: Writing | None, turned: bool
) -> None:
    """x, the bracket, and numbers whose product is 1/2, multiplied in any order."""
    graph = Graph(x=(1, 4, 9))
    bracket = erf(graph, graph("Div", "x", ROOT)) if form is None else tanh(graph, form(graph))
    places = {"x": "x", "bracket": bracket}
    rest = 0.5 / math.prod(number for number, _, _ in numbers)
    for number, place, last in [*numbers, (rest, "product", turned)]:
        if place == "product" and place not in places:
            both = (places["bracket"], places["x"]) if turned else (places["x"], places["bracket"])
            places[place] = graph("Mul", *both)
        elif place != "product" and "product" in places:
            place = "product"
        operands = (places[place], number) if last else (number, places[place])
        places[place] = graph("Mul", *operands)
    after = fused(fuse_gelu, graph.model(graph("Neg", places["product"])))
    assert operators(after) == ["Gelu", "Neg"]


NEAR: dict[GraphPass, list[Writing]] = {
    fuse_gelu: [
        lambda g: g("Mul", g("Mul", "x", erf(g, g("Div", "x", 1.414))), 0.5),
        lambda g: g("Mul", g("Mul", "x", erf(g, g("Div", "x", ROOT))), 0.51),
        lambda g: g("Mul", "x", erf(g, g("Div", "x", ROOT))),
        lambda g: g("Mul", g("Mul", "x", g("Add", g("Erf", g("Div", "x", ROOT)), 0.9)), 0.5),
        lambda g: g("Mul", g("Mul", "x", g("Sub", 1.0, g("Erf", g("Div", "x", ROOT)))), 0.5),
        lambda g: g("Mul", g("Mul", g("Abs", "x"), erf(g, g("Div", "x", ROOT))), 0.5),
        lambda g: g("Mul", g("Mul", "x", tanh(g, g("Div", "x", ROOT))), 0.5),
        lambda g: g("Mul", g("Mul", "x", tanh(g, g("Mul", cubic(g), 1.001))), 0.5),
        lambda g: g("Mul", g("Mul", "x", tanh(g, g("Add", cubic(g), 0.1))), 0.5),
        lambda g: g("Mul", g("Mul", "x", erf(g, cubic(g))), 0.5),
        lambda g: g("Div", erf(g, g("Div", "x", ROOT)), g("Mul", "x", 2.0)),
    ],
    fuse_hard_swish: [
        lambda g: g("Div", g("Mul", "x", clipped(g, shift=2.5)), 6.0),
        lambda g: g("Div", g("Mul", "x", clipped(g, high=5.0)), 6.0),
        lambda g: g("Div", g("Mul", "x", clipped(g, low=-1.0)), 6.0),
        lambda g: g("Div", g("Mul", "x", clipped(g)), 5.0),
        lambda g: g("Mul", "x", clipped(g)),
        lambda g: g("Div", g("Mul", g("Abs", "x"), clipped(g)), 6.0),
        lambda g: g("Mul", "x", g("HardSigmoid", "x")),
        lambda g: g("Mul", "x", g("HardSigmoid", "x", alpha=1.0 / 6.0, beta=0.4)),
        lambda g: g("Mul", "x", g("HardSigmoid", g("Abs", "x"), alpha=1.0 / 6.0)),
        lambda g: g("Div", g("Mul", "x", g("Relu", g("Add", "x", 3.0))), 6.0),
    ],
    fuse_hard_sigmoid: [
        lambda g: g("Div", g("Clip", "x", 0.0, 6.0), 6.0),
        lambda g: g("Div", clipped(g), 5.0),
        lambda g: g("Div", clipped(g, low=-1.0), 6.0),
        lambda g: g("Div", clipped(g, low=1.0), 6.0),
        lambda g: g("Clip", g("Sub", 0.5, "x"), 0.0, 1.0),
        lambda g: g("Div", g("Relu", g("Add", "x", 3.0)), 6.0),
        lambda g: g("Div", 6.0, g("Add", clipped(g), 1.0)),
    ],
    fuse_mish: [
        lambda g: g("Mul", "x", g("Tanh", g("Softplus", g("Abs", "x")))),
        lambda g: g("Mul", g("Abs", "x"), g("Tanh", g("Softplus", "x"))),
        lambda g: g("Mul", "x", g("Sigmoid", g("Softplus", "x"))),
        lambda g: g("Mul", "x", g("Tanh", g("Log", g("Add", g("Exp", "x"), 2.0)))),
        lambda g: g("Mul", "x", g("Tanh", "x")),
    ],
    fuse_swish: [
        lambda g: g("Mul", "x", g("Sigmoid", g("Abs", "x"))),
        lambda g: g("Mul", g("Abs", "x"), g("Sigmoid", "x")),
        lambda g: g("Mul", "x", g("Sigmoid", g("Mul", "x", 1.702))),
        lambda g: g("Add", "x", g("Sigmoid", "x")),
        lambda g: g("Div", "x", g("Sigmoid", "x")),
    ],
}


@pytest.mark.parametrize(
    ("graph_pass", "writing"),
    [(graph_pass, writing) for graph_pass, all_of in NEAR.items() for writing in all_of],
)
def test_what_only_looks_so_is_left_alone(graph_pass: GraphPass, writing: Writing) -> None:
    left_alone(graph_pass, written(writing))


@pytest.mark.parametrize(("operator", "graph_pass", "writing"), ALL)
@pytest.mark.parametrize("is_output", [True, False])
def test_what_is_also_read_elsewhere_stays(
    operator: str, graph_pass: GraphPass, writing: Writing, is_output: bool
) -> None:
    """Each tensor inside, as an output of the graph or as another node's input."""
    for node in written(writing).graph.node[:-2]:
        (inner,) = node.output
        graph = Graph(x=SHAPE)
        end = graph("Neg", writing(graph))
        model = graph.model(end, inner if is_output else graph("Abs", inner))
        shapes = shapes_of(model)
        if graph_pass(copy.deepcopy(model), dict(shapes)):
            # A line of a line is one, too: what is seen is where the pattern begins.
            after = fused(graph_pass, model)
            assert after.graph.node[operators(after).index(operator)].input[0] == inner
        else:
            left_alone(graph_pass, model)


def test_a_number_of_higher_rank_changes_the_shape() -> None:
    graph = Graph(x=(5, 7))
    one = np.ones((1, 1, 1), dtype=np.float32)
    gate = graph("Add", graph("Erf", graph("Div", "x", ROOT)), one)
    left_alone(fuse_gelu, graph.model(graph("Mul", graph("Mul", "x", gate), 0.5)))


def test_convolutions_run_what_was_written_out(tmp_path: Path) -> None:
    weight = np.linspace(-0.4, 0.4, 8 * 27, dtype=np.float32).reshape(8, 3, 3, 3)
    graph = Graph(image=(1, 3, 9, 9))
    first = graph("Conv", "image", weight)
    swish = graph(
        "Mul", first, graph("Div", graph("Clip", graph("Add", first, 3.0), 0.0, 6.0), 6.0)
    )
    second = graph("Conv", swish, weight[:, :1], group=8)
    made = graph.model(graph("Mul", second, graph("Tanh", graph("Softplus", second))))
    fused(fuse_hard_swish, made)
    fused(fuse_mish, made)
    right_in_ncnn(made, tmp_path)
    layers = [line.split()[0] for line in (tmp_path / "case.param").read_text().splitlines()[2:]]
    assert layers == ["Input", "Convolution", "ConvolutionDepthWise"]


def test_one_behind_the_other() -> None:
    graph = Graph(x=SHAPE)
    tensor = "x"
    for _ in range(3):
        tensor = graph("Mul", tensor, graph("Sigmoid", tensor))
    after = fused(fuse_swish, graph.model(tensor), times=3)
    assert operators(after) == ["Swish"] * 3
