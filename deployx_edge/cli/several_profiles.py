"""``profile`` with several runtimes: each is profiled, and what refuses is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployx_edge.bundle import Bundle
    from deployx_edge.measurement.values import ProfileResult, RunOptions
    from deployx_edge.progress import Progress
    from deployx_edge.workflows.choose.trying import Tried
    from deployx_edge.workflows.convert.options import BundleOptions

_STORED = "fp32"


def bundles_of(
    model: Path, runtimes: Sequence[str], wanted: BundleOptions, progress: Progress
) -> tuple[list[Bundle], list[Tried[Any]]]:
    """The bundle of each runtime, and those that refuse the model."""
    from deployx_edge.workflows.choose.trying import try_each
    from deployx_edge.workflows.convert.bundle import make_bundle

    tried = try_each(
        model,
        runtimes,
        [_STORED],
        lambda runtime, _: make_bundle(
            model, options=replace(wanted, runtime=runtime), progress=progress
        ),
        progress,
    )
    made = [each.value for each in tried if each.value is not None]
    return made, [each for each in tried if each.value is None]


def profile_each(
    model: Path,
    bundles: Sequence[Bundle],
    options: RunOptions,
    profile: Callable[..., ProfileResult],
    progress: Progress,
) -> tuple[list[ProfileResult], list[Tried[Any]]]:
    """The profile of each bundle, and those that the board refuses."""
    from deployx_edge.workflows.choose.candidates import own_options
    from deployx_edge.workflows.choose.trying import try_each

    by_runtime = {bundle.runtime: bundle for bundle in bundles}

    def one(runtime: str, _: str) -> ProfileResult:
        own = replace(options, named=own_options(runtime, options))
        return profile(by_runtime[runtime], options=own)

    tried = try_each(model, list(by_runtime), [options.precision], one, progress)
    found = [each.value for each in tried if each.value is not None]
    return found, [each for each in tried if each.value is None]
