"""Nodes and constants written into a graph, under names that are free there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import opset_of
from deployx_edge.graph.subgraphs import all_names, rename_tensors

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

# From here on the axes of Squeeze and Unsqueeze, and the sizes of Split, are inputs.
_AXES_AS_INPUTS = 13


class GraphEditor:
    """Nodes that are to stand in the place of others; constants are entered into the graph."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._graph = model.graph
        self._taken = set(all_names(model.graph))
        self._opset = opset_of(model)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def free(self, name: str) -> str:
        """The name, or one like it that nothing has; it is taken from now on."""
        found, count = name, 1
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found

    def value(self, tensor: str) -> NDArray[Any] | None:
        """The value of a constant, None of what is computed."""
        from onnx import numpy_helper

        found = self._constants.get(tensor)
        return None if found is None else numpy_helper.to_array(found)

    def number(self, tensor: str) -> int | None:
        """The one integer, or truth value, that a constant holds; None of anything else."""
        found = self.value(tensor)
        return int(found.reshape(-1)[0]) if found is not None and found.size == 1 else None

    def constant(self, name: str, values: NDArray[Any]) -> str:
        """A new constant; gives the name that it has."""
        from onnx import numpy_helper

        tensor = numpy_helper.from_array(values, self.free(name))
        self._enter(tensor)
        return tensor.name

    def inline(
        self, body: onnx.GraphProto, given: Sequence[str], results: Sequence[str], prefix: str
    ) -> list[onnx.NodeProto]:
        """The nodes of a graph within a node, which read ``given`` in place of its inputs.

        ``results`` are the names under which its outputs are made, "" for one that nobody wants.
        """
        import onnx
        from onnx import helper

        copy = onnx.GraphProto()
        copy.CopyFrom(body)
        names = dict(zip((value.name for value in body.input), given, strict=True))
        made = {name for node in body.node for name in node.output if name}
        own = [*(tensor.name for tensor in body.initializer), *sorted(made)]
        names.update({name: self.free(f"{prefix}/{name}") for name in own})
        handed_on = []
        for value, result in zip(body.output, results, strict=True):
            if result and value.name in made:
                names[value.name] = result
                made.remove(value.name)
            elif result:
                handed_on.append((value.name, result))
        rename_tensors(copy, names)
        for node in copy.node:
            node.name = node.name and self.free(f"{prefix}/{node.name}")
        for tensor in copy.initializer:
            self._enter(tensor)
        ends = [
            helper.make_node("Identity", [names.get(name, name)], [result])
            for name, result in handed_on
        ]
        return [*copy.node, *ends]

    def with_axis(self, operator: str, tensor: str, axis: int, result: str) -> onnx.NodeProto:
        """A Squeeze or an Unsqueeze of one axis."""
        return self._with_integers(operator, tensor, "axes", [axis], [result], {})

    def split(
        self, tensor: str, axis: int, sizes: Sequence[int], results: Sequence[str]
    ) -> onnx.NodeProto:
        """A Split into parts of these sizes."""
        return self._with_integers("Split", tensor, "split", sizes, results, {"axis": axis})

    def joined(
        self, tensors: Sequence[str], axis: int, result: str, *, new_axis: bool
    ) -> list[onnx.NodeProto]:
        """The tensors one behind the other along an axis, or along a ``new_axis``."""
        from onnx import helper

        rows = [self.free(f"{result}/row") for _ in tensors] if new_axis else list(tensors)
        nodes = [
            self.with_axis("Unsqueeze", tensor, axis, row)
            for tensor, row in zip(tensors, rows, strict=True)
            if new_axis
        ]
        return [*nodes, helper.make_node("Concat", rows, [result], axis=axis)]

    def _with_integers(
        self,
        operator: str,
        tensor: str,
        name: str,
        values: Sequence[int],
        results: Sequence[str],
        attributes: dict[str, Any],
    ) -> onnx.NodeProto:
        """A node with integers that are an attribute in old opsets and an input in new ones."""
        import numpy as np
        from onnx import helper

        inputs = [tensor]
        if self._opset < _AXES_AS_INPUTS:
            attributes = {**attributes, name: list(values)}
        else:
            array = np.asarray(values, dtype=np.int64)
            inputs.append(self.constant(f"{results[0]}/{name}", array))
        return helper.make_node(operator, inputs, list(results), **attributes)

    def _enter(self, tensor: onnx.TensorProto) -> None:
        self._graph.initializer.append(tensor)
        self._constants[tensor.name] = tensor
        self._taken.add(tensor.name)


def keep_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> int:
    """Leave these nodes, some of them new ones, in the graph; by how many there are fewer."""
    fewer = len(graph.node) - len(nodes)
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)
    return fewer
