"""Einsum as products of matrices, products, sums and diagonals.

    a     b            a ─ Transpose ─ Reshape (B, M, K) ┐
     \\   /                                              MatMul ─ Reshape ─ Transpose ─ y
     Einsum      ⇒     b ─ Transpose ─ Reshape (B, K, N) ┘
       │
       y

B are the indices that both operands and the result have, K those that only the operands
have (they are summed over), M and N those of one operand and the result. Without a K it is a Mul
of (B, M, 1) and (B, 1, N). Before that each operand is brought to indices that occur once, and
that another reads: of an index that repeats the diagonal, of one that nobody else has the sum.
More than two operands are joined pair by pair, the smallest result first. An ellipsis stands for
indices of its own. Left alone: what ONNX does not define (an index twice in the result, or one that
no operand has).
"""

from __future__ import annotations

import math
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.links import OWN_DOMAINS, opset_of

if TYPE_CHECKING:
    import onnx

Shapes = Mapping[str, tuple[int, ...]]

# From here on the axes of ReduceSum are an input.
_AXES_AS_INPUTS = 13


@dataclass(frozen=True, kw_only=True)
class _Operand:
    """A tensor and the index of each of its axes."""

    tensor: str
    indices: str


@dataclass(frozen=True, kw_only=True)
class _Equation:
    """The operands, the indices of the result, and the size of each index."""

    operands: tuple[_Operand, ...]
    result: str
    sizes: Mapping[str, int]


