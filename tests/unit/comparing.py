"""Compares an output over inputs that are all at hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deployx_edge.bundle import OutputCheck
from deployx_edge.comparison import TensorComparison, Tolerance


def compare_output(
    name: str, reference: Sequence[np.ndarray], converted: Sequence[np.ndarray], limits: Tolerance
) -> OutputCheck:
    """One array for each input on both sides, batch axis included."""
    comparison = TensorComparison(name)
    for wanted, found in zip(reference, converted, strict=True):
        comparison.add(wanted, found)
    return comparison.check(limits)
