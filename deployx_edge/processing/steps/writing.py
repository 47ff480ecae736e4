"""Steps as the texts that would be read as them."""

from __future__ import annotations

import json
from dataclasses import asdict
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
        words |= {"fill": step.fill, "place": step.place, "rounding": step.rounding}
    if step.fit == "height":
        words["fill"] = step.fill
    if step.fit == "multiple":
        words |= {"side": step.side, "limit": step.limit, "multiple": step.multiple}
    if step.pad is not None:
        words["pad"] = step.pad
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
        others = {
            **{key: getattr(boxes, key) for key in ("scores", "priors", "best", "agnostic")},
            **{key: getattr(boxes, key) for key in ("classes", "sizes", "offsets", "landmarks")},
            "strides": list(boxes.strides) if boxes.format == "yolox" else None,
            "points": boxes.points,
            "point-values": boxes.point_values if boxes.points else None,
        }
        return words | {key: value for key, value in others.items() if value}
    words["output"] = step.output
    if step.masks is not None:
        return words | {"layout": step.masks.layout, "threshold": step.masks.threshold}
    if step.text is not None:
        return words | asdict(step.text)
    if step.areas is not None:
        return words | asdict(step.areas)
    return words | {"softmax": step.softmax}
