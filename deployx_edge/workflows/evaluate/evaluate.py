"""How accurate a model is on the user's data, on boards and beside the reference."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from deployx_edge.bundle import (
    Bundle,
    BundleSequence,
    bundle_digest,
    is_sequence,
    load_sequence,
)
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import Dataset, open_dataset
from deployx_edge.evaluation.metrics.average_precision import BoxLedger
from deployx_edge.evaluation.metrics.metrics import (
    Metric,
    check_fits,
    default_metric,
    metric_by_name,
)
from deployx_edge.evaluation.results import Evaluation
from deployx_edge.measurement.fallback import allows_fallback
from deployx_edge.measurement.values import RunOptions
from deployx_edge.model import PostProcessing, PreProcessing
from deployx_edge.processing.steps import (
    class_count,
    parse_postprocessing,
    parse_preprocessing,
    step_texts,
)
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.convert.finiteness import samples_sentence
from deployx_edge.workflows.convert.presets import image_steps, output_steps
from deployx_edge.workflows.evaluate.files import (
    OutputSaver,
    check_format,
    write_predictions,
)
from deployx_edge.workflows.evaluate.kept_reference import KeptReference
from deployx_edge.workflows.evaluate.meanings import (
    chosen_step,
    meaning_of,
    measured_labels,
    task_of,
)
from deployx_edge.workflows.evaluate.notes import curve_note, overlap
from deployx_edge.workflows.evaluate.page import PAGE, write_page
from deployx_edge.workflows.evaluate.places import Places, run_places
from deployx_edge.workflows.evaluate.predictions import Meaning
from deployx_edge.workflows.evaluate.results import Place, Tally, accuracy_of
from deployx_edge.workflows.evaluate.runners import Work, feed, reference_runner
from deployx_edge.workflows.measure.parts import whole_of
from deployx_edge.workflows.staging import check_replaceable, staged_folder

_SAVED = "outputs.json"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What is evaluated, and on what.

    A source model is converted for ``runtime``, None for the usual one, and the chip ``soc``.
    ``metrics``: names as ``metric_by_name`` takes them; empty for the task's own (top1, map,
    miou). ``preprocess`` and ``postprocess`` are texts or YAML files as for ``convert``, or the
    values themselves, in place of what the bundle says, and ``like`` a preset for those that are
    not given; ``images`` the folder of a list's
    images. ``limit``, ``per_class`` and ``seed`` choose a part of the data set; ``strict`` makes
    an error of a sample that cannot be read. ``report`` and ``outputs`` are folders for a page
    with images and for raw outputs, ``predictions`` a file in ``format``, one of
    ``evaluation_files.FORMATS``. ``wait`` for a board that another run has, or refuse;
    ``verify`` hashes what lies there first; ``force`` runs a model again that took the board down.
    """

    runtime: str | None = None
    soc: str | None = None
    metrics: tuple[str, ...] = ()
    output: str | None = None
    preprocess: tuple[str | PreProcessing, ...] = ()
    postprocess: tuple[str | PostProcessing, ...] = ()
    like: str | None = None
    images: Path | None = None
    limit: int | None = None
    per_class: int | None = None
    seed: int = 0
    strict: bool = False
    run: RunOptions = field(default_factory=RunOptions)
    report: Path | None = None
    outputs: Path | None = None
    predictions: Path | None = None
    format: str = "csv"
    wait: bool = True
    verify: bool = False
    force: bool = False


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
    case = _case(model, dataset, tuple(input_shapes), own, chosen, progress)
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


