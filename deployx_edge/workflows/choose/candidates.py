"""From one model to a bundle for each runtime and precision; what refuses it is kept with why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployx_edge.bundle import MANIFEST_NAME, Bundle, load_bundle
from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import DEFAULT_RUNTIME, find_runtime, owner_of
from deployx_edge.worker_facts import check_options, has_option, own_options
from deployx_edge.workflows.choose.inputs import write_calibration
from deployx_edge.workflows.choose.trying import Tried, try_each
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.measure.jobs import Candidate
from deployx_edge.workflows.quantize.cached import quantize_once
from deployx_edge.workflows.quantize.calibration import QuantizeOptions

QUANTIZED = "int8"
MADE_UP_NOTE = (
    "its scales come from inputs that were made up (no --calibration): its latency, memory, load "
    "and size count, its error and accuracy do not"
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is tried: a model in each of ``runtimes`` at each of ``precisions``.

    ``options`` are the runs of each; their precision is not looked at. ``bundle`` says how
    the model comes in, ``socs`` by runtime which chip its files are for where ``bundle`` names
    none. ``calibration`` is the data that int8 takes its scales from; None for
    inputs that are made up, where ``made_up_scales`` allows them, as only times are of interest.
    ``images`` is the folder of the images that a list names.
    """

    model: Path
    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]
    options: tuple[RunOptions, ...] = (RunOptions(),)
    bundle: BundleOptions = field(default_factory=BundleOptions)
    socs: Mapping[str, str] = field(default_factory=dict)
    calibration: Path | None = None
    made_up_scales: bool = True
    images: Path | None = None

    def bundle_for(self, runtime: str) -> BundleOptions:
        """How the model comes in for that runtime."""
        soc = self.bundle.soc or self.socs.get(runtime)
        return replace(self.bundle, runtime=runtime, soc=soc)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A bundle, and ``notes`` as of ``Candidate``."""

    bundle: Bundle
    notes: tuple[str, ...] = ()


def make_candidates(
    wanted: Wanted, folder: Path, *, progress: Progress = silent
) -> tuple[list[Candidate], list[Tried[Made]]]:
    """What can be run, in the order of runtimes and precisions, and what was refused.

    The empty ``folder`` is for what the cache cannot hold. Raises ModelError, which names each
    runtime with its reason, where nothing is left.
    """
    tried = make_bundles(wanted, folder, progress=progress)
    candidates: list[Candidate] = []
    for each in tried:
        for options in wanted.options if each.value is not None else ():
            assert each.value is not None
            named = own_options(each.runtime, options.named)
            candidates.append(
                Candidate(
                    bundle=each.value.bundle,
                    options=replace(options, precision=each.precision, named=named),
                    notes=each.value.notes,
                    is_told_by_outputs=MADE_UP_NOTE not in each.value.notes,
                )
            )
    return candidates, [each for each in tried if each.value is None]


def usual_runtime(model: Path) -> str:
    """The runtime of a model that nobody named one for: a bundle's own, else the usual one."""
    own = owner_of(model)
    if (model / MANIFEST_NAME).is_file():
        return load_bundle(model).runtime
    return own.name if own else DEFAULT_RUNTIME


def make_bundles(wanted: Wanted, folder: Path, *, progress: Progress = silent) -> list[Tried[Made]]:
    """The bundle of each runtime and precision; errors as for ``make_candidates``."""
    for runtime in wanted.runtimes:
        find_runtime(runtime)
    _check_named(wanted)

    def make(runtime: str, precision: str) -> Made:
        progress(Stage(text=f"Making the bundle for {runtime} in {precision}"))
        return make_one(wanted, runtime, precision, folder, progress)

    return try_each(wanted.model, wanted.runtimes, wanted.precisions, make, progress)


def make_one(
    wanted: Wanted, runtime: str, precision: str, folder: Path, progress: Progress
) -> Made:
    """The bundle of one runtime and precision; DeployxError or ImportError where there is none."""
    if precision == QUANTIZED and not _is_quantized(wanted.model):
        return _quantize(wanted, runtime, folder, progress)
    # A bundle stays what it is, and runs in the precision that is asked for.
    stored = None if wanted.model.is_dir() else precision
    options = replace(wanted.bundle_for(runtime), precision=stored)
    return Made(bundle=make_bundle(wanted.model, options=options, progress=progress))


def _is_quantized(model: Path) -> bool:
    return (model / MANIFEST_NAME).is_file() and load_bundle(model).precision == QUANTIZED


def _quantize(wanted: Wanted, runtime: str, folder: Path, progress: Progress) -> Made:
    calibration, notes = wanted.calibration, tuple[str, ...]()
    if calibration is None and not wanted.made_up_scales:
        raise UsageError(
            "int8 takes its scales from data, and none was given.",
            remedy="Add --calibration FOLDER|FILE: other data than what accuracy is measured on.",
        )
    if calibration is None:
        calibration, notes = folder / "calibration.npz", (MADE_UP_NOTE,)
        if not calibration.exists():
            write_calibration(wanted.model, wanted.bundle, calibration)
    options = QuantizeOptions(bundle=wanted.bundle_for(runtime), images=wanted.images)
    output = folder / f"{runtime}-{QUANTIZED}"
    found = quantize_once(wanted.model, calibration, output, options, progress=progress)
    return Made(bundle=found, notes=notes)


def _check_named(wanted: Wanted) -> None:
    """UsageError for an option of a runtime that is not among those asked for."""
    for options in wanted.options:
        for name, value in options.named:
            having = [r for r in wanted.runtimes if has_option(r, name)]
            for runtime in having or wanted.runtimes[:1]:
                check_options(runtime, [(name, value)])
