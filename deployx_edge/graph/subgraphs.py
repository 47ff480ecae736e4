"""Graphs within nodes, and what they read of the graph around them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


# ONNX's own operators that hold graphs; looking into the attributes of all others takes as long as
# the rest of a walk through a model.
_HOLDERS = ("If", "Loop", "Scan", "SequenceMap")


def graphs_in(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs that a node holds, of an If its branches."""
    if not node.domain and node.op_type not in _HOLDERS:
        return []
    attributes = list(node.attribute)
    single = [entry.g for entry in attributes if entry.HasField("g")]
    return single + [graph for entry in attributes for graph in entry.graphs]


def nodes_within(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of all graphs within them."""
    for node in nodes:
        yield node
        for graph in graphs_in(node):
            yield from nodes_within(graph.node)


def tensors_read(node: onnx.NodeProto) -> list[str]:
    """What a node needs: its inputs, and what the graphs within it read from around them."""
    found = [name for name in node.input if name]
    for graph in graphs_in(node):
        found.extend(read_outside(graph))
    return found


def read_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes of the graph that its outputs depend on, in order."""
    read = {value.name for value in model.graph.output}
    found = []
    for node in reversed(model.graph.node):
        if any(name and name in read for name in node.output):
            found.append(node)
            read.update(tensors_read(node))
    return found[::-1]


def read_outside(graph: onnx.GraphProto) -> list[str]:
    """The tensors that a graph within a node reads and does not make itself."""
    own = {value.name for value in graph.input}
    own |= {tensor.name for tensor in graph.initializer}
    own |= {tensor.values.name for tensor in graph.sparse_initializer}
    own |= {name for node in graph.node for name in node.output}
    read = [name for node in graph.node for name in tensors_read(node)]
    read += [value.name for value in graph.output]
    return [name for name in read if name not in own]


def rename_tensors(graph: onnx.GraphProto, names: dict[str, str]) -> None:
    """Give tensors other names, in the graph and in all graphs within its nodes."""
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
        for inner in graphs_in(node):
            rename_tensors(inner, names)
    for values in (graph.input, graph.output, graph.value_info):
        for value in values:
            value.name = names.get(value.name, value.name)
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def all_names(graph: onnx.GraphProto) -> Iterator[str]:
    """Every name of a tensor or a node, in the graph and within its nodes."""
    for values in (graph.input, graph.output):
        yield from (value.name for value in values)
    yield from (tensor.name for tensor in graph.initializer)
    for node in graph.node:
        yield node.name
        yield from node.input
        yield from node.output
        for inner in graphs_in(node):
            yield from all_names(inner)
