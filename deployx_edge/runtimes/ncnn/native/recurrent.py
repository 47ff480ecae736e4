"""LSTM, GRU and RNN over one sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deployx_edge.model import format_shape
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter, Weight
from deployx_edge.runtimes.ncnn.native.table import writes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DIRECTIONS = {"forward": 0, "reverse": 1, "bidirectional": 2}
# ncnn's order of the gates, as places in ONNX's (LSTM: i o f c, GRU: z r h).
_GATES = {"LSTM": (0, 2, 1, 3), "GRU": (1, 0, 2), "RNN": (0,)}
_ACTIVATIONS = {
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "RNN": ["Tanh"],
}


@writes("LSTM", "GRU", "RNN")
def recurrent(builder: GraphBuilder, node: Node) -> None:
    """The layer of the same name; states go in and come out where the node has them."""
    import numpy as np

    graph = builder.graph
    _check(graph, node)
    steps, _, size = graph.shape(node.input(0))
    weight = np.asarray(graph.constant(node.input(1), "W"), dtype=np.float32)
    recurrence = np.asarray(graph.constant(node.input(2), "R"), dtype=np.float32)
    directions, hidden = weight.shape[0], recurrence.shape[2]
    gates = _GATES[node.operator]
    bias = np.zeros((directions, 2 * len(gates) * hidden), dtype=np.float32)
    if node.input(3):
        bias = np.asarray(graph.constant(node.input(3), "B"), dtype=np.float32)
    weights = (
        Weight(values=_ordered(weight, gates, hidden), tagged=True),
        Weight(values=_bias(node.operator, bias, gates, hidden), tagged=True),
        Weight(values=_ordered(recurrence, gates, hidden), tagged=True),
    )
    params: dict[int, Parameter] = {
        0: hidden,
        1: directions * len(gates) * hidden * size,
        2: _DIRECTIONS[node.text("direction", "forward")],
    }
    bottoms = [builder.take(node.input(0), (steps, size))]
    states = [5, 6] if node.operator == "LSTM" else [5]
    shape = (directions, hidden)
    if any(node.input(index) for index in states):
        for index in states:
            if not node.input(index):
                bottoms.append(builder.memory(node, np.zeros(shape, dtype=np.float32)))
            else:
                bottoms.append(builder.take(node.input(index), shape))
    wanted = [name for name in node.outputs if name]
    last = any(name and graph.is_used(name) for name in node.outputs[1:])
    tops = {_named(node, 0, wanted): (steps, directions * hidden)}
    if last or len(bottoms) > 1:
        for index in range(1, 1 + len(states)):
            tops[_named(node, index, wanted)] = shape
    # ncnn gives (steps, directions × hidden), ONNX (steps, directions, hidden): the same.
    builder.add(node.operator, node, bottoms, tops, params, weights)


def _named(node: Node, index: int, wanted: list[str]) -> str:
    """The output's tensor, or a name for what the layer gives and the node leaves out."""
    name = node.outputs[index] if index < len(node.outputs) else ""
    return name if name in wanted and name else f"{node.name}/unused_{index}"


def _check(graph: Graph, node: Node) -> None:
    shape = graph.shape(node.input(0))
    if node.integer("layout", 0):
        raise RefusedError("its layout puts the batch first")
    if len(shape) != 3 or shape[1] != 1:
        raise RefusedError(f"its input {format_shape(shape)} is not one sequence")
    directions = 2 if node.text("direction", "forward") == "bidirectional" else 1
    expected = _ACTIVATIONS[node.operator] * directions
    found = [_text(value) for value in node.attributes.get("activations", expected)]
    if found != expected:
        raise RefusedError(f"its activations are {', '.join(found)}")
    if "clip" in node.attributes or node.integer("input_forget", 0):
        raise RefusedError("it clips, or couples its gates")
    if node.operator == "GRU" and not node.integer("linear_before_reset", 0):
        raise RefusedError("it resets before the product (linear_before_reset is 0)")
    if node.input(4):
        lengths = graph.constant(node.input(4), "sequence_lens").reshape(-1)
        if any(int(length) != shape[0] for length in lengths):
            raise RefusedError("its sequence is shorter than its input")
    if node.input(7):
        raise RefusedError("it has peepholes")


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _ordered(values: NDArray[Any], gates: tuple[int, ...], hidden: int) -> NDArray[Any]:
    """(directions, gates × hidden, inputs) with the gates in ncnn's order, flat."""
    import numpy as np

    directions, _, inputs = values.shape
    parts = values.reshape(directions, len(gates), hidden, inputs)
    return np.ascontiguousarray(parts[:, list(gates)]).reshape(-1)


def _bias(operator: str, values: NDArray[Any], gates: tuple[int, ...], hidden: int) -> NDArray[Any]:
    """ncnn's biases: one a gate; GRU keeps both parts of its new gate apart."""
    import numpy as np

    directions = values.shape[0]
    parts = values.reshape(directions, 2, len(gates), hidden)[:, :, list(gates)]
    if operator != "GRU":
        summed: NDArray[Any] = parts.sum(axis=1).reshape(-1)
        return summed
    joined = parts[:, 0, :2] + parts[:, 1, :2]
    news = np.stack([parts[:, 0, 2], parts[:, 1, 2]], axis=1)
    flat: NDArray[Any] = np.concatenate([joined, news], axis=1).reshape(-1)
    return flat
