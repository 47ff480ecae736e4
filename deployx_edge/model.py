"""Values that describe a model's inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One input or output as the source model knows it.

    ``blob`` is the name by which the runtime knows it (``in0``); ``shape`` is the
    source's full shape, batch axis included; ``layout`` names its axes (``NCHW``,
    ``NC``, or "" where nothing is known); ``batch_axis`` the axis that counts
    independent samples, None where there is none.
    """

    name: str
    blob: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    batch_axis: int | None
