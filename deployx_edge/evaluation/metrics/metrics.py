"""Metrics by the names that users know them by."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Sequence
from typing import Protocol

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.images import ADVICE
from deployx_edge.evaluation.metrics.accumulators import (
    MeanError,
    PeakSignalToNoise,
    StructuralSimilarity,
    TopK,
)
from deployx_edge.evaluation.metrics.average_precision import AveragePrecision, BoxLedger
from deployx_edge.evaluation.metrics.iou import MeanIntersection
from deployx_edge.evaluation.metrics.scores import mean_absolute_error, mean_squared_error
from deployx_edge.evaluation.metrics.user_metrics import load_user_metric
from deployx_edge.evaluation.values import Answer, Target
from deployx_edge.model import TensorSpec, format_shape

KNOWN = ("top1", "top5", "map", "map50", "miou", "mse", "mae", "psnr", "ssim")
_TOP = re.compile(r"top([1-9][0-9]{0,5})")


class Metric(Protocol):
    """One figure of many samples."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def unit(self) -> str:
        """``%`` (of a value of 0 … 1), ``dB``, or "" where it is the output's own."""
        ...

    @property
    def higher_is_better(self) -> bool | None:
        """Which way is good; None where nobody said."""
        ...

    @property
    def count(self) -> int:
        """How many samples were taken in."""
        ...

    @property
    def value(self) -> float:
        """The figure so far; UsageError before the first sample."""
        ...

    @property
    def running(self) -> str:
        """A few words on how it stands, cheap after every sample."""
        ...

    def update(self, answer: Answer, target: Target) -> None:
        """Take in one sample: what the model gave, and what is right."""
        ...


def metric_by_name(
    name: str,
    *,
    outputs: Sequence[TensorSpec],
    output: str | None = None,
    classes: int | None = None,
    peak: float = 1.0,
    names: Sequence[str] = (),
    ledger: BoxLedger | None = None,
) -> Metric:
    """The metric that ``name`` means, for a model with those ``outputs``.

    ``name`` is ``topK`` (``top1``, ``top5``, …), another of KNOWN, or ``module:function`` (see
    ``user_metrics``). ``output`` says which output is meant, needed where there are several;
    ``classes`` how many classes the labels have, None where nobody knows; ``names`` what they
    are called; ``peak`` is PSNR's and SSIM's; metrics of boxes share a ``ledger``. Raises
    UsageError for another name, and for a metric that does not fit the output.
    """
    if ":" in name:
        return load_user_metric(name)
    top = _TOP.fullmatch(name)
    if top is None and name not in KNOWN:
        near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.6)
        raise UsageError(
            f"There is no metric '{name}'.{f' Did you mean {near[0]}?' if near else ''}",
            remedy=f"Known are {', '.join(KNOWN)}, and module:function for one of your own.",
        )
    if name in ("map", "map50", "miou"):
        if classes is None:
            raise UsageError(
                f"{name} needs to know how many classes there are.",
                remedy="Name them: --postprocess …,labels=cat|dog.",
            )
        if name == "miou":
            return MeanIntersection(classes, names)
        return AveragePrecision(name, ledger or BoxLedger(classes), names)
    spec = _chosen(name, outputs, output)
    if top is not None:
        return TopK(int(top[1]), output=spec.name, classes=_class_count(name, spec, classes))
    if name == "psnr":
        return PeakSignalToNoise(peak, output=spec.name)
    if name == "ssim":
        return StructuralSimilarity(peak, output=spec.name)
    measure = mean_squared_error if name == "mse" else mean_absolute_error
    return MeanError(name, measure, output=spec.name)


def check_fits(name: str, *, task: str, truths: Collection[str], output: str) -> None:
    """UsageError where a metric needs what the data or the post-processing do not have.

    ``task`` is the post-processing's kind, ``truths`` what the data set knows of its samples.
    """
    if ":" in name:
        return
    boxes, masks = name in ("map", "map50"), name == "miou"
    if boxes and task != "detection":
        raise UsageError(
            f"{name} is of boxes, and nothing says that the model's outputs are.",
            remedy="Say it: --postprocess detection,labels=…",
        )
    if masks and task != "segmentation":
        raise UsageError(
            f"{name} is of masks, and nothing says that the model's output is one.",
            remedy="Say it: --postprocess segmentation,labels=…",
        )
    if boxes and "boxes" not in truths:
        raise UsageError(
            f"{name} needs the boxes of every sample, and these have none.",
            remedy=ADVICE["detection"],
        )
    if masks and "masks" not in truths:
        raise UsageError(
            f"{name} needs the mask of every sample, and these have none.",
            remedy=ADVICE["segmentation"],
        )
    if _TOP.fullmatch(name) and "labels" not in truths:
        raise UsageError(
            f"{name} needs the class of every sample, and these have none.",
            remedy="Give labels, or take a metric of boxes, of masks or of arrays.",
        )
    if name in ("mse", "mae", "psnr", "ssim") and "arrays" not in truths:
        raise UsageError(
            f"{name} needs what output '{output}' should be, for every sample.",
            remedy=f"Give an .npz file with an array 'target:{output}', or take another metric.",
        )


def default_metric(task: str, truths: Collection[str]) -> str:
    """``top1``, ``map`` or ``miou`` by the task; ``mse`` where only arrays say what is right."""
    if task == "classification" and "labels" not in truths:
        return "map" if "boxes" in truths else "miou" if "masks" in truths else "mse"
    return {"detection": "map", "segmentation": "miou"}.get(task, "top1")


def _chosen(name: str, outputs: Sequence[TensorSpec], output: str | None) -> TensorSpec:
    names = ", ".join(spec.name for spec in outputs)
    if output is None and len(outputs) == 1:
        return outputs[0]
    for spec in outputs:
        if spec.name == output:
            return spec
    if output is None:
        raise UsageError(
            f"{name} is of one output, and the model has {names}.", remedy="Say which."
        )
    raise UsageError(f"The model has no output '{output}', only {names}.")


def _class_count(name: str, spec: TensorSpec, classes: int | None) -> int:
    """How many scores a sample has; UsageError where they are not one a class."""
    shape = spec.sample_shape
    scores = math.prod(shape)
    if sum(size > 1 for size in shape) > 1:
        raise UsageError(
            f"{name} needs one score a class; output '{spec.name}' is {format_shape(shape)} "
            "for one sample.",
            remedy="Take another output, or module:function for a metric of your own.",
        )
    if classes is not None and classes != scores:
        raise UsageError(
            f"Output '{spec.name}' has {scores} scores, and there are {classes} classes.",
            remedy="The labels are not those of this model, or it has a class for the background.",
        )
    return scores
