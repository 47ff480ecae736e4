"""A model cut into parts that run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.bundle import SequenceFeed
from deployx_edge.errors import UsageError
from deployx_edge.sources.onnx.extraction import (
    CutPair,
    Extraction,
    cut_pairs,
    extract,
    reached_from,
)

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part, what feeds it, and which of its outputs are those of the whole model."""

    extraction: Extraction
    feeds: tuple[SequenceFeed, ...]
    results: tuple[tuple[str, str], ...]


def partition(model: onnx.ModelProto, cuts: Sequence[Sequence[str]]) -> tuple[Part, ...]:
    """Cut the model at each of ``cuts``, from its inputs on: names of tensors, or of marks.

    Each part leads from one cut to the next. A later part that needs more than the cut
    computes it from the model's own inputs again. Raises UsageError for an unknown name, and
    where a cut does not lie behind the one before it.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value.name for value in model.graph.input if value.name not in constants]
    pairs = [cut_pairs(model, cut) for cut in cuts]
    owners = {value.name: _owner(model, value.name, pairs) for value in model.graph.output}
    parts: list[Part] = []
    for index in range(len(cuts) + 1):
        starts = [*(cuts[index - 1] if index else ()), *inputs]
        results = [name for name, owner in owners.items() if owner == index]
        ends = [*(cuts[index] if index < len(cuts) else ()), *results]
        extraction = extract(model, starts, ends)
        before = {pair.behind: pair.before for pair in pairs[index - 1]} if index else {}
        if index and not before.keys() & set(extraction.input_tensors):
            raise UsageError(
                f"The cut at {', '.join(cuts[index - 1])} leads to nothing that comes after it.",
                remedy="Name the cuts in the order in which the data flows.",
            )
        parts.append(_part(extraction, before, parts, results))
    return tuple(parts)


def _part(
    extraction: Extraction, before: dict[str, str], earlier: list[Part], results: Sequence[str]
) -> Part:
    feeds = []
    for name, tensor in zip(extraction.inputs, extraction.input_tensors, strict=True):
        if tensor in before:
            made = earlier[-1].extraction
            output = made.outputs[made.output_tensors.index(before[tensor])]
            feeds.append(SequenceFeed(input=name, part=len(earlier) - 1, tensor=output))
        else:
            feeds.append(SequenceFeed(input=name, part=None, tensor=tensor))
    given = dict(zip(extraction.output_tensors, extraction.outputs, strict=True))
    return Part(
        extraction=extraction,
        feeds=tuple(feeds),
        results=tuple((name, given[name]) for name in results),
    )


def _owner(model: onnx.ModelProto, output: str, pairs: Sequence[Sequence[CutPair]]) -> int:
    """The part that makes an output of the model: behind the last cut that leads to it."""
    needed = reached_from(model, [output])
    owner = 0
    for index, cut in enumerate(pairs):
        if any(pair.behind in needed for pair in cut):
            owner = index + 1
    return owner
