"""A graph with its links: who makes a tensor, who reads it, what is constant and how large."""

from __future__ import annotations

import math
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.subgraphs import graphs_in, read_outside

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

# The sizes of tensors by name, of those whose sizes are all known.
Shapes = MutableMapping[str, tuple[int, ...]]

OWN_DOMAINS = ("", "ai.onnx")
# Before, operands were broadcast by an attribute.
FIRST_BROADCAST = 7


class Links:
    """The nodes and constants of a model as they are now; who changes them says so by ``enter``.

    What the model gives, and what a graph within a node reads, is seen from outside.
    """

    def __init__(self, model: onnx.ModelProto, shapes: Shapes) -> None:
        graph = model.graph
        self.shapes = shapes
        self.opset = opset_of(model)
        self._graph = graph
        inner = [body for node in graph.node for body in graphs_in(node)]
        self._given = {value.name for value in graph.output}
        self._read_within = {name for body in inner for name in read_outside(body)}
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}
        self._arrays: dict[str, NDArray[Any]] = {}
        self._makers: dict[str, onnx.NodeProto] = {}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            self._enter(node)
        self._taken = {*self._tensors, *self._makers, *self._read_within}
        self._taken.update(value.name for value in graph.input)

    def maker(self, tensor: str, *operators: str) -> onnx.NodeProto | None:
        """The node that makes the tensor, where it is one of ONNX's ``operators``."""
        node = self._makers.get(tensor)
        if node is None or node.op_type not in operators or node.domain not in OWN_DOMAINS:
            return None
        return node

    def maker_of(self, tensor: str) -> onnx.NodeProto:
        """The node that makes the tensor. REQUIRES: one does."""
        return self._makers[tensor]

    def shape(self, tensor: str) -> tuple[int, ...] | None:
        """The tensor's shape, None where a size is not known."""
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

    def single(self, tensor: str) -> NDArray[Any] | None:
        """The value of a constant of one element."""
        found = self._tensors.get(tensor)
        return self.constant(tensor) if found is not None and math.prod(found.dims) == 1 else None

    def integers(self, node: onnx.NodeProto, name: str, index: int) -> tuple[int, ...] | None:
        """Integers that are an attribute in old opsets and a constant input in new ones."""
        given = attribute(node, name)
        if given is not None:
            return tuple(int(item) for item in given)
        found = self.constant(node.input[index]) if len(node.input) > index else None
        return None if found is None else tuple(int(item) for item in found.reshape(-1))

    def is_seen(self, tensor: str) -> bool:
        """Whether the model gives the tensor, or a graph within a node reads it."""
        return tensor in self._given or tensor in self._read_within

    def is_private(self, tensor: str) -> bool:
        """Whether one node reads the tensor, once, and nothing else sees it."""
        return not self.is_seen(tensor) and len(self._readers.get(tensor, ())) == 1

    def readers(self, tensor: str) -> tuple[onnx.NodeProto, ...]:
        """The nodes that read the tensor."""
        return tuple(self._readers.get(tensor, ()))

    def new_name(self, wanted: str) -> str:
        """A name that nothing has; it is taken from now on."""
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted

    def new_constant(self, wanted: str, values: NDArray[Any]) -> str:
        """The name of a new constant."""
        from onnx import numpy_helper

        name = self.new_name(wanted)
        self._tensors[name] = numpy_helper.from_array(values, name)
        return name

    def _enter(self, node: onnx.NodeProto) -> None:
        for name in node.input:
            self._readers.setdefault(name, []).append(node)
        for name in node.output:
            self._makers[name] = node

    def _leave(self, node: onnx.NodeProto) -> None:
        for name in node.input:
            self._readers[name] = [each for each in self._readers[name] if each is not node]
        for name in node.output:
            if self._makers.get(name) is node:
                del self._makers[name]


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's operators that the model is written in."""
    return next((entry.version for entry in model.opset_import if entry.domain in OWN_DOMAINS), 1)


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """An attribute's value."""
    from onnx import helper

    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default
