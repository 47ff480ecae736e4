"""Permutations of any number of axes by ncnn's Permute, which knows at most four."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import combinations, pairwise, permutations

from deployx_edge.model import MAX_RUNTIME_DIMS

Order = tuple[int, ...]
# One Permute: the lengths of the runs of blocks that it takes as one axis, and their order.
Move = tuple[tuple[int, ...], Order]

# 7! orders are looked through in a moment; no model was seen to move more axes apart.
MAX_BLOCKS = 7


def moving_blocks(shape: Sequence[int], order: Sequence[int]) -> list[tuple[int, ...]]:
    """Runs of axes that stay together in the permutation, in the result's order.

    Axes of size 1 do not matter and are left out.
    """
    axes = [axis for axis in order if shape[axis] != 1]
    ranks = {axis: rank for rank, axis in enumerate(sorted(axes))}
    blocks: list[tuple[int, ...]] = []
    for axis in axes:
        if blocks and ranks[axis] == ranks[blocks[-1][-1]] + 1:
            blocks[-1] = (*blocks[-1], axis)
        else:
            blocks.append((axis,))
    return blocks


def permute_order(turned: Order) -> int:
    """Permute's order_type for numpy's permutation of the dimensions, slowest first.

    ncnn counts the permutations of (w, h, c) or (w, h, d, c), fastest first, sorted by the
    result's slowest axis (c before d before h before w), then by the next (``permute.cpp``).
    """
    rank = len(turned)
    fastest_first = tuple(rank - 1 - axis for axis in reversed(turned))
    table = sorted(
        permutations(range(rank)), key=lambda order: tuple(-axis for axis in reversed(order))
    )
    return table.index(fastest_first)


@lru_cache(maxsize=256)
def moves_to(target: Order) -> tuple[Move, ...]:
    """The fewest Permutes that bring blocks 0, 1, 2, … into the order ``target``.

    REQUIRES: at most MAX_BLOCKS blocks. Each Permute takes neighbouring blocks as one axis.
    """
    start = tuple(range(len(target)))
    before: dict[Order, tuple[Order, Move] | None] = {start: None}
    waiting = deque([start])
    while target not in before:
        state = waiting.popleft()
        for move, reached in _moves(state):
            if reached not in before:
                before[reached] = (state, move)
                waiting.append(reached)
    moves = []
    step = before[target]
    while step is not None:
        moves.append(step[1])
        step = before[step[0]]
    return tuple(reversed(moves))


def _moves(state: Order) -> Iterator[tuple[Move, Order]]:
    """Every way to cut the blocks into at most four runs and to put those otherwise."""
    parts = min(MAX_RUNTIME_DIMS, len(state))
    for cuts in combinations(range(1, len(state)), parts - 1):
        edges = (0, *cuts, len(state))
        runs = [state[a:b] for a, b in pairwise(edges)]
        lengths = tuple(len(run) for run in runs)
        for order in permutations(range(parts)):
            yield (lengths, order), tuple(block for place in order for block in runs[place])
