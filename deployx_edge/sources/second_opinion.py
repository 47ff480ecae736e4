"""Does a simplified model compute what its file does? Asked where a conversion came out wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployx_edge.sources.canonical import canonical, simplified
from deployx_edge.sources.onnx_file import OnnxSource, one_line
from deployx_edge.sources.onnx_runtime import open_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

# Of an output's deviation from its mean. Folding rounds otherwise, which stays far below.
_LIMIT = 1e-2
_ROUNDING = 1e-6


def without_simplifier(source: OnnxSource, inputs: Arrays, outputs: Arrays) -> OnnxSource | None:
    """The source to be read without onnxslim, where that is what changes its results.

    ``outputs`` are what the file itself gives for ``inputs``. None where the simplified model
    gives the same, or the other one does not.
    """
    if not source.is_slimmed:
        return None
    what = difference(source, inputs, outputs)
    plain = replace(source, is_slimmed=False)
    if not what or difference(plain, inputs, outputs):
        return None
    note = f"onnxslim is left out, as it changes what the model computes: {what}."
    return replace(plain, notes=(*source.notes, note))


def difference(source: OnnxSource, inputs: Arrays, outputs: Arrays) -> str:
    """How the simplified model differs from what the file gives; empty where it does not."""
    import numpy as np

    is_open = any(tensor.ranges for tensor in source.inputs)
    model = simplified(source) if is_open else canonical(source).model
    try:
        results = open_model(model.SerializeToString()).run(list(outputs), dict(inputs))
    except Exception as error:  # ONNX Runtime's exceptions share no base
        return f"it does not run any more ({one_line(error)})"
    for (name, wanted), found in zip(outputs.items(), results, strict=True):
        if found.shape != wanted.shape:
            return f"the output '{name}' has the shape {found.shape} instead of {wanted.shape}"
        usual, other = wanted.astype(np.float64), found.astype(np.float64)
        finite = np.isfinite(usual)
        if not finite.any():
            continue
        spread = usual[finite].std()
        with np.errstate(all="ignore"):  # where it overflows, it is off by infinity
            off = np.sqrt(np.mean(np.square(other[finite] - usual[finite])))
        if not off <= _LIMIT * spread + _ROUNDING * np.abs(usual[finite]).max():
            return f"the output '{name}' is off by {off:.2g}, it varies by {spread:.2g}"
    return ""
