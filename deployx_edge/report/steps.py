"""What a model gave step after step, summed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from deployx_edge.input_requests import format_shape

if TYPE_CHECKING:
    import numpy

_BLOCK_VALUES = 1 << 20
_SHOWN_VALUES = 4


def steps_table(outputs: Mapping[str, numpy.ndarray], steps: int) -> Table:
    """One row an output: its shape in a step, what its values are over all steps, and the last.

    Of an output that is fed back and stayed on the board only the last step is there.
    """
    table = Table(title=f"Outputs of {steps} steps")
    for heading in ("output", "steps", "shape"):
        table.add_column(heading)
    for heading in ("min", "mean", "max"):
        table.add_column(heading, justify="right")
    table.add_column("last step")
    for name, array in outputs.items():
        shown = "last" if len(array) < steps else str(len(array))
        broken = _count_not_finite(array)
        cells = [f"{value:.4g}" for value in _moments(array)]
        if broken:
            mark = Text(f"{broken} of {array.size} values are NaN or infinite", style="red")
            table.add_row(name, shown, format_shape(array.shape[1:]), *cells, mark)
            continue
        values = array[-1].reshape(-1)
        last = ", ".join(f"{value:.4g}" for value in values[:_SHOWN_VALUES])
        more = ", …" if values.size > _SHOWN_VALUES else ""
        table.add_row(name, shown, format_shape(array.shape[1:]), *cells, last + more)
    return table


def _blocks(array: numpy.ndarray) -> list[numpy.ndarray]:
    """Parts of the steps that are small enough to be widened."""
    rows = max(1, _BLOCK_VALUES // max(1, array[:1].size))
    return [array[start : start + rows] for start in range(0, len(array), rows)]


def _count_not_finite(array: numpy.ndarray) -> int:
    import numpy

    if array.dtype.kind not in "fV":
        return 0
    return sum(int((~numpy.isfinite(block)).sum()) for block in _blocks(array))


def _moments(array: numpy.ndarray) -> tuple[float, float, float]:
    """The least, the mean and the largest value."""
    import numpy

    if not array.size:
        return (float("nan"),) * 3
    blocks = _blocks(array)
    total = sum(float(block.sum(dtype=numpy.float64)) for block in blocks)
    return (
        float(min(block.min() for block in blocks)),
        total / array.size,
        float(max(block.max() for block in blocks)),
    )
