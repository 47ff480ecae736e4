"""A model's outputs: their shapes and the largest values, or everything as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from deployx_edge.model import PostProcessing
from deployx_edge.processing.postprocessing import classify

if TYPE_CHECKING:
    import numpy

_SHOWN_SAMPLES = 10
_SHOWN_VALUES = 3


def outputs_table(
    outputs: Mapping[str, numpy.ndarray], meanings: Sequence[PostProcessing] = ()
) -> Table:
    """One row a sample of each output, with the places of its largest values.

    ``meanings`` is the bundle's post-processing: labels and probabilities where it has them.
    """
    import numpy

    steps = {step.output: step for step in meanings if step.kind == "classification"}
    table = Table(title="Outputs")
    for heading in ("output", "shape", "sample", "largest values (index or label)"):
        table.add_column(heading)
    for name, array in outputs.items():
        samples = array.reshape(array.shape[0], -1) if array.ndim > 1 else array.reshape(1, -1)
        shape = "x".join(map(str, array.shape))
        for index, values in enumerate(samples[:_SHOWN_SAMPLES]):
            broken = int((~numpy.isfinite(values)).sum()) if values.dtype.kind == "f" else 0
            if broken:
                mark = Text(f"{broken} of {values.size} values are NaN or infinite", style="red")
                table.add_row(name, shape, str(index), mark)
                continue
            best = classify(steps.get(name, PostProcessing(output=name)), values, _SHOWN_VALUES)
            top = ", ".join(f"{entry.score:.4g} ({entry.label})" for entry in best)
            table.add_row(name, shape, str(index), top)
        if len(samples) > _SHOWN_SAMPLES:
            table.add_row(name, shape, "…", f"{len(samples) - _SHOWN_SAMPLES} more samples")
    return table


def outputs_document(outputs: Mapping[str, numpy.ndarray]) -> dict[str, Any]:
    """Every value, as nested lists; ``not_finite`` counts NaN and infinities."""
    import numpy

    return {
        "kind": "outputs",
        "outputs": {
            name: {
                "shape": list(array.shape),
                "not_finite": int((~numpy.isfinite(array)).sum()) if array.dtype.kind == "f" else 0,
                "values": array.tolist(),
            }
            for name, array in outputs.items()
        },
    }
