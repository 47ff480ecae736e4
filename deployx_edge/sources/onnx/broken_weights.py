"""Weights that hold NaN or infinity: where a model gives such, they are the likely cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.sources.onnx.file import OnnxSource, prepared

if TYPE_CHECKING:
    import onnx

_NAMED = 3
_FLOATS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16")


def refuse_broken_weights(source: OnnxSource) -> None:
    """ModelError naming the weights that hold NaN; where there are none, those with infinity.

    Infinity alone may be meant, in a mask for instance: ask where the outputs are not finite.
    """
    import numpy as np
    from onnx import numpy_helper

    with_nan, infinite = [], []
    for name, tensor in _constants(prepared(source).graph):
        values = np.asarray(numpy_helper.to_array(tensor), dtype=np.float64)
        if np.isnan(values).any():
            with_nan.append(name)
        elif np.isinf(values).any():
            infinite.append(name)
    broken, what = (with_nan, "NaN") if with_nan else (infinite, "infinite values")
    if not broken:
        return
    more = len(broken) - _NAMED
    names = ", ".join(f"'{name}'" for name in broken[:_NAMED])
    raise ModelError(
        f"The weights {names}{f' and {more} more' if more > 0 else ''} of {source.path.name} hold "
        f"{what}, and so do its outputs.",
        remedy="The training diverged, or the file is damaged.",
    )


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.TensorProto]]:
    """The float constants by the names of their tensors, in the order of the file."""
    import onnx

    floats = {onnx.TensorProto.DataType.Value(word) for word in _FLOATS}
    for tensor in graph.initializer:
        if tensor.data_type in floats:
            yield tensor.name, tensor
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name == "value" and attribute.t.data_type in floats:
                yield node.output[0], attribute.t
