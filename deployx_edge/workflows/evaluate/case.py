"""What an evaluation is of and on what: fixed and found to fit before anything is run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from deployx_edge.bundle import Bundle, BundleSequence, is_sequence, load_sequence
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import Dataset, open_dataset
from deployx_edge.evaluation.metrics.average_precision import BoxLedger
from deployx_edge.evaluation.metrics.metrics import (
    Metric,
    check_fits,
    default_metric,
    metric_by_name,
)
from deployx_edge.measurement.fallback import allows_fallback
from deployx_edge.measurement.values import RunOptions
from deployx_edge.model import PostProcessing, PreProcessing
from deployx_edge.processing.steps import (
    class_count,
    parse_postprocessing,
    parse_preprocessing,
    step_texts,
)
from deployx_edge.progress import Progress
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.convert.presets import image_steps, output_steps
from deployx_edge.workflows.evaluate.files import check_format
from deployx_edge.workflows.evaluate.meanings import (
    chosen_step,
    meaning_of,
    measured_labels,
    task_of,
)
from deployx_edge.workflows.evaluate.predictions import Meaning
from deployx_edge.workflows.measure.parts import whole_of


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
    ``files.FORMATS``. ``wait`` for a board that another run has, or refuse;
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


@dataclass(frozen=True, kw_only=True)
class Case:
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


def make_case(
    model: Path,
    dataset: Path,
    input_shapes: tuple[str, ...],
    torch: TorchOptions,
    options: EvaluationOptions,
    progress: Progress,
) -> Case:
    """The case of a bundle, or of the bundle that is made of a source; UsageError if they do not
    fit."""
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


def _case_of(bundle: Bundle, dataset: Path, options: EvaluationOptions) -> Case:
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
    case = Case(
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


def _class_count(case: Case) -> int | None:
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
