"""Steps as the texts that would be read as them."""

from __future__ import annotations

import json
from typing import Any

from deployx_edge.model import PostProcessing, PreProcessing


def step_text(step: PreProcessing | PostProcessing) -> str:
    """A mapping in JSON with the keys that users write."""
    words = _pre_words(step) if isinstance(step, PreProcessing) else _post_words(step)
    return json.dumps(words, ensure_ascii=False)


def _pre_words(step: PreProcessing) -> dict[str, Any]:
    words: dict[str, Any] = {
        "input": step.input,
        "resize": [step.width, step.height],
        "mode": step.mode,
        "fit": step.fit,
        "colour": step.colour,
        "scale": step.scale,
        "mean": list(step.mean),
        "std": list(step.std),
        "layout": step.layout,
    }
    if step.short is not None:
        words["short"] = step.short
    if step.range is not None:
        words["range"] = list(step.range)
    if step.fit == "letterbox":
        words |= {"fill": step.fill, "place": step.place}
    return words


def _post_words(step: PostProcessing) -> dict[str, Any]:
    words: dict[str, Any] = {"kind": step.kind}
    if step.labels:
        words["labels"] = list(step.labels)
    if step.boxes is not None:
        boxes = step.boxes
        words["boxes" if boxes.scores else "output"] = step.output
        words |= {
            "format": boxes.format,
            "corners": boxes.corners,
            "relative": boxes.relative,
            "activation": boxes.activation,
            "background": boxes.background,
            "variances": list(boxes.variances),
            "score": boxes.score,
            "iou": boxes.iou,
            "most": boxes.most,
        }
        others = {"scores": boxes.scores, "priors": boxes.priors}
        return words | {key: name for key, name in others.items() if name}
    words["output"] = step.output
    if step.masks is not None:
        return words | {"layout": step.masks.layout, "threshold": step.masks.threshold}
    return words | {"softmax": step.softmax}
