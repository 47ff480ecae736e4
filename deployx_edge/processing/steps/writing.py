"""Steps as the texts that would be read as them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from deployx_edge.model import PostProcessing, PreProcessing

OptionWords = Mapping[str, Any]

# What parts words and names in a text; where a name holds one, the text is a mapping.
_MARKS = frozenset(",|=/\n{}\"'")
# A longer list of characters is told by its number.
_MOST_SHOWN = 200
# What words are without being said.
_UNSAID: dict[str, Any] = {
    "mode": "bilinear",
    "fit": "stretch",
    "scale": 1.0,
    "mean": (0.0,),
    "std": (1.0,),
    "fill": 114,
    "place": "centre",
    "rounding": "nearest",
    "limit": "min",
    "corners": "xyxy",
    "activation": "none",
    "variances": (0.1, 0.1, 0.2, 0.2),
    "strides": (8, 16, 32),
    "shape": "box",
    "upsample": "nearest",
    "blank": "first",
}


def plain_text(step: PreProcessing | PostProcessing) -> str:
    """All that a step says as users write it, in ``KEY=VALUE`` where that can hold it.

    Of a text with very many characters these are left out.
    """
    words = _pre_words(step) if isinstance(step, PreProcessing) else _post_words(step)
    if isinstance(step, PreProcessing):
        words["resize"] = f"{step.width}x{step.height}"
        words["scale"] = _fraction(step.scale)
        if step.fit == "multiple":
            del words["resize"]
    else:
        kind = words.pop("kind")
        words = {**({} if kind == "classification" else {kind: True}), **words}
        if kind == "text" and len(step.labels) > _MOST_SHOWN:
            del words["labels"]
    listed = {k: tuple(v) if isinstance(v, list) else v for k, v in words.items()}
    for key in ("mean", "std"):
        if key in listed and len(set(listed[key])) == 1:
            listed[key] = listed[key][:1]
    said = {key: value for key, value in listed.items() if _UNSAID.get(key) != value}
    # Nothing is not always what is meant where nothing is said.
    if said.get("background") == "none" and said.get("format") != "ssd":
        del said["background"]
    return option_text(said)


def _fraction(number: float) -> str | float:
    """``1/255`` where that is the number."""
    under = round(1 / number, 3) if number else 0.0
    return f"1/{under:g}" if under > 1 and 1.0 / under == number else number


def option_text(words: OptionWords) -> str:
    """``KEY=VALUE`` with commas between, or a mapping in JSON where names would not go so.

    A value of True stands for the bare key; what is False, None or empty is left out.
    """
    said = {k: v for k, v in words.items() if v is not False and v not in (None, (), "")}
    names = [name for value in said.values() if isinstance(value, tuple) for name in value]
    texts = [value for value in said.values() if isinstance(value, str)]
    if any(_MARKS & set(name) for name in names if isinstance(name, str)) or any(
        "," in text or "=" in text for text in texts
    ):
        listed = {key: list(v) if isinstance(v, tuple) else v for key, v in said.items()}
        return json.dumps(listed, ensure_ascii=False)
    return ",".join(
        key if value is True else f"{key}={_joined(value)}" for key, value in said.items()
    )


def _joined(value: Any) -> str:
    if isinstance(value, tuple):
        mark = "|" if any(isinstance(part, str) for part in value) else "/"
        return mark.join(_joined(part) for part in value)
    # Of a float the shortest text that is read as the same.
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


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
        words |= {"multiple": step.multiple} if step.is_open else {}
    if step.fit == "height":
        words["fill"] = step.fill
    if step.fit == "multiple":
        words |= {"side": step.side, "limit": step.limit, "multiple": step.multiple}
        words["rounding"] = step.rounding
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
            "clip": boxes.clip,
            "strides": list(boxes.strides) if boxes.format == "yolox" else None,
            "points": boxes.points,
            "point-values": boxes.point_values if boxes.points else None,
        }
        return words | {key: value for key, value in others.items() if value}
    words["output"] = step.output
    if step.masks is not None:
        return words | asdict(step.masks)
    if step.text is not None:
        return words | asdict(step.text)
    if step.areas is not None:
        return words | asdict(step.areas)
    return words | {"softmax": step.softmax}
