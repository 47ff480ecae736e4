"""Hundreds of small graphs, one operator each and some of several, for every converter.

Each family has a file of its own in ``operators/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.integration.models.operators.arrangement import (
    concatenations,
    gathers,
    pads,
    repeats,
    reshapes,
    shuffles,
    slices,
    splits,
    transposes,
)
from tests.integration.models.operators.case import Case
from tests.integration.models.operators.convolution import (
    convolutions,
    poolings,
    transposed_convolutions,
)
from tests.integration.models.operators.elementwise import (
    activations,
    elementwise,
    softmaxes,
    unaries,
)
from tests.integration.models.operators.normalization import normalizations, resizes
from tests.integration.models.operators.recurrent import recurrent
from tests.integration.models.operators.reduction import attentions, matrices, reductions
from tests.integration.models.operators.structure import graphs

FAMILIES: tuple[Callable[[], Iterator[Case]], ...] = (
    convolutions,
    transposed_convolutions,
    poolings,
    elementwise,
    unaries,
    activations,
    softmaxes,
    reshapes,
    transposes,
    concatenations,
    splits,
    slices,
    gathers,
    pads,
    repeats,
    shuffles,
    reductions,
    matrices,
    attentions,
    normalizations,
    resizes,
    recurrent,
    graphs,
)


def all_cases() -> list[Case]:
    """Every case; names are unique."""
    cases = [case for family in FAMILIES for case in family()]
    assert len({case.name for case in cases}) == len(cases)
    return cases
