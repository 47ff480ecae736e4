"""Metrics by the names that users know them by."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.accumulators import MeanError, PeakSignalToNoise, TopK
from deployx_edge.evaluation.scores import mean_absolute_error, mean_squared_error
from deployx_edge.evaluation.user_metrics import load_user_metric
from deployx_edge.evaluation.values import Target
from deployx_edge.model import TensorSpec, format_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outputs = Mapping[str, NDArray[Any]]

KNOWN = ("top1", "top5", "mse", "mae", "psnr")
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

    def update(self, outputs: Outputs, target: Target) -> None:
        """Take in one sample: outputs by name, with batch size 1, and what is right."""
        ...


def metric_by_name(
    name: str,
    *,
    outputs: Sequence[TensorSpec],
    output: str | None = None,
    classes: int | None = None,
    peak: float = 1.0,
) -> Metric:
    """The metric that ``name`` means, for a model with those ``outputs``.

    ``name`` is ``topK`` (``top1``, ``top5``, …), ``mse``, ``mae``, ``psnr`` or
    ``module:function`` (see ``user_metrics``). ``output`` says which output is meant, needed
    where there are several; ``classes`` how many classes the labels have, None where nobody
    knows; ``peak`` is PSNR's. Raises UsageError for another name, and for a metric that does
    not fit the output.
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
    spec = _chosen(name, outputs, output)
    if top is not None:
        return TopK(int(top[1]), output=spec.name, classes=_class_count(name, spec, classes))
    if name == "psnr":
        return PeakSignalToNoise(peak, output=spec.name)
    measure = mean_squared_error if name == "mse" else mean_absolute_error
    return MeanError(name, measure, output=spec.name)


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
