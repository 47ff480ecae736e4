"""What the native converter reads: a graph of nodes whose tensors all have a fixed shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployx_edge.runtimes.ncnn.native.kinds import find_kinds, kind_of_type

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


class RefusedError(Exception):
    """An operator, or a case of one, that ncnn cannot run; the text is the reason."""


class FinalRefusalError(RefusedError):
    """One that no operator of our own changes: the node is wrong, or nothing can hold it."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node: its operator, its name, and the tensors in and out ("" where left out)."""

    operator: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def input(self, index: int) -> str:
        """The tensor at that place, "" where the node leaves it out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        return float(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """A list of integers, None where it is left out."""
        value = self.attributes.get(name)
        return None if value is None else tuple(int(item) for item in value)


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Nodes in an order in which they can run, the shapes of all tensors, the constants.

    ``kinds`` are those of tensors that hold no floats (see ``kinds.py``).
    """

    opset: int
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, NDArray[Any]]
    consumers: Mapping[str, tuple[Node, ...]]
    kinds: Mapping[str, str] = field(default_factory=dict)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The tensor's shape; refuses where it could not be told before a run."""
        if tensor in self.constants:
            return tuple(self.constants[tensor].shape)
        found = self.shapes.get(tensor)
        if found is None:
            raise RefusedError(f"the shape of '{tensor}' depends on the input's values")
        return found

    def constant(self, tensor: str, what: str) -> NDArray[Any]:
        """The value of a constant tensor; refuses, naming ``what``, where it is computed."""
        found = self.constants.get(tensor)
        if found is None:
            raise RefusedError(f"its {what} must be constant, '{tensor}' is computed")
        return found

    def list_of(self, node: Node, name: str, index: int) -> tuple[int, ...] | None:
        """Integers that are an attribute in old opsets and an input in new ones."""
        if name in node.attributes:
            return node.integers(name)
        if not node.input(index):
            return None
        return tuple(int(item) for item in self.constant(node.input(index), name).reshape(-1))

    def is_used(self, tensor: str) -> bool:
        """Whether a node reads the tensor, or the graph gives it."""
        return tensor in self.outputs or bool(self.consumers.get(tensor))

    def sole_consumer(self, tensor: str) -> Node | None:
        """The one node that reads the tensor, None where others see it too."""
        found = self.consumers.get(tensor, ())
        if len(found) != 1 or tensor in self.outputs:
            return None
        return found[0] if found[0].inputs.count(tensor) == 1 else None


def read_graph(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> Graph:
    """The graph of a model without subgraphs; ``shapes`` are those of its tensors."""
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    nodes: list[Node] = []
    names: set[str] = set()
    for index, node in enumerate(graph.node):
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "Constant" and "value" in attributes:
            constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            continue
        nodes.append(
            Node(
                operator=node.op_type,
                domain=node.domain,
                name=_unique(node.name or next(iter(node.output), "node"), index, names),
                inputs=tuple(node.input),
                outputs=tuple(node.output),
                attributes=attributes,
            )
        )
    return Graph(
        opset=next((e.version for e in model.opset_import if e.domain in ("", "ai.onnx")), 1),
        nodes=tuple(nodes),
        inputs=tuple(value.name for value in graph.input if value.name not in constants),
        outputs=tuple(value.name for value in graph.output),
        shapes=shapes,
        constants=constants,
        consumers=_consumers(nodes),
        kinds=find_kinds(
            model, {name: kind_of_type(str(array.dtype)) for name, array in constants.items()}
        ),
    )


def _unique(name: str, index: int, taken: set[str]) -> str:
    """The node's name; with its index where another has the same (ONNX allows that)."""
    found = name if name not in taken else f"{name}_{index}"
    taken.add(found)
    return found


def _consumers(nodes: Sequence[Node]) -> dict[str, tuple[Node, ...]]:
    found: dict[str, tuple[Node, ...]] = {}
    for node in nodes:
        for tensor in dict.fromkeys(node.inputs):
            if tensor:
                found[tensor] = (*found.get(tensor, ()), node)
    return found
