"""What a graph computes for nothing, or twice, taken out of it; convolutions take in what they can.

What each rule does stands at its head. None changes a value but by rounding: factors that a
convolution takes into its weights are rounded there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deployx_edge.graph.linked_graph import LinkedGraph, set_attributes
from deployx_edge.graph.links import OWN_DOMAINS, Shapes, attribute
from deployx_edge.graph.subgraphs import graphs_in
from deployx_edge.graph.weight_folding import (
    fold_arithmetic,
    fold_norm,
    fold_padding,
)

if TYPE_CHECKING:
    import onnx

# Changes a node, or takes it out; whether it did.
Rule = Callable[[LinkedGraph, "onnx.NodeProto"], bool]

_NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}
_COMMUTATIVE = ("Add", "Mul")
_RANDOM = ("Random", "Multinomial", "Bernoulli", "Dropout")
# From here on the axes of a Slice are inputs.
_SLICE_BY_INPUTS = 10


def simplify(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Change the model in place by every rule, until none finds anything; the number of changes.

    ``shapes`` are those that are known; the shapes of tensors that stay are not touched.
    """
    graph = LinkedGraph(model, shapes)
    total, changed = 0, 1
    while changed:
        changed = _sweep(graph) + _join_equal(graph)
        total += changed
    if total:
        graph.write()
    return total


def _sweep(graph: LinkedGraph) -> int:
    """Each rule on each node, from the inputs on, so that one makes room for the next."""
    changed = 0
    for node in graph.nodes():
        if node.domain not in OWN_DOMAINS:
            continue
        for rule in _RULES.get(node.op_type, ()):
            if graph.is_gone(node):
                break
            changed += rule(graph, node)
    return changed