@dataclass(frozen=True, kw_only=True)
class _Case:
    """What is evaluated on what: fixed before anything is run."""

    bundle: Bundle
    data: Dataset
    meaning: Meaning
    preprocessing: tuple[PreProcessing, ...]
    options: EvaluationOptions
    sequence: BundleSequence | None = None

    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that were asked for, new; UsageError where they do not fit."""
        task, truths = self.meaning.task, self.data.truths
        # Without anything to be right or wrong there are predictions, and agreement.
        names = self.options.metrics or ((default_metric(task, truths),) if truths else ())
        step = self.meaning.step
        output = self.options.output or (step.output if step is not None else None)
        classes = _class_count(self)
        ledger = BoxLedger(classes or 0)
        for name in names:
            told = output or ", ".join(spec.name for spec in self.bundle.outputs)
            check_fits(name, task=task, truths=truths, output=told)
        return tuple(
            metric_by_name(
                name,
                outputs=self.bundle.outputs,
                output=output,
                classes=classes,
                names=self.meaning.classes,
                ledger=ledger,
            )
            for name in names
        )


def _case(
    model: Path,
    dataset: Path,
    input_shapes: tuple[str, ...],
    torch: TorchOptions,
    options: EvaluationOptions,
    progress: Progress,
) -> _Case:
    if is_sequence(model):
        sequence = load_sequence(model)
        return replace(_case_of(whole_of(sequence), dataset, options), sequence=sequence)
    preprocess = step_texts(options.preprocess)
    wanted = BundleOptions(
        runtime=options.runtime,
        soc=options.soc,
        allow_fallback=allows_fallback(options.run.named),
        input_shapes=input_shapes,
        torch=torch,
        preprocess=() if model.is_dir() else preprocess,
        like=None if model.is_dir() else options.like,
        postprocess=step_texts(options.postprocess) if options.like and not model.is_dir() else (),
    )
    bundle = make_bundle(model, options=wanted, progress=progress)
    if model.is_dir() and options.like:
        options = _like(bundle, options, options.like, progress)
    return _case_of(bundle, dataset, options)


def _like(
    bundle: Bundle, options: EvaluationOptions, like: str, progress: Progress
) -> EvaluationOptions:
    """The options with what a preset says of a bundle, where they say nothing themselves."""
    return replace(
        options,
        preprocess=options.preprocess or image_steps(like, bundle.inputs, bundle.outputs, progress),
        postprocess=options.postprocess
        or output_steps(like, bundle.inputs, bundle.outputs, progress),
    )


def check_fits_data(bundle: Bundle, dataset: Path, options: EvaluationOptions) -> None:
    """UsageError where ``bundle`` cannot be evaluated so; nothing of its files is looked at."""
    _case_of(bundle, dataset, options)


def _case_of(bundle: Bundle, dataset: Path, options: EvaluationOptions) -> _Case:
    preprocess, postprocess = step_texts(options.preprocess), step_texts(options.postprocess)
    preprocessing = bundle.preprocessing
    if preprocess:
        preprocessing = tuple(parse_preprocessing(text, bundle.inputs) for text in preprocess)
        if len({step.input for step in preprocessing}) != len(preprocessing):
            raise UsageError("--preprocess is given twice for the same input.")
    meanings = bundle.postprocessing
    if postprocess:
        meanings = tuple(parse_postprocessing(text, bundle.outputs) for text in postprocess)
    step = chosen_step(meanings, options.output)
    data = open_dataset(
        dataset,
        inputs=bundle.inputs,
        outputs=bundle.outputs,
        preprocessing=preprocessing,
        labels=measured_labels(step),
        limit=options.limit,
        per_class=options.per_class,
        seed=options.seed,
        strict=options.strict,
        task=task_of(step),
        images=options.images,
    )
    case = _Case(
        bundle=bundle,
        data=data,
        meaning=meaning_of(bundle, data, step, options.output),
        preprocessing=preprocessing,
        options=options,
    )
    case.metrics()  # whether they fit is known before anything is run
    if options.predictions is not None:
        check_format(options.format, case.meaning, data)
    return case


def _class_count(case: _Case) -> int | None:
    """How many classes there are by all that is known; None where nothing says it."""
    step, named = case.meaning.step, len(case.meaning.classes) or None
    shapes = {spec.name: spec.shape for spec in case.bundle.outputs}
    if step is None or case.meaning.task == "arrays":
        return named
    if step.boxes is not None:
        scores = shapes.get(step.boxes.scores, shapes[step.output])
        count = class_count(step.boxes, shapes[step.output], scores)
    elif step.masks is not None and step.masks.layout != "NHW":
        count = shapes[step.output][1 if step.masks.layout == "NCHW" else -1]
        count = max(count, 2)  # a single channel parts two classes
    else:
        return named
    if count is not None and named is not None and named != count:
        raise UsageError(
            f"The model tells {count} classes apart, and {named} are named.",
            remedy="Name the model's own: --postprocess …,labels=….",
        )
    return count or named


@contextmanager
def _tallies(case: _Case, options: EvaluationOptions) -> Iterator[_TallyMaker]:
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

    def __init__(self, case: _Case, scratch: Path, saved: Path | None) -> None:
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
    case: _Case,
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
    case: _Case, source: Path, torch: TorchOptions, tally: Tally, progress: Progress
) -> Place:
    progress(Stage(text=f"Running {len(case.data)} samples in ONNX Runtime"))
    with reference_runner(source, case.bundle, torch, progress) as outputs_of:
        rate = feed(outputs_of(case.data), tally, len(case.data), progress)
    tally.finish()
    return Place(name="reference", precision="fp32", tally=tally, rate=rate)


def _work(case: _Case, options: EvaluationOptions) -> Work:
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
    case: _Case, dataset: Path, reference: Place | None, ran: Places, seed: int
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
