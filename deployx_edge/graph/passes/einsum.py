"""Einsum of two operands as a product of matrices.

    a     b            a ─ Transpose ─ Reshape (B, M, K) ┐
     \\   /                                              MatMul ─ Reshape ─ Transpose ─ y
     Einsum      ⇒     b ─ Transpose ─ Reshape (B, K, N) ┘
       │
       y

B are the indices that both operands and the result have, K those that only the operands
have (they are summed over), M and N those of one operand and the result. Einsum of one
operand that only reorders its axes becomes a Transpose. An ellipsis stands for indices of its
own. Left alone: indices that repeat within an operand, axes that broadcast, and sums over an index
of one operand.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class _Equation:
    """The indices of the operands and of the result, and the size of each index."""

    operands: tuple[str, ...]
    result: str
    sizes: Mapping[str, int]

    def dims(self, indices: Sequence[str]) -> list[int]:
        return [self.sizes[index] for index in indices]

    def size(self, indices: Sequence[str]) -> int:
        return math.prod(self.dims(indices))


def decompose_einsum(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Replace every Einsum that the pattern covers."""
    known = dict(shapes)
    known.update({tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer})
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for node in model.graph.node:
        equation = _equation(node, known) if node.op_type == "Einsum" else None
        made = None if equation is None else _replacement(model, node, equation)
        nodes.extend([node] if made is None else made)
        changed += made is not None
    if changed:
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return changed


def _equation(node: onnx.NodeProto, shapes: Shapes) -> _Equation | None:
    text = next((entry.s.decode() for entry in node.attribute if entry.name == "equation"), "")
    text = _without_ellipses(text.replace(" ", ""), [shapes.get(name) for name in node.input])
    left, arrow, result = text.partition("->")
    operands = left.split(",")
    if not arrow:
        # Without an arrow: the indices that occur once, in the order of the alphabet.
        joined = "".join(operands)
        result = "".join(sorted(index for index in set(joined) if joined.count(index) == 1))
    sizes: dict[str, int] = {}
    for name, indices in zip(node.input, operands, strict=False):
        shape = shapes.get(name)
        if shape is None or len(shape) != len(indices) or len(set(indices)) != len(indices):
            return None
        for index, size in zip(indices, shape, strict=True):
            if not index.isalpha() or sizes.setdefault(index, size) != size:
                return None
    if len(operands) != len(node.input) or len(set(result)) != len(result):
        return None
    if not set(result) <= set(sizes):
        return None
    return _Equation(operands=tuple(operands), result=result, sizes=sizes)


def _without_ellipses(text: str, shapes: Sequence[tuple[int, ...] | None]) -> str:
    """The equation with letters of their own for the axes that "..." stands for."""
    if "..." not in text or None in shapes:
        return text
    left, arrow, result = text.partition("->")
    operands = left.split(",")
    free = [each for each in string.ascii_letters if each not in text]
    counts = {
        len(shape or ()) - len(operand.replace("...", ""))
        for operand, shape in zip(operands, shapes, strict=False)
        if "..." in operand
    }
    if arrow and "..." not in result:
        return text
    if len(counts) != 1 or not 0 <= max(counts) <= len(free):
        return text
    letters = "".join(free[: max(counts)])
    if not arrow:
        # What it stands for comes first, then the indices that occur once.
        once = sorted(each for each in set(text) if each.isalpha() and text.count(each) == 1)
        arrow, result = "->", "".join(["...", *once])
    return (left + arrow + result).replace("...", letters)


def _replacement(
    model: onnx.ModelProto, node: onnx.NodeProto, equation: _Equation
) -> list[onnx.NodeProto] | None:
    from onnx import helper

    if len(equation.operands) == 1 and len(equation.operands[0]) == len(equation.result):
        order = [equation.operands[0].index(index) for index in equation.result]
        return [helper.make_node("Transpose", node.input, node.output, name=node.name, perm=order)]
    if len(equation.operands) != 2:
        return None
    first, second = equation.operands
    batch = [index for index in equation.result if index in first and index in second]
    summed = [index for index in first if index in second and index not in equation.result]
    rows = [index for index in first if index not in second]
    columns = [index for index in second if index not in first]
    if not set(rows + columns) <= set(equation.result):
        return None
    writer = _Writer(model, node, equation)
    left = writer.matrix(0, (batch, rows, summed))
    right = writer.matrix(1, (batch, summed, columns))
    product = writer.node("MatMul", [left, right])
    writer.finish(product, [*batch, *rows, *columns])
    return writer.nodes


class _Writer:
    """Collects the nodes that stand for one Einsum; they are named after it."""

    def __init__(self, model: onnx.ModelProto, node: onnx.NodeProto, equation: _Equation) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._model = model
        self._node = node
        self._equation = equation
        self._name = node.name or node.output[0]

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper

        name = f"{self._name}/{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def matrix(self, operand: int, groups: tuple[list[str], list[str], list[str]]) -> str:
        """The operand with its axes in the order of the groups, one axis a group."""
        indices = self._equation.operands[operand]
        tensor = self._node.input[operand]
        order = [indices.index(index) for group in groups for index in group]
        if order != sorted(order):
            tensor = self.node("Transpose", [tensor], perm=order)
        return self._reshape(tensor, [self._equation.size(group) for group in groups])

    def finish(self, product: str, indices: list[str]) -> None:
        """Give the product the result's axes, and the Einsum's own name and output."""
        order = [indices.index(index) for index in self._equation.result]
        last = self._reshape(product, self._equation.dims(indices))
        if order != sorted(order):
            last = self.node("Transpose", [last], perm=order)
        self.nodes[-1].output[0] = self._node.output[0]
        self.nodes[-1].name = self._name

    def _reshape(self, tensor: str, dims: list[int]) -> str:
        import numpy as np
        from onnx import numpy_helper

        name = f"{self._name}/shape_{len(self.nodes)}"
        values = np.asarray(dims, dtype=np.int64)
        self._model.graph.initializer.append(numpy_helper.from_array(values, name))
        return self.node("Reshape", [tensor, name])