def decompose_einsum(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Replace every Einsum of operands whose shapes are known."""
    known = dict(shapes)
    known.update({tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer})
    nodes: list[onnx.NodeProto] = []
    changed = 0
    for node in model.graph.node:
        is_one = node.op_type == "Einsum" and node.domain in OWN_DOMAINS
        equation = _equation(node, known) if is_one else None
        if equation is not None:
            nodes.extend(_Writer(model, node, equation, known).written())
            changed += 1
        else:
            nodes.append(node)
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
    if len(operands) != len(node.input) or len(set(result)) != len(result):
        return None
    sizes: dict[str, int] = {}
    for name, indices in zip(node.input, operands, strict=True):
        shape = shapes.get(name)
        if shape is None or len(shape) != len(indices):
            return None
        for index, size in zip(indices, shape, strict=True):
            known = sizes.setdefault(index, size)
            if not index.isalpha() or (1 != size != known != 1):
                return None
            sizes[index] = size if known == 1 else known
    if not set(result) <= set(sizes):
        return None
    made = tuple(
        _Operand(tensor=name, indices=indices)
        for name, indices in zip(node.input, operands, strict=True)
    )
    return _Equation(operands=made, result=result, sizes=sizes)


def _without_ellipses(text: str, shapes: Sequence[tuple[int, ...] | None]) -> str:
    """The equation with letters of their own for the axes that "..." stands for."""
    if "..." not in text or None in shapes:
        return text
    left, arrow, result = text.partition("->")
    operands = left.split(",")
    free = [each for each in string.ascii_letters if each not in text]
    counts = [
        len(shape or ()) - len(operand.replace("...", ""))
        for operand, shape in zip(operands, shapes, strict=False)
        if "..." in operand
    ]
    if arrow and "..." not in result:
        return text
    if not counts or min(counts) < 0 or max(counts) > len(free):
        return text
    letters = "".join(free[: max(counts)])
    if not arrow:
        # What it stands for comes first, then the indices that occur once.
        once = sorted(each for each in set(text) if each.isalpha() and text.count(each) == 1)
        arrow, result = "->", "".join(["...", *once])
    # Fewer axes are the last ones, as in broadcasting.
    each_count = iter(counts)
    named = [
        operand.replace("...", letters[len(letters) - next(each_count) :])
        if "..." in operand
        else operand
        for operand in operands
    ]
    return ",".join(named) + arrow + result.replace("...", letters)


class _Writer:
    """Collects the nodes that stand for one Einsum; they are named after it."""

    def __init__(
        self, model: onnx.ModelProto, node: onnx.NodeProto, equation: _Equation, shapes: Shapes
    ) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._model = model
        self._node = node
        self._equation = equation
        self._sizes = equation.sizes
        self._shapes = shapes
        self._opset = opset_of(model)
        self._name = node.name or node.output[0]

    def written(self) -> list[onnx.NodeProto]:
        """The nodes; the last has the Einsum's own name and output."""
        operands = [self._once_each(each) for each in self._equation.operands]
        while len(operands) > 1:
            operands = [self._without_unread(operands, each) for each in operands]
            first, second = self._cheapest(operands)
            others = [each for each in operands if each is not first and each is not second]
            wanted = set(self._equation.result).union(*(each.indices for each in others))
            operands = [self._product(first, second, wanted), *others]
        self._finish(self._without_unread(operands, operands[0]))
        return self._nodes

    def _once_each(self, operand: _Operand) -> _Operand:
        """Every index at most once, and none of a size of 1 that another operand broadcasts."""
        shape = self._shapes[operand.tensor]
        kept = [
            (index, axis)
            for axis, (index, size) in enumerate(zip(operand.indices, shape, strict=True))
            if size == self._sizes[index]
        ]
        tensor = operand.tensor
        if len(kept) < len(shape):
            tensor = self._reshape(tensor, [shape[axis] for _, axis in kept])
        found = _Operand(tensor=tensor, indices="".join(index for index, _ in kept))
        for index in sorted(set(found.indices)):
            if found.indices.count(index) > 1:
                found = self._diagonal(found, index)
        return found

    def _diagonal(self, operand: _Operand, index: str) -> _Operand:
        """The elements at which all axes of the index agree; it then is the last."""
        others = [axis for axis, each in enumerate(operand.indices) if each != index]
        alike = [axis for axis, each in enumerate(operand.indices) if each == index]
        rest = "".join(operand.indices[axis] for axis in others)
        size = self._sizes[index]
        tensor = self._transpose(operand.tensor, [*others, *alike])
        flat = size ** len(alike)
        tensor = self._reshape(tensor, [*self._dims(rest), flat])
        step = sum(size**power for power in range(len(alike)))
        bounds = ([0], [flat], [len(rest)], [step])
        tensor = self._add("Slice", [tensor, *(self._integers(each) for each in bounds)])
        return _Operand(tensor=tensor, indices=rest + index)

    def _without_unread(self, operands: Sequence[_Operand], operand: _Operand) -> _Operand:
        """Summed over the indices that neither the result nor another operand has."""
        others = (each.indices for each in operands if each is not operand)
        read = set(self._equation.result).union(*others)
        axes = [axis for axis, index in enumerate(operand.indices) if index not in read]
        if not axes:
            return operand
        inputs, attributes = [operand.tensor], {"keepdims": 0}
        if self._opset < _AXES_AS_INPUTS:
            attributes["axes"] = axes  # type: ignore[assignment]
        else:
            inputs.append(self._integers(axes))
        kept = "".join(index for index in operand.indices if index in read)
        return _Operand(tensor=self._add("ReduceSum", inputs, **attributes), indices=kept)

    def _cheapest(self, operands: Sequence[_Operand]) -> tuple[_Operand, _Operand]:
        """The two whose product is the smallest beside them; of equal ones the first."""

        def growth(pair: tuple[_Operand, _Operand]) -> int:
            others = (each.indices for each in operands if each not in pair)
            wanted = set(self._equation.result).union(*others)
            made = wanted.intersection(pair[0].indices + pair[1].indices)
            return self._size(made) - sum(self._size(each.indices) for each in pair)

        return min(combinations(operands, 2), key=growth)

    def _product(self, first: _Operand, second: _Operand, wanted: Collection[str]) -> _Operand:
        shared = [index for index in first.indices if index in second.indices]
        batch = [index for index in shared if index in wanted]
        summed = [index for index in shared if index not in wanted]
        rows = [index for index in first.indices if index not in second.indices]
        columns = [index for index in second.indices if index not in first.indices]
        left = self._matrix(first, (batch, rows, summed))
        right = self._matrix(second, (batch, summed, columns))
        product = self._add("MatMul" if summed else "Mul", [left, right])
        indices = "".join([*batch, *rows, *columns])
        return _Operand(tensor=self._reshape(product, self._dims(indices)), indices=indices)

    def _matrix(self, operand: _Operand, groups: tuple[list[str], list[str], list[str]]) -> str:
        """The operand with its axes in the order of the groups, one axis a group."""
        order = [operand.indices.index(index) for group in groups for index in group]
        tensor = self._transpose(operand.tensor, order)
        return self._reshape(tensor, [self._size(group) for group in groups])

    def _finish(self, operand: _Operand) -> None:
        """Bring it to the result's order, under the Einsum's own name and output."""
        order = [operand.indices.index(index) for index in self._equation.result]
        self._transpose(operand.tensor, order)
        if not self._nodes:
            self._add("Identity", [operand.tensor])
        self._nodes[-1].output[0] = self._node.output[0]
        self._nodes[-1].name = self._name

    def _dims(self, indices: Collection[str]) -> list[int]:
        return [self._sizes[index] for index in indices]

    def _size(self, indices: Collection[str]) -> int:
        return math.prod(self._dims(indices))

    def _transpose(self, tensor: str, order: list[int]) -> str:
        return tensor if order == sorted(order) else self._add("Transpose", [tensor], perm=order)

    def _reshape(self, tensor: str, dims: list[int]) -> str:
        return self._add("Reshape", [tensor, self._integers(dims)])

    def _integers(self, values: Sequence[int]) -> str:
        import numpy as np
        from onnx import numpy_helper

        name = f"{self._node.output[0]}/values_{len(self._model.graph.initializer)}"
        array = np.asarray(values, dtype=np.int64)
        self._model.graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _add(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        from onnx import helper

        made = f"{self._node.output[0]}/{operator.lower()}_{len(self._nodes)}"
        name = f"{self._name}/{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [made], name=name, **attributes))
        return made
