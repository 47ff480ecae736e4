"""If with a constant condition, and Loop with a constant count: written out in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deployx_edge.graph.editing import GraphEditor, keep_nodes

if TYPE_CHECKING:
    import onnx

# A loop that would become more nodes than this stays a loop.
_MOST_NODES = 20_000


def write_out_branches(model: onnx.ModelProto) -> int:
    """Put the branch that is taken in place of each If, the rounds in place of each Loop.

    Only where condition and count are constants; gives the number of these nodes.
    """
    editor = GraphEditor(model)
    nodes: list[onnx.NodeProto] = []
    written = 0
    for node in model.graph.node:
        writer = {"If": _branch, "Loop": _rounds}.get(node.op_type)
        found = None if writer is None else writer(node, editor)
        nodes.extend([node] if found is None else found)
        written += found is not None
    if written:
        keep_nodes(model.graph, nodes)
    return written


def _branch(node: onnx.NodeProto, editor: GraphEditor) -> list[onnx.NodeProto] | None:
    condition = editor.number(node.input[0])
    if condition is None:
        return None
    body = _body(node, "then_branch" if condition else "else_branch")
    if body.sparse_initializer:
        return None
    return editor.inline(body, (), node.output, _label(node))


def _rounds(node: onnx.NodeProto, editor: GraphEditor) -> list[onnx.NodeProto] | None:
    """The rounds of a loop one behind the other.

    carried ── body ── carried ── body ── carried
                 └─ row            └─ row     ⇒    Concat(Unsqueeze(row) …)
    """
    from onnx import helper

    body = _body(node, "body")
    count = _count(node, body, editor)
    if count is None or count * len(body.node) > _MOST_NODES or body.sparse_initializer:
        return None
    carried = list(node.input[2:])
    ends = node.output[: len(carried)]
    piles = {name: [] for name in node.output[len(carried) :] if name}  # type: dict[str, list[str]]
    if piles and not count:
        return None  # an empty tensor, whose shape only the runtime knows
    nodes: list[onnx.NodeProto] = []
    for index in range(count):
        place = f"{_label(node)}_{index}"
        number = editor.constant(f"{place}/number", np.asarray(index, dtype=np.int64))
        truth = editor.constant(f"{place}/condition", np.asarray(True))
        given = [number, truth, *carried]
        carried = [
            editor.free(f"{place}/{value.name}") for value in body.output[1 : len(given) - 1]
        ]
        rows = [
            editor.free(f"{place}/{name}") if name else "" for name in node.output[len(carried) :]
        ]
        rows += [""] * (len(body.output) - 1 - len(carried) - len(rows))
        nodes += editor.inline(body, given, ["", *carried, *rows], place)
        for row, name in zip(rows, node.output[len(carried) :], strict=False):
            if name:
                piles[name].append(row)
    for start, end in zip(carried, ends, strict=False):
        nodes += [helper.make_node("Identity", [start], [end])] if end else []
    for name, rows in piles.items():
        nodes += editor.joined(rows, 0, name, new_axis=True)
    return nodes


def _count(node: onnx.NodeProto, body: onnx.GraphProto, editor: GraphEditor) -> int | None:
    """How often the body runs, None where that is not known."""
    start = editor.number(node.input[1]) if node.input[1] else 1
    most = editor.number(node.input[0]) if node.input[0] else None
    if start == 0 or most is None or start is None:
        return 0 if start == 0 else None
    return max(0, most) if most <= 0 or _goes_on(body, editor) else None


def _goes_on(body: onnx.GraphProto, editor: GraphEditor) -> bool:
    """Whether the body says in each round that there is another: by a constant, or as it was."""
    from onnx import numpy_helper

    makers = {output: node for node in body.node for output in node.output}
    name = body.output[0].name
    while name in makers and makers[name].op_type == "Identity":
        name = makers[name].input[0]
    values = [tensor for tensor in body.initializer if tensor.name == name]
    if name in makers and makers[name].op_type == "Constant":
        values += [entry.t for entry in makers[name].attribute if entry.name == "value"]
    if values:
        return bool(numpy_helper.to_array(values[0]).reshape(-1)[0])
    return name == body.input[1].name or editor.number(name) == 1


def _body(node: onnx.NodeProto, name: str) -> onnx.GraphProto:
    return next(entry.g for entry in node.attribute if entry.name == name)


def _label(node: onnx.NodeProto) -> str:
    return node.name or next(filter(None, node.output), node.op_type)
