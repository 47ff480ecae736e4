"""Nodes that a bundle leaves to the processor: a run allows them, or is refused before it begins.

Whoever made the bundle allowed them, whoever takes its numbers may not know.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from deployx_edge.bundle import Bundle
from deployx_edge.errors import FallbackError
from deployx_edge.measurement.fallback import ALLOW_FALLBACK, allows_fallback, left_sentence
from deployx_edge.measurement.values import RunOptions
from deployx_edge.worker_facts import check_options, has_option, own_options

_NAMED = 5


def check_run(bundle: Bundle, named: Sequence[tuple[str, str]]) -> None:
    """UsageError as of ``check_options``; FallbackError, which names the nodes, for a bundle that
    leaves some to the processor where these options do not allow it."""
    check_options(bundle.runtime, named)
    if not bundle.left or allows_fallback(named):
        return
    nodes = "; ".join(map(str, bundle.left[:_NAMED]))
    more = f"; and {len(bundle.left) - _NAMED} more" if len(bundle.left) > _NAMED else ""
    raise FallbackError(
        f"{bundle.name} was converted with --allow-fallback and leaves to the processor: "
        f"{nodes}{more}.",
        remedy="Allow it here too (--allow-fallback), or convert the model with --partition, "
        "which gives them to a runtime of their own.",
    )


def check_parts(bundles: Sequence[Bundle], named: Sequence[tuple[str, str]]) -> None:
    """Like ``check_run`` of parts that run one after the other, each with the options that its
    runtime has; one that no part's has is a UsageError."""
    for name, value in named:
        if not any(has_option(bundle.runtime, name) for bundle in bundles):
            check_options(bundles[0].runtime, [(name, value)])
    for bundle in bundles:
        check_run(bundle, own_options(bundle.runtime, named))


def of_part(bundle: Bundle, options: RunOptions) -> RunOptions:
    """The options of a run of several parts, with those of its own that this part has."""
    return replace(options, named=own_options(bundle.runtime, options.named))


def left_note(bundles: Iterable[Bundle]) -> str | None:
    """A sentence where some of them leave nodes to the processor; None where none does."""
    return left_sentence(left_names(bundles))


def left_names(bundles: Iterable[Bundle]) -> tuple[str, ...]:
    """The nodes that they leave to the processor."""
    return tuple(node.node for bundle in bundles for node in bundle.left)


def allowing(bundle: Bundle, options: RunOptions) -> RunOptions:
    """The options of a run that takes no numbers of the bundle, with what its nodes need."""
    if not bundle.left or allows_fallback(options.named):
        return options
    return replace(options, named=(*options.named, ALLOW_FALLBACK))
