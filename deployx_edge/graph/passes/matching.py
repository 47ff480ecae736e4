"""What passes look for patterns with: who makes a tensor, who reads it, what is constant.

A pass names a node that its pattern may end in and looks upwards from there. What it then
replaces are all nodes between the inputs of the new node and that last one; they are only
replaced where nothing else reads what they make.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import FIRST_BROADCAST, Links, Shapes

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

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


class PatternGraph(Links):
    """A model's graph, as patterns look at it, and with what has been replaced so far.

    The model gets a new constant where a node that replaces others reads it.
    """

    def __init__(self, model: onnx.ModelProto, shapes: Shapes) -> None:
        super().__init__(model, shapes)
        # Where each node of the graph stood: what stands there now.
        self._places: list[list[onnx.NodeProto]] = [[node] for node in model.graph.node]
        self._index = {id(node): index for index, (node,) in enumerate(self._places)}

    def ends(self) -> Iterator[tuple[int, onnx.NodeProto]]:
        """The nodes with their places, the last one first, without those that were replaced."""
        for index in range(len(self._places) - 1, -1, -1):
            if self._places[index]:
                yield index, self._places[index][-1]

    def keeps_shape(self, node: onnx.NodeProto, tensor: str) -> bool:
        """Whether the node's output is known to have the tensor's shape."""
        shape = self.shape(tensor)
        return shape is not None and self.shape(node.output[0]) == shape

    def number(self, tensor: str) -> float | None:
        """The value of a constant of one element, None where it is not a float.

        Whole numbers are left alone: what is computed with them is rounded.
        """
        values = self.single(tensor)
        return float(values.item()) if values is not None and values.dtype.kind == "f" else None

    def exponent(self, node: onnx.NodeProto) -> float | None:
        """The constant that a Pow raises to, which may be a whole number."""
        values = self.single(node.input[1])
        return float(values.item()) if values is not None and values.dtype.kind in "fiu" else None

    def constant_for(self, node: onnx.NodeProto, what: str, values: NDArray[Any]) -> str:
        """The name of a new constant, called after the node that it is for."""
        return self.new_constant(f"{node.name or node.output[0]}/{what}", values)

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
            place_of = self._index.pop(id(each))
            self._places[place_of] = [n for n in self._places[place_of] if n is not each]
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
            if self._readers.get(name) == [] and not self.is_seen(name):
                del tensors[index]
        tensors.extend(
            tensor
            for name, tensor in self._tensors.items()
            if name not in old and self._readers.get(name)
        )

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
                if self.is_seen(name):
                    return None
                if any(id(reader) not in numbers for reader in self._readers.get(name, ())):
                    return None
        return found


# The pattern that ends in a node, as what stands for it; None where it is none.
Match = Callable[[PatternGraph, "onnx.NodeProto"], Fused | None]


def fuse(model: onnx.ModelProto, shapes: Shapes, match: Match) -> int:
    """Replace every pattern, the last one first, until there is none; gives their number."""
    total = 0
    while True:
        graph = PatternGraph(model, shapes)
        if graph.opset < FIRST_BROADCAST:
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
