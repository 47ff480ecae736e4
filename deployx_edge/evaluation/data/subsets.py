"""A part of a data set, by chance but the same every time."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.errors import UsageError


def choose(
    count: int,
    labels: Sequence[int] | None,
    *,
    limit: int | None,
    per_class: int | None,
    seed: int,
) -> tuple[int, ...]:
    """Positions out of 0 … ``count`` − 1, in rising order.

    First at most ``per_class`` of every class, then at most ``limit`` of what is left, both
    drawn without replacement by ``numpy.random.default_rng(seed)``. A larger number gives
    the smaller one's samples and more. Raises UsageError for numbers below 1, and for
    ``per_class`` where there are no labels.
    """
    import numpy as np

    for name, value in (("limit", limit), ("per_class", per_class)):
        if value is not None and value < 1:
            raise UsageError(f"{name} is {value}; at least one sample is needed.")
    if seed < 0:
        raise UsageError(f"The seed is {seed}; it is a whole number from 0 on.")
    generator = np.random.default_rng(seed)
    chosen = list(range(count))
    if per_class is not None:
        if labels is None:
            raise UsageError(
                "So many samples per class need classes, and these samples have none.",
                remedy="Give a limit for all of them together.",
            )
        members: dict[int, list[int]] = {}
        for position, label in enumerate(labels):
            members.setdefault(label, []).append(position)
        chosen = sorted(
            members[label][place]
            for label in sorted(members)
            for place in generator.permutation(len(members[label]))[:per_class].tolist()
        )
    if limit is not None and limit < len(chosen):
        places = generator.permutation(len(chosen))[:limit].tolist()
        chosen = sorted(chosen[place] for place in places)
    return tuple(chosen)
