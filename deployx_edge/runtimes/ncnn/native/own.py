"""Operators of our own (``ops/``) as layers of ncnn: all are written alike, by what op.toml says.

The layer of ``ops/<name>/`` has the type ``dx.<name>``. Its parameters are the node's attributes,
by their places in op.toml, and from 20 on the shape of each input (``workers/ncnn/operator.h``
reads them). Constants come as blobs like all inputs.
"""

from __future__ import annotations

import math
from typing import Any

from deployx_edge.operator_facts import shown
from deployx_edge.operator_file import AttributeFact, OperatorFacts, misfit
from deployx_edge.runtimes.ncnn.native.axes import natural_dims
from deployx_edge.runtimes.ncnn.native.graph import Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder, Parameter
from deployx_edge.runtimes.ncnn.native.kinds import WHOLE

_FIRST_SHAPE = 20
_ABSENT = -1
_LARGEST_WHOLE = 2**24  # that floats hold exactly, as all below
_LARGEST_INTEGER = 2**31 - 1


def write_own(builder: GraphBuilder, node: Node, facts: OperatorFacts) -> None:
    """Add the operator's layer."""
    graph = builder.graph
    _check(builder, node, facts)
    params: dict[int, Parameter] = {}
    for place, attribute in enumerate(facts.attributes):
        if attribute.name in node.attributes:
            params[place] = _value(attribute, node.attributes[attribute.name])
        elif attribute.before and not node.domain and graph.opset < attribute.before[0]:
            params[place] = _value(attribute, attribute.before[1])
    bottoms = []
    for place in range(len(facts.inputs)):
        tensor = node.input(place)
        if tensor:
            shape = graph.shape(tensor)
            params[_FIRST_SHAPE + place] = (len(shape), *shape)
            bottoms.append(builder.take(tensor))
        else:
            params[_FIRST_SHAPE + place] = (_ABSENT,)
    tops = {}
    for place in range(len(facts.outputs)):
        tensor = node.outputs[place] if place < len(node.outputs) else ""
        tops[tensor or f"{node.name}/unused_{place}"] = (
            natural_dims(graph.shape(tensor)) if tensor else (1,)
        )
    builder.add(facts.layer_type, node, bottoms, tops, params)


def _check(builder: GraphBuilder, node: Node, facts: OperatorFacts) -> None:
    """RefusedError for a node that op.toml does not describe, or that ncnn cannot have."""
    if "ncnn" not in facts.runtimes:
        others = [f"--runtime {each}" for each in facts.runtimes]
        raise RefusedError(
            f"the operator {facts.title} of {shown(facts)} has no kernel for ncnn; "
            + (f"it has one for {', '.join(others)}, or " if others else "")
            + "write ncnn.cpp (docs/adding-an-op.md)"
        )
    if not node.domain and builder.graph.opset < facts.opset:
        raise RefusedError(
            f"it is known from opset {facts.opset} on, the model's is {builder.graph.opset}"
        )
    if len(node.outputs) > len(facts.outputs):
        raise RefusedError(f"it has more outputs than {shown(facts)}/op.toml knows")
    given = [bool(node.input(place)) for place in range(len(node.inputs))]
    unfit = misfit(facts, given, node.attributes)
    if unfit:
        raise RefusedError(f"it is not as {shown(facts)}/op.toml says: {unfit}")
    for tensor in node.inputs:
        values = builder.graph.constants.get(tensor)
        if values is not None and values.dtype.kind in "iu" and values.size:
            largest = int(max(abs(int(values.min())), abs(int(values.max()))))
            if largest > _LARGEST_WHOLE:
                raise RefusedError(
                    f"its constant '{tensor}' holds {largest}, which floats do not hold exactly"
                )
    for tensor in node.outputs:
        if builder.graph.kinds.get(tensor) != WHOLE:
            continue
        if any(size > _LARGEST_WHOLE for size in builder.graph.shape(tensor)):
            raise RefusedError(f"its '{tensor}' may hold indices that floats do not hold exactly")


def _value(attribute: AttributeFact, given: Any) -> Parameter:
    """The attribute's value as a parameter."""
    if attribute.type == "choice":
        text = given.decode() if isinstance(given, bytes) else str(given)
        return attribute.values.index(text)
    if attribute.type == "float":
        return float(given)
    if attribute.type == "floats":
        return [float(item) for item in given]
    if attribute.type == "int":
        return _integer(attribute, given)
    return [_integer(attribute, item) for item in given]


def _integer(attribute: AttributeFact, value: Any) -> int:
    found = int(value)
    if not math.fabs(found) <= _LARGEST_INTEGER:
        raise RefusedError(f"its {attribute.name} is {found}, which ncnn does not hold")
    return found
