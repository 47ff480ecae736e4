"""From one model to a bundle for each runtime and precision; what refuses it is kept with why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployx_edge.bundle import MANIFEST_NAME, Bundle, load_bundle
from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import DEFAULT_RUNTIME, find_runtime, owner_of
from deployx_edge.worker_facts import check_options, worker_facts
from deployx_edge.workflows.choose.inputs import write_calibration
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.measure.jobs import Candidate
from deployx_edge.workflows.quantize.calibration import QuantizeOptions
from deployx_edge.workflows.quantize.quantize import quantize

QUANTIZED = "int8"
MADE_UP_NOTE = (
    "its scales come from inputs that were made up (no --calibration): its latency, memory, load "
    "and size count, its error and accuracy do not"
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is tried: a model in each of ``runtimes`` at each of ``precisions``.

    ``options`` are the runs of each; their precision is not looked at. ``bundle`` says how
    the model comes in. ``calibration`` is the data that int8 takes its scales from; None for
    inputs that are made up. ``images`` is the folder of the images that a list names.
    """

    model: Path
    runtimes: tuple[str, ...]
    precisions: tuple[str, ...]
    options: tuple[RunOptions, ...] = (RunOptions(),)
    bundle: BundleOptions = field(default_factory=BundleOptions)
    calibration: Path | None = None
    images: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A runtime that cannot have the model at a precision, and why."""

    runtime: str
    precision: str
    error: DeployxError


@dataclass(frozen=True, kw_only=True)
class Made:
    """The bundle of a runtime at a precision; ``notes`` as of ``Candidate``."""

    runtime: str
    precision: str
    bundle: Bundle
    notes: tuple[str, ...] = ()


def make_candidates(
    wanted: Wanted, folder: Path, *, progress: Progress = silent
) -> tuple[list[Candidate], list[Refusal]]:
    """What can be run, in the order of runtimes and precisions, and what was refused.

    int8 bundles are written into the empty ``folder``. Raises ModelError, which names each
    runtime with its reason, where nothing is left.
    """
    made, refused = make_bundles(wanted, folder, progress=progress)
    candidates: list[Candidate] = []
    for each in made:
        for options in wanted.options:
            named = _own_options(each.runtime, options)
            candidates.append(
                Candidate(
                    bundle=each.bundle,
                    options=replace(options, precision=each.precision, named=named),
                    notes=each.notes,
                    is_told_by_outputs=MADE_UP_NOTE not in each.notes,
                )
            )
    return candidates, refused


def usual_runtime(model: Path) -> str:
    """The runtime of a model that nobody named one for: a bundle's own, else the usual one."""
    own = owner_of(model)
    if (model / MANIFEST_NAME).is_file():
        return load_bundle(model).runtime
    return own.name if own else DEFAULT_RUNTIME


def make_bundles(
    wanted: Wanted, folder: Path, *, progress: Progress = silent
) -> tuple[list[Made], list[Refusal]]:
    """The bundles alone; ModelError as for ``make_candidates``."""
    for runtime in wanted.runtimes:
        find_runtime(runtime)
    _check_named(wanted)
    made: list[Made] = []
    refused: list[Refusal] = []
    for runtime in wanted.runtimes:
        for precision in wanted.precisions:
            progress(Stage(text=f"Making the bundle for {runtime} in {precision}"))
            try:
                made.append(_make(wanted, runtime, precision, folder, progress))
            except DeployxError as error:
                refused.append(Refusal(runtime=runtime, precision=precision, error=error))
                progress(Stage(text=f"{runtime} in {precision}: {error.message}"))
    if not made:
        raise none_supports(wanted.model, refused)
    return made, refused


def none_supports(model: Path, refused: Sequence[Refusal]) -> DeployxError:
    """One error that names each runtime with its reason; where all say the same, that."""
    first = refused[0].error
    if all(each.error.message == first.message for each in refused):
        return first
    reasons: dict[str, list[str]] = {}
    for each in refused:
        reasons.setdefault(each.error.message, []).append(f"{each.runtime} in {each.precision}")
    told = " ".join(f"{', '.join(names)}: {text}" for text, names in reasons.items())
    return ModelError(
        f"No runtime of those asked for supports {model.name}. {told}",
        remedy="`deployx-edge inspect` shows how each operator goes in each runtime.",
    )


def _make(wanted: Wanted, runtime: str, precision: str, folder: Path, progress: Progress) -> Made:
    try:
        if precision == QUANTIZED and not _is_quantized(wanted.model):
            return _quantize(wanted, runtime, folder, progress)
        # A bundle stays what it is, and runs in the precision that is asked for.
        stored = None if wanted.model.is_dir() else precision
        options = replace(wanted.bundle, runtime=runtime, precision=stored)
        bundle = make_bundle(wanted.model, options=options, progress=progress)
    except ImportError as error:
        package = find_runtime(runtime).package
        raise MissingToolError(
            f"The Python package {error.name or package} is not installed here.",
            remedy=f"Install it with: pip install {package}",
        ) from error
    return Made(runtime=runtime, precision=precision, bundle=bundle)


def _is_quantized(model: Path) -> bool:
    return (model / MANIFEST_NAME).is_file() and load_bundle(model).precision == QUANTIZED


def _quantize(wanted: Wanted, runtime: str, folder: Path, progress: Progress) -> Made:
    calibration, notes = wanted.calibration, tuple[str, ...]()
    if calibration is None:
        calibration, notes = folder / "calibration.npz", (MADE_UP_NOTE,)
        if not calibration.exists():
            write_calibration(wanted.model, wanted.bundle, calibration)
    options = QuantizeOptions(bundle=replace(wanted.bundle, runtime=runtime), images=wanted.images)
    output = folder / f"{runtime}-{QUANTIZED}"
    found = quantize(wanted.model, calibration, output, options, progress=progress)
    return Made(runtime=runtime, precision=QUANTIZED, bundle=found.bundle, notes=notes)


def _check_named(wanted: Wanted) -> None:
    """UsageError for an option of a runtime that is not among those asked for."""
    for options in wanted.options:
        for name, value in options.named:
            having = [r for r in wanted.runtimes if worker_facts(r).option(name) is not None]
            for runtime in having or wanted.runtimes[:1]:
                check_options(runtime, [(name, value)])


def _own_options(runtime: str, options: RunOptions) -> tuple[tuple[str, str], ...]:
    """Of options that are of one runtime's own, those of this one."""
    facts = worker_facts(runtime)
    return tuple(item for item in options.named if facts.option(item[0]) is not None)
