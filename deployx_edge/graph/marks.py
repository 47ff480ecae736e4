"""Marks in an ONNX model: nodes that give their input unchanged and name a place.

A marked function (``rewriting.mark``) leaves one for each tensor that goes in or comes out:

    before ── deployx::Mark(name, kind, tensor, call) ── behind

A reference to marks is written ``NAME:input``, ``NAME:output``, ``NAME[CALL]:output`` or
``NAME:output/TENSOR``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.errors import UsageError
from deployx_edge.graph.subgraphs import graphs_in, nodes_within, rename_tensors
from deployx_edge.model import MARK_DOMAIN, MARK_OPERATOR

if TYPE_CHECKING:
    import onnx

_REFERENCE = re.compile(
    r"(?P<name>[^\s:/\[\]]+)(\[(?P<call>\d+)\])?:(?P<kind>input|output)(/(?P<tensor>\S+))?"
)


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One marked tensor.

    ``name`` is the marked function's, ``kind`` "input" or "output", ``tensor`` the name that
    the author gave it there, ``call`` counts the function's calls from 0. ``before`` and
    ``behind`` are the graph's names of the tensor on both sides of the mark; its values are
    the same.
    """

    name: str
    kind: str
    tensor: str
    call: int
    before: str
    behind: str

    def __str__(self) -> str:
        return f"{self.name}[{self.call}]:{self.kind}/{self.tensor}"


def is_mark(node: onnx.NodeProto) -> bool:
    """Whether a node is a mark."""
    return node.domain == MARK_DOMAIN and node.op_type == MARK_OPERATOR


def find_marks(model: onnx.ModelProto) -> tuple[Mark, ...]:
    """The marks of a model, in the order of its nodes (not those within loops and branches)."""
    from onnx import helper

    found = []
    for node in filter(is_mark, model.graph.node):
        says = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        found.append(
            Mark(
                name=says["name"].decode(),
                kind=says["kind"].decode(),
                tensor=says["tensor"].decode(),
                call=says["call"],
                before=node.input[0],
                behind=node.output[0],
            )
        )
    return tuple(found)


def is_mark_reference(text: str) -> bool:
    """Whether ``text`` has the form of a reference to marks."""
    return _REFERENCE.fullmatch(text) is not None


def marks_meant(model: onnx.ModelProto, reference: str) -> tuple[Mark, ...]:
    """The marks that a reference means, those of one call.

    ``NAME:output/boxes`` means the tensor ``boxes``, or where that is a nest all tensors of it
    (``boxes.0`` …). Raises UsageError where there is none, or where the function was called
    several times and the reference does not say which call it means.
    """
    parts = _REFERENCE.fullmatch(reference)
    marks = find_marks(model)
    if parts is None:
        raise UsageError(
            f"'{reference}' does not refer to a mark.",
            remedy="Write it like detector:output, detector[1]:input or detector:output/boxes.",
        )
    fitting = [
        mark
        for mark in marks
        if mark.name == parts["name"]
        and mark.kind == parts["kind"]
        and parts["call"] in (None, str(mark.call))
        and (parts["tensor"] is None or f"{mark.tensor}.".startswith(f"{parts['tensor']}."))
    ]
    if not fitting:
        existing = ", ".join(_listed(marks)) or "none"
        raise UsageError(
            f"The model has no mark '{reference}'.", remedy=f"Its marks are: {existing}."
        )
    calls = sorted({mark.call for mark in fitting})
    if len(calls) > 1:
        raise UsageError(
            f"'{parts['name']}' was called {len(calls)} times; '{reference}' does not say which "
            "call it means.",
            remedy=f"Write {reference.replace(':', f'[{calls[0]}]:', 1)}, or [{calls[-1]}].",
        )
    return tuple(fitting)


def without_marks(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model without marks; inputs and outputs keep their names."""
    import copy

    made = copy.deepcopy(model)
    drop_marks(made, lambda _: True)
    return made


def drop_marks(model: onnx.ModelProto, chosen: Callable[[onnx.NodeProto], bool]) -> None:
    """Take the chosen marks out of the model, in place: what read behind them reads before them."""
    _drop(model.graph, {}, chosen)
    graph = model.graph
    inner = {name for node in graph.node for name in node.output}
    inner -= {value.name for value in graph.output}
    kept = [value for value in graph.value_info if value.name in inner]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    if not any(node.domain == MARK_DOMAIN for node in _all_nodes(model)):
        domains = [entry for entry in model.opset_import if entry.domain != MARK_DOMAIN]
        del model.opset_import[:]
        model.opset_import.extend(domains)


def _drop(
    graph: onnx.GraphProto, names: dict[str, str], chosen: Callable[[onnx.NodeProto], bool]
) -> None:
    """Drop marks from a graph; ``names`` are what stands for tensors behind dropped ones."""
    names = dict(names)
    outputs = {value.name for value in graph.output}
    makers = {name: node for node in graph.node for name in node.output}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        for inner in graphs_in(node):
            _drop(inner, names, chosen)
        if not (is_mark(node) and chosen(node)):
            kept.append(node)
            continue
        before, behind = node.input[0], node.output[0]
        if behind not in outputs:
            names[behind] = before
        elif before in makers and before not in outputs:
            # The output keeps its name: whatever makes the tensor makes it under that one.
            rename_tensors(graph, {before: behind})
            names.update({key: behind for key, value in names.items() if value == before})
            makers[behind] = makers.pop(before)
        else:
            node.op_type, node.domain = "Identity", ""
            del node.attribute[:]
            kept.append(node)
    del graph.node[:]
    graph.node.extend(kept)


def _all_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    bodies = [model.graph.node, *(body.node for body in model.functions)]
    return [node for body in bodies for node in nodes_within(body)]


def _listed(marks: Iterable[Mark]) -> list[str]:
    """References that mean what exists: with the call's number only where there are several."""
    marks = list(marks)
    calls = {
        mark.name: {other.call for other in marks if other.name == mark.name} for mark in marks
    }
    return [
        str(mark) if len(calls[mark.name]) > 1 else f"{mark.name}:{mark.kind}/{mark.tensor}"
        for mark in marks
    ]
