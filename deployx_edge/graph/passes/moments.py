"""What normalizations have in common: division by the root of a mean of squares."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.passes.algebra import Product, as_line, as_product
from deployx_edge.graph.passes.matching import PatternGraph

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of ``source`` over its last ``count`` axes, times ``factor``."""

    source: str
    count: int
    factor: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Normalized:
    """``numerator`` × scale ÷ √(mean of ``squared[0]`` × ``squared[1]`` + ``epsilon``).

    The scale is the product of ``factor`` and of the ``constants``; without a numerator ("")
    it is what is divided. ``count`` are the last axes that the mean is taken over.
    """

    numerator: str
    squared: tuple[str, str]
    count: int
    epsilon: float
    factor: float
    constants: tuple[str, ...]


def mean_of(graph: PatternGraph, tensor: str) -> Mean | None:
    """The tensor as a mean (or a sum) over last axes, which stay with a size of 1.

    They may have been dropped and put back.
    """
    return _reduced(graph, _behind_view(graph, tensor), graph.shape(tensor))


def centred(graph: PatternGraph, tensor: str) -> Mean | None:
    """What a tensor is, less its own mean."""
    node = graph.maker(tensor, "Sub")
    found = mean_of(graph, node.input[1]) if node is not None else None
    if node is None or found is None or found.factor != 1.0 or found.source != node.input[0]:
        return None
    return found


def normalized(graph: PatternGraph, tensor: str) -> Normalized | None:
    """The tensor as something divided by the root of a mean of squares over last axes."""
    product = as_product(graph, tensor)
    under = _under_root(graph, product)
    if under is None:
        return None
    argument, rest = under
    constants = tuple(name for name in rest if graph.constant(name) is not None)
    varying = [name for name in rest if name not in constants]
    line = as_line(graph, argument)
    line = line.of(as_line(graph, _behind_view(graph, line.tensor)))
    mean = _reduced(graph, line.tensor, graph.shape(argument))
    squared = None if mean is None else square_of(graph, mean.source)
    if mean is None or squared is None or len(varying) > 1:
        return None
    slope = line.slope * mean.factor
    if slope <= 0.0 or line.offset <= 0.0:
        return None
    return Normalized(
        numerator=varying[0] if varying else "",
        squared=squared,
        count=mean.count,
        epsilon=line.offset / slope,
        factor=product.factor / math.sqrt(slope),
        constants=constants,
    )


def spread(
    graph: PatternGraph, node: onnx.NodeProto, what: str, found: Normalized, shape: tuple[int, ...]
) -> str | None:
    """The constant that holds the scale, one value an element; None where it is none."""
    import numpy as np

    if len(found.constants) == 1 and found.factor == 1.0:
        values = graph.constant(found.constants[0])
        if values is not None and values.shape == shape:
            return found.constants[0]
    total: NDArray[Any] = np.asarray(found.factor, dtype=np.float64)
    for name in found.constants:
        total = total * np.asarray(graph.constant(name), dtype=np.float64)
    fitted = fit(total, shape)
    return None if fitted is None else graph.constant_for(node, what, fitted)


def fit(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The values broadcast to the shape; None where they do not belong to these axes."""
    import numpy as np

    extra = max(values.ndim - len(shape), 0)
    if any(size != 1 for size in values.shape[:extra]):
        return None
    try:
        wide = np.broadcast_to(values.reshape(values.shape[extra:]), shape)
    except ValueError:
        return None
    return np.ascontiguousarray(wide, dtype=np.float32)


def square_of(graph: PatternGraph, tensor: str) -> tuple[str, str] | None:
    """The two factors of a square, or of any product; None where the tensor is neither."""
    node = graph.maker(tensor, "Pow", "Mul")
    if node is None:
        return None
    if node.op_type == "Mul":
        return node.input[0], node.input[1]
    return (node.input[0], node.input[0]) if graph.exponent(node) == 2.0 else None


def _reduced(graph: PatternGraph, tensor: str, kept: tuple[int, ...] | None) -> Mean | None:
    """The mean that the tensor holds, whose shape is ``kept`` where it is used."""
    node = graph.maker(tensor, "ReduceMean", "ReduceSum")
    shape = graph.shape(node.input[0]) if node is not None else None
    axes = graph.integers(node, "axes", 1) if node is not None else None
    if node is None or shape is None or not axes:
        return None
    places = sorted({axis % len(shape) for axis in axes})
    count = len(places)
    rest = shape[: len(shape) - count]
    if places != list(range(len(rest), len(shape))) or kept != (*rest, *[1] * count):
        return None
    factor = 1.0 if node.op_type == "ReduceMean" else float(math.prod(shape[-count:]))
    return Mean(source=node.input[0], count=count, factor=factor)


def _behind_view(graph: PatternGraph, tensor: str) -> str:
    """What the tensor is but for axes of size 1."""
    node = graph.maker(tensor, "Reshape", "Unsqueeze")
    if node is None or not graph.is_private(node.input[0]):
        return tensor
    return node.input[0]


def _under_root(graph: PatternGraph, product: Product) -> tuple[str, tuple[str, ...]] | None:
    """What the product is divided by the root of, and its other factors."""
    if len(product.divisors) == 1:
        root = _root(graph, product.divisors[0], 0.5)
        return None if root is None else (root, product.tensors)
    if not product.divisors:
        for index, name in enumerate(product.tensors):
            root = _root(graph, name, -0.5)
            if root is not None:
                return root, (*product.tensors[:index], *product.tensors[index + 1 :])
    return None


def _root(graph: PatternGraph, tensor: str, power: float) -> str | None:
    node = graph.maker(tensor, "Sqrt", "Pow")
    if node is None:
        return None
    found = 0.5 if node.op_type == "Sqrt" else graph.exponent(node)
    return node.input[0] if found == power else None
