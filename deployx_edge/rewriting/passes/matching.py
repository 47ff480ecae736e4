"""What passes look for patterns with: who makes a tensor, who reads it, what is constant.

A pass names a node that its pattern may end in and looks upwards from there. What it then
replaces are all nodes between the inputs of the new node and that last one; they are only
replaced where nothing else reads what they make.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

Shapes = MutableMapping[str, tuple[int, ...]]

_DOMAINS = ("", "ai.onnx")
# Before, operands were broadcast by an attribute.
_FIRST_OPSET = 7
_REPLACED = "deployx_edge.replaced"


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What stands for a pattern: one node, and nodes that must come before it.

    ``sources`` are the tensors that the pattern begins with, where these are not the inputs.
    """

    operator: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    before: tuple[onnx.NodeProto, ...] = ()


class PatternGraph:
    """A model's graph, as patterns look at it, and with what has been replaced so far."""

    def __init__(self, model: onnx.ModelProto, shapes: Shapes) -> None:
        graph = model.graph
        self.shapes = shapes
        self.opset = next((e.version for e in model.opset_import if e.domain in _DOMAINS), 1)
        self._graph = graph
        self._visible = {value.name for value in graph.output} | _seen_by_branches(graph)
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        # Where each node of the graph stood: what stands there now.
        self._places: list[list[onnx.NodeProto]] = [[node] for node in graph.node]
        self._makers: dict[str, onnx.NodeProto] = {}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._index = {id(node): index for index, (node,) in enumerate(self._places)}
        for (node,) in self._places:
            self._enter(node)

    def ends(self) -> Iterator[tuple[int, onnx.NodeProto]]:
        """The nodes with their places, the last one first, without those that were replaced."""
        for index in range(len(self._places) - 1, -1, -1):
            if self._places[index]:
                yield index, self._places[index][-1]

    def maker(self, tensor: str, *operators: str) -> onnx.NodeProto | None:
        """The node that makes the tensor, where it is one of the operators."""
        node = self._makers.get(tensor)
        if node is None or node.op_type not in operators or node.domain not in _DOMAINS:
            return None
        return node

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """The tensor's shape, None where it is not known."""
        found = self._tensors.get(tensor)
        return self.shapes.get(tensor) if found is None else tuple(found.dims)

    def constant(self, tensor: str) -> NDArray[Any] | None:
        """The value of a constant."""
        from onnx import numpy_helper

        found = self._tensors.get(tensor)
        if found is None:
            return None
        if tensor not in self._arrays:
            self._arrays[tensor] = numpy_helper.to_array(found)
        return self._arrays[tensor]

    def keeps_shape(self, node: onnx.NodeProto, tensor: str) -> bool:
        """Whether the node's output is known to have the tensor's shape."""
        shape = self.shape(tensor)
        return shape is not None and self.shape(node.output[0]) == shape

    def number(self, tensor: str) -> float | None:
        """The value of a constant of one element, None where it is no float.

        Whole numbers are left alone: what is computed with them is rounded.
        """
        values = self._single(tensor)
        return float(values.item()) if values is not None and values.dtype.kind == "f" else None

    def exponent(self, node: onnx.NodeProto) -> float | None:
        """The constant that a Pow raises to, which may be a whole number."""
        values = self._single(node.input[1])
        return float(values.item()) if values is not None and values.dtype.kind in "fiu" else None

    def integers(self, node: onnx.NodeProto, name: str, index: int) -> tuple[int, ...] | None:
        """Integers that are an attribute in old opsets and a constant input in new ones."""
        given = attribute(node, name)
        if given is not None:
            return tuple(int(item) for item in given)
        found = self.constant(node.input[index]) if len(node.input) > index else None
        return None if found is None else tuple(int(item) for item in found.reshape(-1))

    def is_private(self, tensor: str) -> bool:
        """Whether one node reads the tensor, once, and nothing else sees it."""
        return tensor not in self._visible and len(self._readers.get(tensor, ())) == 1

    def new_constant(self, node: onnx.NodeProto, what: str, values: NDArray[Any]) -> str:
        """The name of a new constant, called after the node that it is for.

        The model gets it where a node that replaces others reads it.
        """
        from onnx import numpy_helper

        name = self.new_name(f"{node.name or node.output[0]}/{what}")
        self._tensors[name] = numpy_helper.from_array(values, name)
        return name

    def new_name(self, wanted: str) -> str:
        """A name for a tensor that no other has."""
        taken = self._makers.keys() | self._tensors.keys() | {e.name for e in self._graph.input}
        while wanted in taken:
            wanted += "_"
        return wanted

    def replace(self, place: int, found: Fused) -> bool:
        """Put one node where the pattern ends, with that node's name and output.

        False, and nothing is changed, where others read what the pattern has inside.
        """
        from onnx import helper

        last = self._places[place][-1]
        gone = self._between(last, {*(found.sources or found.inputs), *self._tensors})
        if gone is None:
            return False
        node = helper.make_node(
            found.operator, found.inputs, list(last.output), name=last.name, **found.attributes
        )
        inside = [name for each in gone if each is not last for name in each.output]
        node.metadata_props.add(key=_REPLACED, value="\n".join(inside))
        for each in gone:
            self._leave(each)
        self._places[place].extend([*found.before, node])
        for each in (*found.before, node):
            self._index[id(each)] = place
            self._enter(each)
        return True

    def finish(self) -> None:
        """Write nodes and constants as they are now into the model.

        Constants that only replaced nodes read go with them.
        """
        del self._graph.node[:]
        self._graph.node.extend(node for nodes in self._places for node in nodes)
        tensors = self._graph.initializer
        old = {tensor.name for tensor in tensors}
        # One by one: to write all anew would copy the weights.
        for index in range(len(tensors) - 1, -1, -1):
            name = tensors[index].name
            if self._readers.get(name) == [] and name not in self._visible:
                del tensors[index]
        tensors.extend(
            tensor
            for name, tensor in self._tensors.items()
            if name not in old and self._readers.get(name)
        )

    def _single(self, tensor: str) -> NDArray[Any] | None:
        found = self._tensors.get(tensor)
        return self.constant(tensor) if found is not None and math.prod(found.dims) == 1 else None

    def _between(self, last: onnx.NodeProto, sources: set[str]) -> list[onnx.NodeProto] | None:
        """All nodes from the sources on to the last one; None where others read their results."""
        found = [last]
        for node in found:
            for name in node.input:
                maker = self._makers.get(name)
                if name in sources or not name:
                    continue
                if maker is None:
                    return None
                if not any(maker is each for each in found):
                    found.append(maker)
        numbers = {id(each) for each in found}
        for node in found[1:]:
            for name in node.output:
                if name in self._visible:
                    return None
                if any(id(reader) not in numbers for reader in self._readers.get(name, ())):
                    return None
        return found

    def _enter(self, node: onnx.NodeProto) -> None:
        for name in node.input:
            self._readers.setdefault(name, []).append(node)
        for name in node.output:
            self._makers[name] = node

    def _leave(self, node: onnx.NodeProto) -> None:
        place = self._index.pop(id(node))
        self._places[place] = [each for each in self._places[place] if each is not node]
        for name in node.input:
            self._readers[name] = [each for each in self._readers[name] if each is not node]
        for name in node.output:
            self._makers.pop(name, None)


