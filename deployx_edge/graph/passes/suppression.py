"""NonMaxSuppression whose results are brought to a fixed number, with that number right behind it.

    NonMaxSuppression          NonMaxSuppression
           │                          │
     Cast, Gather, …     ⇒     Concat with -1 ─ Slice 0:K
           │                          │
    Concat with -1             Cast, Gather, …
           │                          │
      Slice 0:K                Concat with -1 ─ Slice 0:K

How many rows a suppression gives depends on values. What fills them up with rows of -1 and then
takes the first K gives the same with more rows of -1 in between, so that all has one size. That is
right for what keeps rows and leaves a -1 as it is: Cast, a choice of columns, Squeeze, Unsqueeze.
Left alone: whatever else reads them, a filling with other values, and one that is too short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deployx_edge.graph.editing import GraphEditor, keep_nodes
from deployx_edge.graph.links import OWN_DOMAINS, Links, Shapes, attribute

if TYPE_CHECKING:
    import onnx

_COLUMNS = 3
# What floats count: so many boxes are not there.
_MOST_BOXES = 2**24


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """A tensor whose axis 0 has results and then ``least`` or more rows of -1."""

    tensor: str
    rank: int
    least: int


def fix_suppressions(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Give each NonMaxSuppression that the pattern covers its fixed number of rows."""
    links = Links(model, shapes)
    editor = GraphEditor(model)
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for node in list(model.graph.node):
        nodes.append(node)
        if node.op_type != "NonMaxSuppression" or node.domain not in OWN_DOMAINS:
            continue
        between: list[str] = []
        count = _needed(links, _Rows(tensor=node.output[0], rank=2, least=0), between)
        if not count:
            continue
        changed += _limit(links, editor, node)
        if not _enter_shapes(links, shapes, node.output[0]):
            nodes += _filled(links, editor, node.output[0], count, shapes)
            _rename(links, editor, between[1:])
            changed += 1
    if changed:
        keep_nodes(model.graph, nodes)
    return changed


def _rename(links: Links, editor: GraphEditor, tensors: Sequence[str]) -> None:
    """Other names for what has another size now, as nothing of the source is to be beside it."""
    for tensor in tensors:
        name = editor.free(f"{tensor}/filled")
        for node in links.readers(tensor):
            node.input[:] = [name if each == tensor else each for each in node.input]
        maker = links.maker_of(tensor)
        maker.output[:] = [name if each == tensor else each for each in maker.output]


def _needed(links: Links, rows: _Rows, between: list[str]) -> int | None:
    """The first rows that are all that is read in the end; None where their number matters.

    ``between`` takes in the tensors whose size depends on it.
    """
    if links.is_seen(rows.tensor):
        return None
    between.append(rows.tensor)
    found = [_needed_by(links, node, rows, between) for node in links.readers(rows.tensor)]
    counts = [count for count in found if count is not None]
    return max(counts, default=0) if len(counts) == len(found) else None


def _needed_by(links: Links, node: onnx.NodeProto, rows: _Rows, between: list[str]) -> int | None:
    """What ``_needed`` says of one reader."""
    if node.domain not in OWN_DOMAINS:
        return None
    if node.op_type == "Slice":
        return _needed_of_slice(links, node, rows, between)
    if node.op_type == "Gather":
        return _needed_of_gather(links, node, rows, between)
    following: _Rows | None = None
    if node.op_type == "Cast" and _holds_minus_one(attribute(node, "to")):
        following = rows
    elif node.op_type == "Concat":
        following = _longer(links, node, rows)
    elif node.op_type == "Split" and attribute(node, "axis", 0) % rows.rank:
        following = rows
    elif node.op_type in ("Squeeze", "Unsqueeze"):
        axes = links.integers(node, "axes", 1) or ()
        more = len(axes) if node.op_type == "Unsqueeze" else 0
        if axes and all(axis % (rows.rank + more) for axis in axes):
            rank = rows.rank + (more or -len(axes))
            following = replace(rows, rank=rank)
    if following is None:
        return None
    each = [_needed(links, replace(following, tensor=name), between) for name in node.output]
    return None if None in each else max(count or 0 for count in each)


