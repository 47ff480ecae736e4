"""Hard gates: a line that is cut off below 0 and above."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.graph.links import attribute
from deployx_edge.graph.passes.algebra import as_line
from deployx_edge.graph.passes.matching import PatternGraph

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Gate:
    """``slope`` × ``tensor`` + ``offset``, at least 0 and at most ``height``."""

    slope: float
    offset: float
    height: float
    tensor: str


def cut_gate(graph: PatternGraph, tensor: str) -> Gate | None:
    """The tensor as a gate that Clip, Relu, Max or Min cut off."""
    low, high, inner = -math.inf, math.inf, tensor
    while True:
        node = graph.maker(inner, "Clip", "Relu", "Max", "Min")
        bounds = None if node is None else _bounds(graph, node)
        if bounds is None:
            break
        below, above, inner = bounds
        if below > above:
            return None
        # What comes out of here was cut by what was found before.
        low, high = min(max(low, below), high), max(min(high, above), low)
        if not graph.is_private(inner):
            break
    if low != 0.0 or not 0.0 < high < math.inf:
        return None
    line = as_line(graph, inner) if graph.is_private(inner) else None
    if line is None:
        return None
    return Gate(slope=line.slope, offset=line.offset, height=high, tensor=line.tensor)


def hard_sigmoid_gate(graph: PatternGraph, tensor: str) -> Gate | None:
    """The tensor as the gate that a HardSigmoid is."""
    node = graph.maker(tensor, "HardSigmoid")
    if node is None:
        return None
    return Gate(
        slope=float(attribute(node, "alpha", 0.2)),
        offset=float(attribute(node, "beta", 0.5)),
        height=1.0,
        tensor=node.input[0],
    )


def _bounds(graph: PatternGraph, node: onnx.NodeProto) -> tuple[float, float, str] | None:
    """The least and the largest that the node lets pass, and what it cuts off."""
    if node.op_type == "Relu":
        return 0.0, math.inf, node.input[0]
    if node.op_type == "Clip":
        return _bounds_of_clip(graph, node)
    if len(node.input) != 2:
        return None
    for limit, inner in (node.input, reversed(node.input)):
        number = graph.number(limit)
        if number is not None:
            is_least = node.op_type == "Max"
            return (number, math.inf, inner) if is_least else (-math.inf, number, inner)
    return None


def _bounds_of_clip(graph: PatternGraph, node: onnx.NodeProto) -> tuple[float, float, str] | None:
    found = []
    for index, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), start=1):
        if len(node.input) > index and node.input[index]:
            number = graph.number(node.input[index])
            if number is None:
                return None
            found.append(number)
        else:
            found.append(float(attribute(node, name, default)))
    return found[0], found[1], node.input[0]
