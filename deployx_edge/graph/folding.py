"""What a graph computes from constants alone, and what nobody reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.editing import keep_nodes
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.graph.subgraphs import nodes_within, read_nodes, tensors_read

if TYPE_CHECKING:
    import onnx

# Operators that give something else in each run.
_RANDOM = frozenset(
    {
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
    }
)
# A constant that is larger stays computed, unless what it is made of is as large.
_LARGEST = 2**27


def fold_shapes(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Replace Shape and Size of tensors with known shapes by constants; how many there were."""
    import math

    import numpy as np
    from onnx import helper, numpy_helper

    kept = []
    for node in model.graph.node:
        known = shapes.get(node.input[0]) if node.op_type in ("Shape", "Size") else None
        if known is None:
            kept.append(node)
            continue
        cut = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        sizes = np.asarray(known[cut.get("start", 0) : cut.get("end")], dtype=np.int64)
        if node.op_type == "Size":
            sizes = np.asarray(math.prod(known), dtype=np.int64)
        model.graph.initializer.append(numpy_helper.from_array(sizes, node.output[0]))
    return keep_nodes(model.graph, kept)


def fold_constants(model: onnx.ModelProto, keep: Collection[str] = ()) -> int:
    """Compute what depends on no input, but operators in ``keep``; how many nodes are gone."""
    import numpy as np
    from onnx import numpy_helper

    graph = model.graph
    known = {tensor.name for tensor in graph.initializer}
    foldable: list[onnx.NodeProto] = []
    others: list[onnx.NodeProto] = []
    for node in graph.node:
        is_known = all(name in known for name in tensors_read(node))
        if is_known and node.op_type not in keep and not _is_random(node):
            foldable.append(node)
            known.update(node.output)
        else:
            others.append(node)
    read = {name for node in others for name in tensors_read(node)}
    read |= {value.name for value in graph.output}
    ends = [(node, read.intersection(node.output) - {""}) for node in foldable]
    values = _run(model, foldable, [name for _, names in ends for name in names])
    if not values:
        return 0
    largest = max(_LARGEST, sum(tensor.ByteSize() for tensor in graph.initializer))
    folded = set()
    for node, names in ends:
        arrays = {name: values[name] for name in sorted(names)}
        if names and all(
            isinstance(array, np.ndarray) and array.dtype.kind in "fiub" and array.nbytes <= largest
            for array in arrays.values()
        ):
            folded.add(id(node))
            graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in arrays.items())
    return keep_nodes(graph, [node for node in graph.node if id(node) not in folded])


def drop_unread(model: onnx.ModelProto) -> int:
    """Take out the nodes and the constants that nobody reads; the number of these nodes."""
    graph = model.graph
    kept = read_nodes(model)
    read = {name for node in kept for name in tensors_read(node)}
    read |= {value.name for value in graph.output}
    # One by one: the whole list written anew would be a second copy of all weights.
    for index in range(len(graph.initializer) - 1, -1, -1):
        if graph.initializer[index].name not in read:
            del graph.initializer[index]
    return keep_nodes(graph, kept)


def _run(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], names: Sequence[str]
) -> dict[str, Any]:
    """What the nodes make of the model's constants; nothing where ONNX Runtime cannot run them."""
    import onnx

    if not names:
        return {}
    read = {name for node in nodes for name in tensors_read(node)}
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    part.graph.name = "constants"
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(t for t in model.graph.initializer if t.name in read)
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    try:
        results = open_model(part.SerializeToString(), optimized=False).run(list(names), {})
    except Exception:  # its exceptions share no base; what is left is named by who reads it
        return {}
    return dict(zip(names, results, strict=True))


def _is_random(node: onnx.NodeProto) -> bool:
    return any(inner.op_type in _RANDOM for inner in nodes_within([node]))