def _needed_of_slice(
    links: Links, node: onnx.NodeProto, rows: _Rows, between: list[str]
) -> int | None:
    starts, ends = links.integers(node, "starts", 1), links.integers(node, "ends", 2)
    if starts is None or ends is None:
        return None
    axes = links.integers(node, "axes", 3) if len(node.input) > 3 and node.input[3] else None
    steps = links.integers(node, "steps", 4) if len(node.input) > 4 and node.input[4] else None
    cuts = zip(axes or range(len(starts)), starts, ends, steps or [1] * len(starts), strict=False)
    along = [cut[1:] for cut in cuts if cut[0] % rows.rank == 0]
    least = rows.least
    for start, end, step in along:
        if start != 0 or step != 1 or end < 1:
            return None
        if end <= rows.least:
            return end
        least = min(least, end)
    return _needed(links, replace(rows, tensor=node.output[0], least=least), between)


def _needed_of_gather(
    links: Links, node: onnx.NodeProto, rows: _Rows, between: list[str]
) -> int | None:
    indices = links.constant(node.input[1])
    if node.input[0] != rows.tensor or indices is None or not indices.size:
        return None
    if attribute(node, "axis", 0) % rows.rank:
        rank = rows.rank - 1 + indices.ndim
        following = _Rows(tensor=node.output[0], rank=rank, least=rows.least)
        return _needed(links, following, between)
    is_inside = int(indices.min()) >= 0 and int(indices.max()) < rows.least
    return int(indices.max()) + 1 if is_inside else None


def _longer(links: Links, node: onnx.NodeProto, rows: _Rows) -> _Rows | None:
    """The rows with others of -1 behind them."""
    if attribute(node, "axis") % rows.rank or list(node.input).count(rows.tensor) != 1:
        return None
    more = [links.constant(name) for name in node.input[1:]]
    if node.input[0] != rows.tensor or any(each is None or (each != -1).any() for each in more):
        return None
    return replace(rows, least=rows.least + sum(len(each) for each in more if each is not None))


def _holds_minus_one(type: int) -> bool:
    from onnx import helper

    return helper.tensor_dtype_to_np_dtype(type).kind in "if"


def _limit(links: Links, editor: GraphEditor, node: onnx.NodeProto) -> int:
    """As many boxes as there may be, as a number that floats hold."""
    given = links.single(node.input[2]) if len(node.input) > 2 else None
    if given is None or int(given.item()) <= _MOST_BOXES:
        return 0
    most = np.asarray([_MOST_BOXES], dtype=np.int64)
    node.input[2] = editor.constant(f"{node.output[0]}/most", most)
    return 1


def _enter_shapes(links: Links, shapes: Shapes, tensor: str) -> bool:
    """Whether the fixed number stands right behind the suppression, where shapes are entered."""
    readers = links.readers(tensor)
    if len(readers) != 1 or readers[0].op_type != "Concat" or len(readers[0].input) != 2:
        return False
    (joined,) = readers
    cuts = links.readers(joined.output[0])
    if len(cuts) != 1 or cuts[0].op_type != "Slice" or links.is_seen(joined.output[0]):
        return False
    axes = links.integers(cuts[0], "axes", 3) if len(cuts[0].input) > 3 else (0,)
    ends = links.integers(cuts[0], "ends", 2) or ()
    more = links.shape(joined.input[1])
    if axes not in ((0,), (-2,)) or len(ends) != 1 or more is None or more[1:] != (_COLUMNS,):
        return False
    shapes[tensor] = shapes[cuts[0].output[0]] = (ends[0], _COLUMNS)
    shapes[joined.output[0]] = (ends[0] + more[0], _COLUMNS)
    return True


def _filled(
    links: Links, editor: GraphEditor, tensor: str, count: int, shapes: Shapes
) -> Sequence[onnx.NodeProto]:
    """Nodes that fill the suppression's results up and cut them, which its readers read then."""
    from onnx import helper

    rest = editor.constant(f"{tensor}/rest", np.full((count, _COLUMNS), -1, dtype=np.int64))
    bounds = [
        editor.constant(f"{tensor}/{name}", np.asarray([value], dtype=np.int64))
        for name, value in (("begin", 0), ("end", count), ("axis", 0))
    ]
    longer, rows = editor.free(f"{tensor}/longer"), editor.free(f"{tensor}/rows")
    for node in links.readers(tensor):
        node.input[:] = [rows if name == tensor else name for name in node.input]
    shapes[tensor] = shapes[rows] = (count, _COLUMNS)
    shapes[longer] = (2 * count, _COLUMNS)
    return [
        helper.make_node("Concat", [tensor, rest], [longer], longer, axis=0),
        helper.make_node("Slice", [longer, *bounds], [rows], rows),
    ]
