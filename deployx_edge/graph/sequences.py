"""Sequences and optional values whose members are known, written as the tensors themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.graph.editing import GraphEditor, keep_nodes
from deployx_edge.graph.links import OWN_DOMAINS

if TYPE_CHECKING:
    import onnx

    Nodes = list[onnx.NodeProto]


def write_out_sequences(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Replace what reads or makes sequences and optional values by what does so with tensors.

    SplitToSequence ── SequenceAt(1)                  ⇒   Split ── Identity
    SequenceConstruct(a, b) ── ConcatFromSequence     ⇒   Concat(a, b)

    Only where it is known which tensors are in them; gives the number of nodes replaced.
    """
    if not any(node.op_type in _WRITERS.keys() - {"Identity"} for node in model.graph.node):
        return 0
    writer = _Writer(model, shapes)
    nodes: Nodes = []
    replaced = 0
    for node in model.graph.node:
        found = writer.write(node)
        nodes.extend([node] if found is None else found)
        replaced += found is not None
    if replaced:
        keep_nodes(model.graph, nodes)
    return replaced


class _Writer:
    """What is known of sequences and optional values, node by node."""

    def __init__(self, model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.editor = GraphEditor(model)
        self.shapes = shapes
        # The tensors of each sequence; the tensor, or nothing, of each optional value.
        self.members: dict[str, list[str]] = {}
        self.options: dict[str, str | None] = {}
        # By member, the nodes that make it, written where the first of them is read.
        self._waiting: dict[str, Nodes] = {}

    def write(self, node: onnx.NodeProto) -> Nodes | None:
        """What stands for the node; None where it stays."""
        writer = _WRITERS.get(node.op_type) if node.domain in OWN_DOMAINS else None
        return None if writer is None else writer(self, node)

    def making(self, names: Sequence[str]) -> Nodes:
        """The nodes that have to make these members first."""
        groups = {
            id(self._waiting[name]): self._waiting[name] for name in names if name in self._waiting
        }
        for name in list(self._waiting):
            if id(self._waiting[name]) in groups:
                del self._waiting[name]
        return [node for group in groups.values() for node in group]

    def later(self, sequence: str, names: list[str], nodes: Nodes) -> None:
        """Enter a sequence whose members are made by ``nodes`` once somebody reads one."""
        self.members[sequence] = names
        self._waiting.update(dict.fromkeys(names, nodes))

    def place(self, node: onnx.NodeProto, index: int, default: int, size: int) -> int | None:
        """A position in a sequence that is an input; None where it is computed or too large."""
        if len(node.input) <= index or not node.input[index]:
            return default
        found = self.editor.number(node.input[index])
        if found is None or not -size <= found <= size:
            return None
        return found + size if found < 0 else found


def _at(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    if node.input[0] not in writer.members:
        return None
    names = writer.members[node.input[0]]
    index = writer.place(node, 1, 0, len(names))
    if index is None or index >= len(names):
        return None
    return [*writer.making([names[index]]), _identity(names[index], node.output[0])]


def _length(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    if node.input[0] not in writer.members:
        return None
    count = np.asarray(len(writer.members[node.input[0]]), dtype=np.int64)
    return [_identity(writer.editor.constant(f"{node.output[0]}/count", count), node.output[0])]


def _concat(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    if not writer.members.get(node.input[0]):
        return None
    names = writer.members[node.input[0]]
    attributes = _attributes(node)
    new_axis = bool(attributes.get("new_axis", 0))
    axis = attributes["axis"]
    joined = writer.editor.joined(names, axis, node.output[0], new_axis=new_axis)
    return [*writer.making(names), *joined]


def _construct(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    writer.members[node.output[0]] = list(node.input)
    return None


def _insert(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    source = node.input[0]
    if source not in writer.members:
        return None
    names = list(writer.members[source])
    index = writer.place(node, 2, len(names), len(names))
    if index is None:
        return None
    names.insert(index, node.input[1])
    writer.members[node.output[0]] = names
    return None


def _erase(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    source = node.input[0]
    if source not in writer.members:
        return None
    names = list(writer.members[source])
    index = writer.place(node, 1, len(names) - 1, len(names))
    if index is None or not 0 <= index < len(names):
        return None
    del names[index]
    writer.members[node.output[0]] = names
    return None


def _split(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    attributes = _attributes(node)
    shape = writer.shapes.get(node.input[0])
    given = node.input[1] if len(node.input) > 1 else ""
    if shape is None or not shape:
        return None
    axis = attributes.get("axis", 0) % len(shape)
    total, sizes = shape[axis], [1] * shape[axis]
    if given:
        values = writer.editor.value(given)
        if values is None:
            return None
        sizes = [int(size) for size in values.reshape(-1)]
        if not values.shape:
            step = sizes[0]
            sizes = [min(step, total - start) for start in range(0, total, step)]
    if sum(sizes) != total or not sizes:
        return None
    result = node.output[0]
    names = [writer.editor.free(f"{result}/{index}") for index in range(len(sizes))]
    if given or attributes.get("keepdims", 1):
        writer.later(result, names, [writer.editor.split(node.input[0], axis, sizes, names)])
        return None
    rows = [writer.editor.free(f"{name}/row") for name in names]
    nodes = [writer.editor.split(node.input[0], axis, sizes, rows)]
    nodes += [
        writer.editor.with_axis("Squeeze", row, axis, name)
        for row, name in zip(rows, names, strict=True)
    ]
    writer.later(result, names, nodes)
    return None


def _map(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    """SequenceMap: its body once for each member."""
    names = writer.members.get(node.input[0])
    others = [writer.members.get(name, [name] * len(names or ())) for name in node.input[1:]]
    if not names or any(len(other) != len(names) for other in others):
        return None
    body = next(entry.g for entry in node.attribute if entry.name == "body")
    made = writer.making([name for members in (names, *others) for name in members])
    results: list[list[str]] = [[] for _ in node.output]
    for index in range(len(names)):
        given = [names[index], *(other[index] for other in others)]
        tops = [writer.editor.free(f"{result}/{index}") for result in node.output]
        made += writer.editor.inline(body, given, tops, f"{node.output[0]}_{index}")
        for top, members in zip(tops, results, strict=True):
            members.append(top)
    for result, members in zip(node.output, results, strict=True):
        writer.members[result] = members
    construct = [
        _node("SequenceConstruct", members, result)
        for result, members in zip(node.output, results, strict=True)
    ]
    return [*made, *construct]


def _alias(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    """Identity of a sequence or an optional value."""
    source, result = node.input[0], node.output[0]
    if source in writer.options:
        writer.options[result] = writer.options[source]
    if source in writer.members:
        writer.members[result] = writer.members[source]
    return None


def _optional(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    writer.options[node.output[0]] = next(iter(node.input), "") or None
    return None


def _element(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    source, result = node.input[0], node.output[0]
    inside = writer.options.get(source, source if source in writer.shapes else None)
    if inside is None:
        return None
    if inside in writer.members:
        writer.members[result] = writer.members[inside]
    return [_identity(inside, result)]


def _has(writer: _Writer, node: onnx.NodeProto) -> Nodes | None:
    source = next(iter(node.input), "")
    if source and source not in writer.options and source not in writer.shapes:
        return None
    inside = writer.options.get(source, source)
    truth = np.asarray(bool(inside))
    return [_identity(writer.editor.constant(f"{node.output[0]}/has", truth), node.output[0])]


_WRITERS: dict[str, Callable[[_Writer, Any], Any]] = {
    "ConcatFromSequence": _concat,
    "Identity": _alias,
    "Optional": _optional,
    "OptionalGetElement": _element,
    "OptionalHasElement": _has,
    "SequenceAt": _at,
    "SequenceConstruct": _construct,
    "SequenceEmpty": _construct,
    "SequenceErase": _erase,
    "SequenceInsert": _insert,
    "SequenceLength": _length,
    "SequenceMap": _map,
    "SplitToSequence": _split,
}


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}


def _identity(source: str, result: str) -> onnx.NodeProto:
    return _node("Identity", [source], result)


def _node(operator: str, inputs: list[str], result: str) -> onnx.NodeProto:
    from onnx import helper

    return helper.make_node(operator, inputs, [result])
