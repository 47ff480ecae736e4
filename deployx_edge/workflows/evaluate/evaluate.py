"""How accurate a model is on the user's data, on boards and beside the reference."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from deployx_edge.bundle import (
    bundle_digest,
)
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.results import Evaluation
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.workflows.convert.bundle import TorchOptions
from deployx_edge.workflows.convert.finiteness import samples_sentence
from deployx_edge.workflows.evaluate.case import Case, EvaluationOptions, make_case
from deployx_edge.workflows.evaluate.files import (
    OutputSaver,
    write_predictions,
)
from deployx_edge.workflows.evaluate.kept_reference import KeptReference
from deployx_edge.workflows.evaluate.notes import curve_note, overlap
from deployx_edge.workflows.evaluate.page import PAGE, write_page
from deployx_edge.workflows.evaluate.places import Places, run_places
from deployx_edge.workflows.evaluate.results import Place, Tally, accuracy_of
from deployx_edge.workflows.evaluate.runners import Work, feed, reference_runner
from deployx_edge.workflows.staging import check_replaceable, staged_folder

_SAVED = "outputs.json"


def evaluate(
    model: Path,
    dataset: Path,
    devices: Sequence[str],
    *,
    reference: Path | None = None,
    input_shapes: Sequence[str] = (),
    torch: TorchOptions | None = None,
    options: EvaluationOptions | None = None,
    kept: KeptReference | None = None,
    progress: Progress = silent,
    progress_of: Callable[[str], Progress] | None = None,
) -> Evaluation:
    """Run every chosen sample on every device (none: this computer), and on the reference.

    Several devices run at once, each told of to its own ``progress_of`` where that is given;
    what fails on one of them is in ``failures``, and the others go on. With one it is raised.

    ``model`` is a bundle, or a source of which one is made; a source is its own reference, which
    is run once for all evaluations that are given the same ``kept``.
    A link that breaks is opened again and goes on behind the last answered sample; so does a
    command that was interrupted. Raises UsageError where data and model do not fit.
    """
    chosen, torch = options or EvaluationOptions(), torch or TorchOptions()
    _check_files(chosen, devices)
    source = reference if model.is_dir() else model
    # Beside a bundle, what is said of PyTorch is said of the reference.
    own = TorchOptions() if source is not model and source is not None else torch
    case = make_case(model, dataset, tuple(input_shapes), own, chosen, progress)
    with _tallies(case, chosen) as tally_of:
        beside = None
        if source is not None:
            beside = _beside(case, source, torch, tally_of, kept, progress)
        tell = progress_of or (lambda device: progress)
        ran = run_places(_work(case, chosen), devices, tally_of, progress, tell)
        progress(Stage(text="Working out figures"))
        found = _evaluation(case, dataset, beside, ran, chosen.seed)
        if not ran.done:
            tally_of.keep_nothing()
            return found
        if chosen.predictions is not None:
            store = ran.done[0].tally.store
            write_predictions(chosen.predictions, chosen.format, case.meaning, ran.data, store)
        if chosen.report is not None:
            write_page(chosen.report, found, ran.data, beside, ran.done)
    return found


@contextmanager
def _tallies(case: Case, options: EvaluationOptions) -> Iterator[_TallyMaker]:
    """A place to make tallies in; what they save appears when the block ends well."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deployx-edge-")))
        saved = None
        if options.outputs is not None:
            saved = stack.enter_context(staged_folder(options.outputs, _SAVED))
            # Known by it when the next evaluation replaces the folder.
            (saved / _SAVED).write_text("{}\n", encoding="utf-8")
        yield _TallyMaker(case, scratch, saved)


class _TallyMaker:
    """Makes the tally of each place."""

    def __init__(self, case: Case, scratch: Path, saved: Path | None) -> None:
        self._case = case
        self._scratch = scratch
        self._saved = saved
        self._made = 0

    def __call__(self, place: str) -> Tally:
        """A new one."""
        self._made += 1
        saver = None if self._saved is None else OutputSaver(self._saved, place)
        path = self._scratch / f"{self._made}.predictions"
        return Tally(self._case.metrics(), self._case.meaning, path, saver)

    def keep_nothing(self) -> None:
        """Nothing came of it: what an earlier evaluation saved stays."""
        if self._saved is not None:
            shutil.rmtree(self._saved)


def _beside(
    case: Case,
    source: Path,
    torch: TorchOptions,
    tally_of: _TallyMaker,
    kept: KeptReference | None,
    progress: Progress,
) -> Place:
    """The reference's place, new or kept."""
    if kept is None:
        return _reference(case, source, torch, tally_of("reference"), progress)

    def make(path: Path) -> Place:
        tally = Tally(case.metrics(), case.meaning, path, None)
        return _reference(case, source, torch, tally, progress)

    bundle = case.bundle
    shapes = [(spec.name, spec.shape) for spec in (*bundle.inputs, *bundle.outputs)]
    return kept.place((source, case.meaning, case.preprocessing, shapes), make)


def _reference(
    case: Case, source: Path, torch: TorchOptions, tally: Tally, progress: Progress
) -> Place:
    progress(Stage(text=f"Running {len(case.data)} samples in ONNX Runtime"))
    with reference_runner(source, case.bundle, torch, progress) as outputs_of:
        rate = feed(outputs_of(case.data), tally, len(case.data), progress)
    tally.finish()
    return Place(name="reference", precision="fp32", tally=tally, rate=rate)


def _work(case: Case, options: EvaluationOptions) -> Work:
    return Work(
        bundle=case.bundle,
        sequence=case.sequence,
        data=case.data,
        preprocessing=case.preprocessing,
        run=options.run,
        wait=options.wait,
        verify=options.verify,
        force=options.force,
    )


def _evaluation(
    case: Case, dataset: Path, reference: Place | None, ran: Places, seed: int
) -> Evaluation:
    data = ran.data
    places = tuple(accuracy_of(place, reference, data, seed) for place in ran.done)
    return Evaluation(
        model=case.bundle.name,
        bundle_sha256=bundle_digest(case.bundle),
        dataset=str(dataset),
        kind=data.kind,
        dataset_sha256=data.digest,
        samples=len(data) - len(data.skipped),
        skipped=data.skipped,
        notes=(
            *data.notes,
            *overlap(case.bundle, data),
            *curve_note(case.meaning, [metric.name for metric in case.metrics()]),
            *(f"{place.name}: {place.warning}" for place in ran.done if place.warning),
            *(samples_sentence(p.not_finite, p.place) for p in places if p.not_finite),
        ),
        reference=None if reference is None else accuracy_of(reference, None, data, seed),
        places=places,
        failures=ran.failed,
    )


def _check_files(options: EvaluationOptions, devices: Sequence[str]) -> None:
    """What would fail at the end fails here."""
    for folder, marker in ((options.report, PAGE), (options.outputs, _SAVED)):
        if folder is not None:
            check_replaceable(folder, marker)
    if options.predictions is not None and len(devices) > 1:
        raise UsageError(
            "--predictions holds what one place says, and there are several devices.",
            remedy="Name one device.",
        )
    if options.predictions is not None and options.predictions.is_dir():
        raise UsageError(f"--predictions {options.predictions} is a folder, not a file.")