def _hand_on(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """Identity, and Dropout where it drops nothing (a model in training mode was refused)."""
    if any(graph.is_read(name) for name in node.output[1:] if name):
        return False
    return graph.bypass(node, node.input[0])


def _same_shape(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """Reshape, Expand, Flatten and others that can do no more than what they did not do."""
    shape = graph.shape(node.input[0])
    if shape is None or graph.shape(node.output[0]) != shape:
        return False
    return graph.bypass(node, node.input[0])


def _whole(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Slice that takes everything, in order."""
    steps: tuple[int, ...] = (1,)
    if attribute(node, "starts") is None and len(node.input) > 4 and node.input[4]:
        given = graph.constant(node.input[4])
        if given is None:
            return False
        steps = tuple(int(step) for step in given.reshape(-1))
    return all(step == 1 for step in steps) and _same_shape(graph, node)


def _single(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Concat of one tensor, a Split into one part."""
    if len(node.input) != 1 and node.op_type == "Concat":
        return False
    return len(node.output) == 1 and graph.bypass(node, node.input[0])


def _without_empty(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Concat without the parts that hold nothing."""
    full = [name for name in node.input if 0 not in (graph.shape(name) or ())]
    if len(full) == len(node.input) or not full:
        return False
    graph.rewire(node, full)
    return True


def _joined(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Concat of what another has joined for it alone, along the same axis."""
    inputs: list[str] = []
    for name in node.input:
        inner = graph.maker(name, "Concat")
        same = inner is not None and attribute(inner, "axis") == attribute(node, "axis")
        if inner is not None and same and graph.is_private(name):
            inputs.extend(inner.input)
        else:
            inputs.append(name)
    if len(inputs) == len(node.input):
        return False
    graph.rewire(node, inputs)
    return True


def _ordered(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Transpose behind another as one, and none where the axes stay in order."""
    order = attribute(node, "perm")
    if order is None:
        return False
    before = graph.maker(node.input[0], "Transpose")
    first = None if before is None else attribute(before, "perm")
    if before is not None and first is not None:
        order = [first[axis] for axis in order]
        set_attributes(node, {"perm": order})
        graph.rewire(node, [before.input[0]])
    if list(order) == list(range(len(order))) and graph.bypass(node, node.input[0]):
        return True
    return first is not None


def _recounted(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Reshape of what another has counted otherwise for it alone."""
    import numpy as np

    before = graph.maker(node.input[0], "Reshape")
    shape = graph.shape(node.output[0])
    if before is None or shape is None or 0 in shape or not graph.is_private(node.input[0]):
        return False
    wanted = graph.new_constant(f"{node.output[0]}/shape", np.asarray(shape, dtype=np.int64))
    graph.rewire(node, [before.input[0], wanted])
    return True


def _known_shape(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Reshape or an Expand to sizes that are computed, although they are known."""
    import numpy as np

    shape = graph.shape(node.output[0])
    if (
        shape is None
        or 0 in shape
        or len(node.input) < 2
        or graph.constant(node.input[1]) is not None
    ):
        return False
    wanted = graph.new_constant(f"{node.output[0]}/shape", np.asarray(shape, dtype=np.int64))
    graph.rewire(node, [node.input[0], wanted])
    return True


def _unpadded(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Pad by nothing."""
    pads = graph.integers(node, "pads", 1)
    return pads is not None and not any(pads) and graph.bypass(node, node.input[0])


def _neutral(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A sum with zeros, a product with ones, that broadcasts to nothing larger."""
    neutral = _NEUTRAL[node.op_type]
    for index in (1, 0) if node.op_type in _COMMUTATIVE else (1,):
        values, other = graph.constant(node.input[index]), node.input[1 - index]
        if values is None or graph.constant(other) is not None or not (values == neutral).all():
            continue
        shape = graph.shape(other)
        is_kept = shape is not None and shape == graph.shape(node.output[0])
        if (is_kept or values.ndim == 0) and graph.bypass(node, other):
            return True
    return False


def _sliced_once(graph: LinkedGraph, node: onnx.NodeProto) -> bool:
    """A Slice of what another has cut for it alone, along other axes."""
    before = graph.maker(node.input[0], "Slice")
    rank = len(graph.shape(node.input[0]) or ())
    if before is None or not rank or not graph.is_private(node.input[0]):
        return False
    cuts = [_cuts(graph, each, rank) for each in (before, node)]
    if graph.opset < _SLICE_BY_INPUTS or None in cuts:
        return False
    return _joined_cuts(graph, node, before.input[0], [cut for each in cuts for cut in each or ()])


def _joined_cuts(
    graph: LinkedGraph, node: onnx.NodeProto, source: str, cuts: list[tuple[int, int, int, int]]
) -> bool:
    """Let the Slice cut ``source`` by (axis, start, end, step), where no axis comes twice."""
    import numpy as np

    if len({cut[0] for cut in cuts}) != len(cuts):
        return False
    axes, starts, ends, steps = (
        graph.new_constant(f"{node.output[0]}/{word}", np.asarray(values, dtype=np.int64))
        for word, values in zip(
            ("axes", "starts", "ends", "steps"), zip(*cuts, strict=True), strict=True
        )
    )
    graph.rewire(node, [source, starts, ends, axes, steps])
    return True


def _cuts(
    graph: LinkedGraph, node: onnx.NodeProto, rank: int
) -> list[tuple[int, int, int, int]] | None:
    """Axis, start, end and step of all that a Slice cuts; None where that is computed."""
    if len(node.input) < 3:
        return None
    given = [graph.constant(name) for name in node.input[1:] if name]
    if any(values is None for values in given):
        return None
    starts, ends = (graph.integers(node, "", index) or () for index in (1, 2))
    axes = graph.integers(node, "", 3) if len(node.input) > 3 and node.input[3] else None
    steps = graph.integers(node, "", 4) if len(node.input) > 4 and node.input[4] else None
    places = [axis % rank for axis in axes] if axes is not None else list(range(len(starts)))
    return list(zip(places, starts, ends, steps or (1,) * len(starts), strict=True))


def _join_equal(graph: LinkedGraph) -> int:
    """Of nodes that compute the same of the same, one."""
    changed = 0
    seen: dict[tuple[object, ...], onnx.NodeProto] = {}
    for node in graph.nodes():
        if len(node.output) != 1 or node.op_type.startswith(_RANDOM) or graphs_in(node):
            continue
        attributes = sorted(entry.SerializeToString(deterministic=True) for entry in node.attribute)
        key = (node.domain, node.op_type, *node.input, None, *attributes)
        first = seen.setdefault(key, node)
        if first is not node and graph.bypass(node, first.output[0]):
            changed += 1
    return changed


_RULES: dict[str, tuple[Rule, ...]] = {
    "Identity": (_hand_on,),
    "Dropout": (_hand_on,),
    "Reshape": (_same_shape, _known_shape, _recounted),
    "Expand": (_same_shape, _known_shape),
    "Flatten": (_same_shape,),
    "Squeeze": (_same_shape,),
    "Unsqueeze": (_same_shape,),
    "Tile": (_same_shape,),
    "Slice": (_whole, _sliced_once),
    "Split": (_single,),
    "Concat": (_without_empty, _joined, _single),
    "Transpose": (_ordered,),
    "Pad": (_unpadded,),
    "Add": (_neutral, fold_arithmetic),
    "Sub": (_neutral, fold_arithmetic),
    "Mul": (_neutral, fold_arithmetic),
    "Div": (_neutral, fold_arithmetic),
    "BatchNormalization": (fold_norm,),
    "Conv": (fold_padding,),
}
