"""What a model's outputs are taken for in an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.bundle import Bundle
from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.model import PostProcessing
from deployx_edge.workflows.evaluate.predictions import Meaning

# The kinds of post-processing that metrics know.
_MEASURED = ("classification", "detection", "segmentation")


def chosen_step(meanings: Sequence[PostProcessing], output: str | None) -> PostProcessing | None:
    """The post-processing of that output; None as the output: of the first that has one."""
    named = [step for step in meanings if output in (None, step.output)]
    return named[0] if named else None


def task_of(step: PostProcessing | None) -> str:
    """The kind of data that a step is measured on."""
    return step.kind if step is not None and step.kind in _MEASURED else "classification"


def measured_labels(step: PostProcessing | None) -> tuple[str, ...]:
    """The names of classes; none where the labels are characters."""
    return step.labels if step is not None and step.kind in _MEASURED else ()


def meaning_of(
    bundle: Bundle, data: Dataset, step: PostProcessing | None, output: str | None
) -> Meaning:
    """What the outputs mean, by their post-processing and what the data knows."""
    if step is not None and step.kind not in _MEASURED:
        # Nothing measures what is read; the numbers may still be held against others.
        return Meaning(task="arrays", step=None, classes=())
    labels = measured_labels(step)
    task = task_of(step)
    if task == "classification" and "labels" not in data.truths:
        task = "arrays"
    if step is None and task == "classification" and (output or len(bundle.outputs) == 1):
        step = PostProcessing(output=output or bundle.outputs[0].name)
    return Meaning(task=task, step=step, classes=tuple(labels or data.classes))
