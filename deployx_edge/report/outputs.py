"""A model's outputs: their shapes and the largest values, or everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    import numpy

_SHOWN_SAMPLES = 10
_SHOWN_VALUES = 3


def outputs_table(outputs: Mapping[str, numpy.ndarray]) -> Table:
    """One row a sample of each output, with the places of its largest values."""
    table = Table(title="Outputs")
    for heading in ("output", "shape", "sample", "largest values (at index)"):
        table.add_column(heading)
    for name, array in outputs.items():
        samples = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
        shape = "x".join(map(str, array.shape))
        for index, values in enumerate(samples[:_SHOWN_SAMPLES]):
            order = values.argsort()[::-1][:_SHOWN_VALUES]
            top = ", ".join(f"{values[place]:.4g} ({place})" for place in order)
            table.add_row(name, shape, str(index), top)
        if len(samples) > _SHOWN_SAMPLES:
            table.add_row(name, shape, "…", f"{len(samples) - _SHOWN_SAMPLES} more samples")
    return table


def outputs_document(outputs: Mapping[str, numpy.ndarray]) -> dict[str, Any]:
    """Every value, as nested lists."""
    return {
        "kind": "outputs",
        "outputs": {
            name: {"shape": list(array.shape), "values": array.tolist()}
            for name, array in outputs.items()
        },
    }
