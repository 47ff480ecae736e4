"""What is to run, and a model that is ready to: values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy

from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import RunOptions, WorkerLimits
from deployx_edge.model import (
    InputRequest,
    NamedShape,
    PostProcessing,
    PreProcessing,
)
from deployx_edge.processing.steps import parse_postprocessing, parse_preprocessing, step_texts
from deployx_edge.workflows.convert.models import TorchOptions
from deployx_edge.workflows.measure.answers import (
    Arrays,
    RunAnswer,
    stacked,
)


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What is to run, and how; see ``run_anywhere``.

    ``preprocess`` and ``postprocess`` are texts or YAML files as for ``convert``; where empty,
    what the preset ``like`` proposes, or what the bundle or the model's file says.
    """

    model: Path
    device: str | None = None
    runtime: str | None = None
    shapes: tuple[str, ...] = ()
    options: RunOptions = field(default_factory=RunOptions)
    limits: WorkerLimits = field(default_factory=WorkerLimits)
    dump: tuple[str, ...] = ()
    torch: TorchOptions = field(default_factory=TorchOptions)
    preprocess: tuple[str, ...] = ()
    postprocess: tuple[str, ...] = ()
    like: str | None = None
    wait: bool = True
    verify: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenedRun:
    """A model before its first sample; ``answers`` opens what is needed and closes it after.

    ``split`` makes samples of arrays and checks them, ``join`` gives the arrays of an output of
    several samples as one. ``meanings`` needs the inputs and outputs of a sample, as only these
    show what a source gives; of bundles they are ``known`` before. ``whole`` says that all samples
    are run at once. ``not_finite`` is told where a device gives NaN or infinity that the model
    itself does not; ``emulated`` whether times are not those of a device. ``notes`` are what is
    to be told of all samples.
    """

    inputs: Sequence[NamedShape]
    preprocessing: tuple[PreProcessing, ...]
    requests: Mapping[str, InputRequest]
    split: Callable[[Arrays], list[dict[str, numpy.ndarray]]]
    answers: Callable[[Iterable[Arrays]], Iterator[RunAnswer]]
    join: Callable[[str, Sequence[numpy.ndarray]], numpy.ndarray]
    meanings: Callable[[Arrays, Arrays], tuple[PostProcessing, ...]]
    join_inside: Callable[[Sequence[numpy.ndarray]], numpy.ndarray] = stacked
    known: tuple[PostProcessing, ...] | None = None
    whole: bool = False
    not_finite: list[str] = field(default_factory=list)
    emulated: list[bool] = field(default_factory=list)
    notes: tuple[str, ...] = ()

    def together(self, answers: Sequence[RunAnswer]) -> dict[str, numpy.ndarray]:
        """The arrays of all samples by name: dumped tensors, then outputs."""
        first = answers[0]
        dumped = {
            name: self.join_inside([answer.dumped[name] for answer in answers])
            for name in first.dumped
        }
        outputs = {
            name: self.join(name, [answer.outputs[name] for answer in answers])
            for name in first.outputs
        }
        return {**dumped, **outputs}


def said_of_images(request: RunRequest, inputs: Sequence[NamedShape]) -> tuple[PreProcessing, ...]:
    """What the request's texts say of images; UsageError where they do not fit the inputs."""
    texts = step_texts(request.preprocess)
    steps = tuple(parse_preprocessing(text, inputs) for text in texts)
    if len({step.input for step in steps}) != len(steps):
        raise UsageError("--preprocess is given twice for the same input.")
    return steps


def said_of_outputs(
    request: RunRequest, outputs: Sequence[NamedShape]
) -> tuple[PostProcessing, ...]:
    """What the request's texts say of outputs; UsageError where they do not fit them."""
    texts = step_texts(request.postprocess)
    steps = tuple(parse_postprocessing(text, outputs) for text in texts)
    if len({step.output for step in steps}) != len(steps):
        raise UsageError("--postprocess is given twice for the same output.")
    return steps
