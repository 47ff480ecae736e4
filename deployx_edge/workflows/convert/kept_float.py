"""Which layers of a conversion stay fp32 where half floats are used."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.comparison import FP16_LARGEST
from deployx_edge.runtimes.converter import ConvertedModel, KeptFloat
from deployx_edge.sources.onnx.value_ranges import WideTensor

_NAMED_LAYERS = 3
_ENDS = f"fp16 ends at {FP16_LARGEST:.0f}"


def kept_notes(model: ConvertedModel, wide: Sequence[WideTensor]) -> tuple[str, ...]:
    """A sentence for each reason for which layers stay fp32, naming some of them."""
    notes = []
    for reason in ("values", "sums", "weights", "asked"):
        kept = [item for item in model.kept_float if item.why == reason]
        if kept:
            why = _reason(reason, kept, wide)
            layers = _listed(kept)
            notes.append(f"These layers stay fp32 where half floats are used: {layers}; {why}.")
    return tuple(notes)


def _reason(reason: str, kept: Sequence[KeptFloat], wide: Sequence[WideTensor]) -> str:
    if reason == "asked":
        return "they were asked for (--keep-float)"
    if reason == "weights":
        return f"their weights are beyond what fp16 holds ({FP16_LARGEST:.0f})"
    most = max(kept, key=lambda item: item.largest)
    if reason == "sums":
        return f"what '{most.layer}' adds up inside may reach {most.largest:.3g}, {_ENDS}"
    values = {item.tensor: item.largest for item in wide} | {most.tensor: most.largest}
    tensor = max(values, key=values.__getitem__)
    return f"'{tensor}' reaches {values[tensor]:.3g}, {_ENDS}"


def _listed(kept: Sequence[KeptFloat]) -> str:
    more = len(kept) - _NAMED_LAYERS
    names = ", ".join(item.layer for item in kept[:_NAMED_LAYERS])
    return f"{names} and {more} more" if more > 0 else names
