"""A model's graph while nodes are taken out of it.

They are changed in place; ``write`` puts what is left into the model. What a graph
within a node reads, and what the model gives, keeps its name and its value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.editing import keep_nodes
from deployx_edge.graph.links import Links, Shapes

if TYPE_CHECKING:
    import onnx


class LinkedGraph(Links):
    """A model's graph that is changed in place; the shapes of what is added are entered."""

    def __init__(self, model: onnx.ModelProto, shapes: Shapes) -> None:
        super().__init__(model, shapes)
        self._nodes = list(model.graph.node)
        self._gone: set[int] = set()

    def nodes(self) -> list[onnx.NodeProto]:
        """The nodes that are left, in the graph's order."""
        return [node for node in self._nodes if id(node) not in self._gone]

    def is_gone(self, node: onnx.NodeProto) -> bool:
        """Whether the node was taken out."""
        return id(node) in self._gone

    def is_read(self, tensor: str) -> bool:
        """Whether anything sees the tensor."""
        return bool(self._readers.get(tensor)) or self.is_seen(tensor)

    def rewire(self, node: onnx.NodeProto, inputs: Sequence[str]) -> None:
        """Let the node read other tensors; what nobody reads any more goes."""
        before = list(node.input)
        self._leave(node)
        node.input[:] = inputs
        self._enter(node)
        self._drop_unread(before)

    def bypass(self, node: onnx.NodeProto, source: str) -> bool:
        """Take a node out whose only result is what ``source`` is; False where that cannot be."""
        result = node.output[0]
        if result in self._read_within:
            return False
        if result in self._given:
            return self._give(node, source)
        self._read_instead(result, source)
        self._take_out(node)
        return True

    def absorb(self, node: onnx.NodeProto, into: onnx.NodeProto) -> None:
        """Take a node out that alone reads another's result; that one makes its result now.

        REQUIRES: ``into`` computes both from now on, and stands before all who read ``node``.
        """
        self._make_instead(into, into.output[0], node)

    def write(self) -> None:
        """Put nodes and constants, as they are now, into the model."""
        tensors = self._graph.initializer
        old = {tensor.name for tensor in tensors}
        keep_nodes(self._graph, self.nodes())
        tensors.extend(t for name, t in self._tensors.items() if name not in old)
        for index in range(len(tensors) - 1, -1, -1):
            # One by one: to write all anew would copy the weights.
            if not self.is_read(tensors[index].name):
                del tensors[index]

    def _give(self, node: onnx.NodeProto, source: str) -> bool:
        """Let what makes ``source`` give the node's result by its name, in the node's place."""
        maker = self._makers.get(source)
        if maker is None or self.is_seen(source):
            return False
        self._make_instead(maker, source, node)
        self._read_instead(source, node.output[0])
        return True

    def _make_instead(self, maker: onnx.NodeProto, output: str, node: onnx.NodeProto) -> None:
        """Let a maker give what another node gave, in place of its own output."""
        result = node.output[0]
        self._gone.add(id(node))
        self._leave(node)
        self._leave(maker)
        maker.output[:] = [result if name == output else name for name in maker.output]
        self._enter(maker)
        self._drop_unread(node.input)

    def _read_instead(self, before: str, after: str) -> None:
        for reader in list(self._readers.get(before, ())):
            self.rewire(reader, [after if name == before else name for name in reader.input])

    def _take_out(self, node: onnx.NodeProto) -> None:
        if id(node) in self._gone:
            return
        self._gone.add(id(node))
        self._leave(node)
        self._drop_unread(node.input)

    def _drop_unread(self, tensors: Sequence[str]) -> None:
        for name in tensors:
            maker = self._makers.get(name)
            if maker is not None and not any(self.is_read(made) for made in maker.output if made):
                self._take_out(maker)


def set_attributes(node: onnx.NodeProto, values: Mapping[str, Any]) -> None:
    """Give attributes other values; None takes one away."""
    from onnx import helper

    kept = [entry for entry in node.attribute if entry.name not in values]
    del node.attribute[:]
    node.attribute.extend(kept)
    node.attribute.extend(
        helper.make_attribute(name, value) for name, value in values.items() if value is not None
    )
