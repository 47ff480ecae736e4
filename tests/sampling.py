"""Parts of matrices that are too large for every run; the whole with ``pytest --all``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

import pytest

Item = TypeVar("Item")


def sampled(items: Sequence[Item], config: pytest.Config, count: int) -> list[Item]:
    """So many of ``items``, in their order, by ``--sample-seed``; all of them with ``--all``."""
    if config.getoption("--all") or count >= len(items):
        return list(items)
    drawn = random.Random(config.getoption("--sample-seed")).sample(range(len(items)), count)
    return [items[index] for index in sorted(drawn)]
