"""What is said beside the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.bundle import Bundle
from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.evaluation.metrics.average_precision import MOST_BOXES
from deployx_edge.quantization.report import calibration_hashes
from deployx_edge.workflows.evaluate.predictions import Meaning


def overlap(bundle: Bundle, data: Dataset) -> tuple[str, ...]:
    """A warning where the bundle was calibrated on samples that it is measured on."""
    if not any(file.role == "quantization" for file in bundle.files):
        return ()
    shared = calibration_hashes(bundle.path("quantization")) & data.content_hashes()
    if not shared:
        return ()
    return (
        f"The bundle was calibrated on {len(shared)} of these samples (by their content): its "
        "accuracy on them says less about others.",
    )


def curve_note(meaning: Meaning, names: Sequence[str]) -> tuple[str, ...]:
    """Where figures are of other boxes than the deployment shows."""
    told = " and ".join(name for name in names if name in ("map", "map50"))
    score, boxes = meaning.curve_score, meaning.step.boxes if meaning.step is not None else None
    if not told or score is None or boxes is None:
        return ()
    if boxes.format == "rows":
        return (
            f"{told}: the model suppresses its boxes itself, so that the curve ends with the "
            "lowest score that it gives.",
        )
    if boxes.score <= score and boxes.most >= MOST_BOXES:
        return ()
    return (
        f"{told}: of boxes with a score of at least {score:g} and {MOST_BOXES} an image, as COCO "
        f"counts; the post-processing keeps {boxes.most} from {boxes.score:g} on, and agreement, "
        "images and csv files are of those.",
    )
