"""Local response normalization, as torch writes it out.

    x ─┬─ Mul x ─ Reshape (1, 1, channels, …) ─ Pad ─ AveragePool ─ Squeeze ─┐
       │                                            ┌─ Pow β ─ Add k ─ Mul α ┘
       └────────────────────────────────────────── Div ─ y
    ⇒
    x ─ LRN(size, α, β, k) ─ y

of one image. Also: Pow 2 for the square, Mul with a Reciprocal for Div, any view for another.
Left alone: several images and other axes, which ncnn's layer does not take; windows of even
size, for which torch and ONNX take other neighbours; numbers that are not positive; and what is
also read elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.graph.links import Shapes, attribute
from deployx_edge.graph.passes.algebra import as_line, as_product
from deployx_edge.graph.passes.matching import Fused, PatternGraph, fuse
from deployx_edge.graph.passes.moments import square_of

if TYPE_CHECKING:
    import onnx

_VIEWS = ("Reshape", "Squeeze", "Unsqueeze")
_RANK = 4
_CHANNELS = 2  # their axis where they are pooled


def fuse_response_norm(model: onnx.ModelProto, shapes: Shapes) -> int:
    """Make one LRN of every one that is written out."""
    return fuse(model, shapes, _match)


def _match(graph: PatternGraph, node: onnx.NodeProto) -> Fused | None:
    product = as_product(graph, node.output[0]) if node.op_type in ("Div", "Mul") else None
    if product is None or product.factor != 1.0:
        return None
    if len(product.tensors) != 1 or len(product.divisors) != 1:
        return None
    (source,), (divisor,) = product.tensors, product.divisors
    power = graph.maker(divisor, "Pow")
    exponent = None if power is None else graph.exponent(power)
    if power is None or exponent is None or exponent <= 0.0:
        return None
    line = as_line(graph, power.input[0])
    size = _window(graph, line.tensor, source)
    if size is None or line.slope <= 0.0 or line.offset <= 0.0:
        return None
    return Fused(
        operator="LRN",
        inputs=(source,),
        attributes={"size": size, "alpha": line.slope, "beta": exponent, "bias": line.offset},
    )


def _window(graph: PatternGraph, tensor: str, source: str) -> int | None:
    """Over how many channels the tensor is the mean of the source's squares."""
    shape = graph.shape(source)
    behind = graph.maker(tensor, *_VIEWS)
    pool = None if behind is None else graph.maker(behind.input[0], "AveragePool")
    pad = None if pool is None else graph.maker(pool.input[0], "Pad")
    before = None if pad is None else graph.maker(pad.input[0], *_VIEWS)
    if pool is None or pad is None or before is None or shape is None:
        return None
    found = square_of(graph, before.input[0])
    if found != (source, source) or graph.shape(tensor) != shape:
        return None
    if len(shape) != _RANK or (graph.shape(pad.input[0]) or ())[:3] != (1, 1, shape[1]):
        return None
    size = int((attribute(pool, "kernel_shape") or [0])[0])
    return size if _slides(pool, size) and _pads(graph, pad, size) else None


def _slides(pool: onnx.NodeProto, size: int) -> bool:
    """Whether the pooling takes each window of so many channels, and nothing made up."""
    kernel = list(attribute(pool, "kernel_shape"))
    ones = [1] * len(kernel)
    return (
        size % 2 == 1
        and kernel == [size, *ones[1:]]
        and attribute(pool, "auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
        and not any(attribute(pool, "pads", ()))
        and not attribute(pool, "ceil_mode", 0)
        and list(attribute(pool, "strides", ones)) == ones
        and list(attribute(pool, "dilations", ones)) == ones
    )


def _pads(graph: PatternGraph, pad: onnx.NodeProto, size: int) -> bool:
    """Whether zeros stand before and behind the channels, half a window of them."""
    amounts = graph.integers(pad, "pads", 1)
    has_axes = len(pad.input) > 3 and pad.input[3]
    if amounts is None or has_axes or attribute(pad, "mode", b"constant") != b"constant":
        return False
    value = attribute(pad, "value", 0.0)
    if len(pad.input) > 2 and pad.input[2]:
        value = graph.number(pad.input[2])
    rank = len(amounts) // 2
    wanted = [size // 2 if axis % rank == _CHANNELS else 0 for axis in range(2 * rank)]
    return value == 0.0 and list(amounts) == wanted
