"""``profile`` in several ways, by runtime and precision: what refuses one is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deployx_edge.measurement.values import ProfileResult, RunOptions
    from deployx_edge.progress import Progress
    from deployx_edge.workflows.choose.trying import Tried
    from deployx_edge.workflows.convert.options import BundleOptions
    from deployx_edge.workflows.measure.jobs import Candidate


def make_each(
    model: Path,
    ways: tuple[Sequence[str], Sequence[str]],
    options: RunOptions,
    bundle: BundleOptions,
    socs: Mapping[str, str],
    folder: Path,
    progress: Progress,
) -> tuple[list[Candidate], list[Tried[Any]]]:
    """A bundle for each of the runtimes and precisions in ``ways``, and what refuses the model.

    ``socs`` is by runtime the chip that files are made for. The empty ``folder`` is for what the
    cache cannot hold. int8 takes its scales from inputs that are made up: only times are told.
    """
    from deployx_edge.workflows.choose.candidates import Wanted, make_candidates, usual_runtime

    runtimes, precisions = ways
    wanted = Wanted(
        model=model,
        runtimes=tuple(runtimes) or (usual_runtime(model),),
        precisions=tuple(precisions),
        options=(options,),
        bundle=bundle,
        socs=socs,
    )
    return make_candidates(wanted, folder, progress=progress)


def profile_each(
    model: Path,
    candidates: Sequence[Candidate],
    profile: Callable[..., ProfileResult],
    progress: Progress,
) -> tuple[list[ProfileResult], list[Tried[Any]]]:
    """The profile of each bundle, and those that the board refuses."""
    from deployx_edge.workflows.choose.trying import try_all

    by_way = {(each.bundle.runtime, each.options.precision): each for each in candidates}

    def one(runtime: str, precision: str) -> ProfileResult:
        chosen = by_way[runtime, precision]
        return profile(chosen.bundle, options=chosen.options)

    tried = try_all(model, list(by_way), one, progress)
    found = [each.value for each in tried if each.value is not None]
    return found, [each for each in tried if each.value is None]
