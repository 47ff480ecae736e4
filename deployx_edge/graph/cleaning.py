"""What is allowed in an ONNX file, and stops one reader or another: written in another way."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.editing import keep_nodes
from deployx_edge.graph.subgraphs import (
    all_names,
    graphs_in,
    nodes_within,
    read_nodes,
    rename_tensors,
    tensors_read,
)
from deployx_edge.model import MARK_DOMAIN

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

# Those of operators that ONNX, or every build of ONNX Runtime, has.
KNOWN_DOMAINS = (
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.preview.training",
    "ai.onnx.training",
    "com.microsoft",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
)
# ``bundle.json`` takes names of up to 1024 characters.
_LONGEST = 1000
# Characters that end a line or move the cursor; no table, list or manifest takes them.
_UNREADABLE = ("Cc", "Zl", "Zp")


@dataclass(frozen=True, kw_only=True)
class Cleaned:
    """Whether a model was ``changed``, and what users should be told of it."""

    changed: bool
    notes: tuple[str, ...]


def clean(model: onnx.ModelProto) -> Cleaned:
    """Change the model in place, but nothing of what it computes.

    Sparse constants become dense; nodes stand behind those they read; constants that nobody
    reads, nodes that nobody reads nor knows and outputs that are listed twice go; names lose line
    breaks and other control characters.
    """
    ordered = _order(model.graph)
    listed = [value.name for value in (*model.graph.input, *model.graph.output)]
    dense = _write_densely(model)
    strangers = _drop_unread_strangers(model)
    unread = _drop_unread(model.graph)
    twice = _list_outputs_once(model.graph)
    names = _rename_unreadable(model)
    notes = [
        f"The tensor {name!r:.80} is called '{names[name][:80]}' here."
        for name in dict.fromkeys(listed)
        if name in names
    ]
    if twice:
        notes.append("Outputs that the model lists twice are given once.")
    changed = bool(ordered or dense or strangers or unread or twice or names)
    return Cleaned(changed=changed, notes=tuple(notes))


def readable_name(name: str) -> str:
    """The name on one line and not too long; as it is where it is so already."""
    if name.isprintable() and len(name) <= _LONGEST:
        return name
    kept = "".join("_" if unicodedata.category(c) in _UNREADABLE else c for c in name)
    if len(kept) <= _LONGEST:
        return kept
    return f"{kept[: _LONGEST - 17]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _order(graph: onnx.GraphProto) -> bool:
    """Put each node behind those it reads, as ONNX asks; not every file has it so."""
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    needs = {
        index: [makers[name] for name in tensors_read(node) if name in makers]
        for index, node in enumerate(graph.node)
    }
    if all(maker < index for index, found in needs.items() for maker in found):
        return False
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError:
        return False  # ONNX Runtime names it
    keep_nodes(graph, [graph.node[index] for index in order])
    return True


def _write_densely(model: onnx.ModelProto) -> bool:
    from onnx import numpy_helper

    found = False
    for graph in _graphs(model):
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            graph.initializer.append(numpy_helper.from_array(_dense(sparse), name))
            found = True
        del graph.sparse_initializer[:]
    for node in _nodes(model):
        for entry in node.attribute if node.op_type == "Constant" else ():
            if entry.name == "sparse_value":
                dense = numpy_helper.from_array(_dense(entry.sparse_tensor))
                entry.Clear()
                entry.name, entry.type = "value", entry.TENSOR
                entry.t.CopyFrom(dense)
                found = True
    return found


def _drop_unread_strangers(model: onnx.ModelProto) -> bool:
    """Without nodes of unknown domains that decide on no output: no runtime would load them."""
    known = {*KNOWN_DOMAINS, MARK_DOMAIN}
    if all(node.domain in known for node in model.graph.node):
        return False
    read = read_nodes(model)
    kept = [node for node in model.graph.node if node.domain in known or node in read]
    return keep_nodes(model.graph, kept) > 0


def _dense(sparse: onnx.SparseTensorProto) -> NDArray[Any]:
    """Indices are one number a value (in row-major order), or one row of numbers a value."""
    import numpy as np
    from onnx import numpy_helper

    values = numpy_helper.to_array(sparse.values)
    indices = numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        dense.reshape(-1)[indices] = values
    else:
        dense[tuple(indices.T)] = values
    return dense


def _drop_unread(graph: onnx.GraphProto) -> bool:
    read = {name for node in graph.node for name in tensors_read(node)}
    read |= {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(kept) == len(graph.initializer):
        return False
    gone = {tensor.name for tensor in graph.initializer} - read
    inputs = [value for value in graph.input if value.name not in gone]
    del graph.initializer[:], graph.input[:]
    graph.initializer.extend(kept)
    graph.input.extend(inputs)
    return True


def _list_outputs_once(graph: onnx.GraphProto) -> bool:
    once = {value.name: value for value in reversed(graph.output)}
    if len(once) == len(graph.output):
        return False
    kept = list(reversed(once.values()))
    del graph.output[:]
    graph.output.extend(kept)
    return True


def _rename_unreadable(model: onnx.ModelProto) -> dict[str, str]:
    """What was renamed; in the graph and in its functions."""
    names = _new_names(set(all_names(model.graph)))
    if names:
        rename_tensors(model.graph, names)
        for node in nodes_within(model.graph.node):
            node.name = names.get(node.name, node.name)
    renamed = dict(names)
    for function in model.functions:
        own = {name for node in nodes_within(function.node) for name in (*node.input, *node.output)}
        own |= {node.name for node in nodes_within(function.node)}
        names = _new_names(own | {*function.input, *function.output})
        if names:
            _rename_in_function(function, names)
            renamed = {**names, **renamed}
    return renamed


def _rename_in_function(function: onnx.FunctionProto, names: dict[str, str]) -> None:
    function.input[:] = [names.get(name, name) for name in function.input]
    function.output[:] = [names.get(name, name) for name in function.output]
    for node in function.node:
        node.name = names.get(node.name, node.name)
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for graph in graphs_in(node):
            rename_tensors(graph, names)


def _new_names(names: set[str]) -> dict[str, str]:
    """Other names for those that cannot stay, none given twice."""
    taken = set(names)
    found = {}
    for name in sorted(names):
        wanted = readable_name(name)
        if wanted == name:
            continue
        candidate, count = wanted, 1
        while candidate in taken:
            candidate, count = f"{wanted}_{count}", count + 1
        taken.add(candidate)
        found[name] = candidate
    return found


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    yield model.graph
    for node in _nodes(model):
        yield from graphs_in(node)


def _nodes(model: onnx.ModelProto) -> Iterable[onnx.NodeProto]:
    yield from nodes_within(model.graph.node)
    for function in model.functions:
        yield from nodes_within(function.node)