# The pattern that ends in a node, as what stands for it; None where it is none.
Match = Callable[[PatternGraph, "onnx.NodeProto"], Fused | None]


def fuse(model: onnx.ModelProto, shapes: Shapes, match: Match) -> int:
    """Replace every pattern, the last one first, until there is none; gives their number."""
    total = 0
    while True:
        graph = PatternGraph(model, shapes)
        if graph.opset < _FIRST_OPSET:
            return 0
        changed = 0
        for place, node in graph.ends():
            found = match(graph, node)
            if found is not None:
                changed += graph.replace(place, found)
        if not changed:
            return total
        graph.finish()
        total += changed


def replaced_tensors(model: onnx.ModelProto) -> dict[str, str]:
    """The tensors that fusions took in, and what the node in their place makes."""
    return {
        tensor: node.output[0]
        for node in model.graph.node
        for entry in node.metadata_props
        if entry.key == _REPLACED
        for tensor in entry.value.split("\n")
    }


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """An attribute's value."""
    from onnx import helper

    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def _seen_by_branches(graph: onnx.GraphProto) -> set[str]:
    """Tensors that the graphs inside of nodes read."""
    import onnx

    inner = [
        body
        for node in graph.node
        for entry in node.attribute
        if entry.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        for body in (entry.g, *entry.graphs)
    ]
    return {
        name
        for body in inner
        for name in (
            *(name for node in body.node for name in node.input),
            *(value.name for value in body.output),
            *_seen_by_branches(body),
        )
    }
