"""Which layers int8 hurts, and the fewest that have to stay in float for the accuracy wanted."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deployx_edge.bundle import Bundle, Provenance, Verification, check_output
from deployx_edge.errors import AccuracyError, UsageError
from deployx_edge.evaluation.results import Accuracy, Evaluation
from deployx_edge.progress import Progress, Share, Stage, silent
from deployx_edge.quantization.report import LayerSensitivity, Sensitivity, Trial
from deployx_edge.runtime import DEFAULT_RUNTIME, find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import input_specs, output_specs
from deployx_edge.runtimes.quantizer import Calibrated, make_folder, tensor_costs
from deployx_edge.workflows.evaluate.case import EvaluationOptions, check_fits_data
from deployx_edge.workflows.evaluate.evaluate import evaluate
from deployx_edge.workflows.quantize.bundle_source import resolve
from deployx_edge.workflows.quantize.calibration import (
    OpenedCalibration,
    Quantized,
    QuantizeOptions,
    open_calibration,
)
from deployx_edge.workflows.quantize.quantize import write_quantized

_PRUNED = 8  # sets of at most so many layers are gone through one by one


@dataclass(frozen=True, kw_only=True)
class AccuracyGoal:
    """What the search is for: a metric on a data set may drop so far below the reference's.

    ``device`` None measures on this computer; ``wait`` for one that another run has, or refuse;
    ``verify`` what lies on it first.
    ``images`` is the folder of a list's images.
    """

    dataset: Path
    metric: str
    max_drop: float
    device: str | None = None
    wait: bool = True
    verify: bool = False
    limit: int | None = None
    images: Path | None = None

    @property
    def evaluation(self) -> EvaluationOptions:
        """How accuracy is measured."""
        return EvaluationOptions(
            metrics=(self.metric,),
            limit=self.limit,
            wait=self.wait,
            verify=self.verify,
            images=self.images,
        )


def quantize_by_sensitivity(
    model: Path,
    calibration: Path,
    output: Path,
    options: QuantizeOptions,
    goal: AccuracyGoal | None,
    *,
    progress: Progress = silent,
) -> tuple[Quantized, Sensitivity]:
    """Rank the layers, find which to keep in float for the goal, and write that bundle.

    Layers of ``options.keep_float`` stay in float throughout. Raises UsageError for a runtime
    that does not quantize layer by layer, AccuracyError where even the float layers alone drop
    too far.
    """
    model, options = resolve(model, options)
    runtime = find_runtime(options.bundle.chosen_runtime)
    quantizer = load_runtime(runtime.name).make_quantizer().by_layer
    if quantizer is None:
        raise UsageError(
            f"--sensitivity goes layer by layer, which {runtime.title} does not have.",
            remedy=f"Use --runtime {DEFAULT_RUNTIME}, or name layers with --keep-float.",
        )
    check_output(output.absolute())
    with open_calibration(model, calibration, options, progress=progress) as opened:
        if goal is not None:  # known before minutes go into scales
            check_fits_data(_interface(opened, runtime.name), goal.dataset, goal.evaluation)
        found = quantizer.calibrate(opened.material, options.int8, progress=progress)
        ranked = _ranked(found, options.keep_float, progress)
        result = Sensitivity(layers=ranked)
        if goal is not None:
            choices = _Choices(opened=opened, found=found, tools=quantizer.tools())
            result = _searched(model, choices, options, goal, ranked, progress)
        kept = (*options.keep_float, *result.keep_float)
        progress(Stage(text=f"Keeping {len(kept)} layers in float"))
        chosen = replace(options.int8, keep_float=kept)
        made = found.finish(chosen, progress=progress)
        return write_quantized(opened, made, output, options.bundle.name), result


def _interface(opened: OpenedCalibration, runtime: str) -> Bundle:
    """A bundle as it will be, without its files."""
    material = opened.material
    return Bundle(
        folder=material.folder,
        name=material.name,
        runtime=runtime,
        precision="int8",
        files=(),
        inputs=input_specs(material.source),
        outputs=output_specs(material.outputs),
        preprocessing=opened.preprocessing,
        postprocessing=opened.postprocessing,
        provenance=Provenance(
            tools=(),
            source_file=opened.opened.source_file,
            source_sha256=opened.opened.source_sha256,
            notes=(),
            verification=Verification(status="skipped"),
        ),
    )


def _ranked(
    found: Calibrated, keep_float: Sequence[str], progress: Progress
) -> tuple[LayerSensitivity, ...]:
    """Each layer alone in int8, on some of the calibration data, the worst first."""
    able = [layer for layer in found.able if layer.node not in keep_float]
    progress(Stage(text="Each layer alone in int8"))
    ends = [tensor.name for tensor in found.material.outputs]
    sensitivities = []
    with tempfile.TemporaryDirectory(prefix="rank-", dir=found.material.folder) as work:
        plain = found.float_model(Path(work))
        for index, layer in enumerate(able):
            progress(Share(done=index, total=len(able), of="layers"))
            folder = Path(work) / str(index)
            folder.mkdir()
            others = [other.node for other in found.able if other.node != layer.node]
            int8 = found.int8_in_floats(others, folder)
            costs = tensor_costs(plain, int8, ends, found.material.data)
            ratios = [cost.snr_db for cost in costs.values() if cost.snr_db is not None]
            worst = min(ratios, default=None)
            sensitivities.append(LayerSensitivity(layer=layer.node, type=layer.type, snr_db=worst))
    return tuple(sorted(sensitivities, key=_snr))


def _snr(damage: LayerSensitivity) -> float:
    return float("inf") if damage.snr_db is None else damage.snr_db


@dataclass(frozen=True, kw_only=True)
class _Choices:
    """Bundles of choices of layers, to try them."""

    opened: OpenedCalibration
    found: Calibrated
    tools: tuple[tuple[str, str], ...]

    def bundle(self, keep_float: Sequence[str], work: Path) -> Bundle:
        """One in the empty folder ``work``; nothing is compared."""
        model = self.found.untested(keep_float, make_folder(work, "model"))
        # So that whoever measures it sees what it was calibrated on.
        data = {"calibration": asdict(self.opened.material.calibration)}
        report = work / "report.json"
        report.write_text(json.dumps(data), encoding="utf-8")
        skipped = Verification(status="skipped")
        return self.opened.write(model, skipped, self.tools, report, work / "bundle")


class _Measured:
    """Accuracy of choices of layers, each measured once."""

    def __init__(
        self, choices: _Choices, always: Sequence[str], measure: Callable[[Bundle], float]
    ) -> None:
        self._choices, self._always, self._measure = choices, tuple(always), measure
        self.trials: dict[tuple[str, ...], float] = {}

    def __call__(self, keep_float: Sequence[str]) -> float:
        key = tuple(keep_float)
        if key not in self.trials:
            folder = self._choices.opened.material.folder
            with tempfile.TemporaryDirectory(dir=folder) as work:
                bundle = self._choices.bundle((*self._always, *key), Path(work))
                self.trials[key] = self._measure(bundle)
        return self.trials[key]


def _searched(
    model: Path,
    choices: _Choices,
    options: QuantizeOptions,
    goal: AccuracyGoal,
    ranked: Sequence[LayerSensitivity],
    progress: Progress,
) -> Sensitivity:
    devices = [] if goal.device is None else [goal.device]

    def measured(bundle: Bundle, reference: Path | None) -> Evaluation:
        return evaluate(
            bundle.folder,
            goal.dataset,
            devices,
            reference=reference,
            torch=options.bundle.torch if reference else None,
            options=goal.evaluation,
            progress=progress,
        )

    with tempfile.TemporaryDirectory(dir=choices.opened.material.folder) as work:
        first = measured(choices.bundle(options.keep_float, Path(work)), model)
    assert first.reference is not None
    sign = -1.0 if first.reference.figures[0].higher_is_better is False else 1.0
    wanted = _value(first.reference)

    def is_enough(accuracy: float) -> bool:
        return sign * (wanted - accuracy) <= goal.max_drop

    accuracy = _Measured(
        choices, options.keep_float, lambda bundle: _value(measured(bundle, None).places[0])
    )
    accuracy.trials[()] = _value(first.places[0])
    kept = _smallest([item.layer for item in ranked], accuracy, is_enough, progress)
    return Sensitivity(
        layers=tuple(ranked),
        keep_float=kept,
        metric=goal.metric,
        place=goal.device or "this computer",
        reference=wanted,
        allowed=goal.max_drop,
        trials=tuple(Trial(keep_float=key, accuracy=v) for key, v in accuracy.trials.items()),
        notes=first.notes,
    )


def _smallest(
    ranked: Sequence[str],
    accuracy: _Measured,
    is_enough: Callable[[float], bool],
    progress: Progress,
) -> tuple[str, ...]:
    """The fewest of the most harmful layers that are enough, without those not needed then.

    Doubling, then halving the steps back, then each left out in turn: the order by damage is
    trusted, so that a smaller set out of its order may be missed.
    """

    def tried(keep_float: Sequence[str]) -> bool:
        progress(Stage(text=f"With {len(keep_float)} layers in float"))
        return is_enough(accuracy(keep_float))

    low, high = -1, 0
    while not tried(ranked[:high]):
        if high >= len(ranked):
            raise AccuracyError(
                f"Even with all layers in float the accuracy is {accuracy(ranked):.4g}, further "
                "below the reference than is allowed: int8 is not what costs it."
            )
        low, high = high, min(max(2 * high, 1), len(ranked))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if tried(ranked[:middle]) else (middle, high)
    kept = list(ranked[:high])
    for name in list(kept[:-1]) if len(kept) <= _PRUNED else ():
        without = [other for other in kept if other != name]
        if tried(without):
            kept = without
    return tuple(kept)


def _value(place: Accuracy) -> float:
    return place.figures[0].value
