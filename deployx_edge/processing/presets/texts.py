"""Families that find and read text. Each function says what speaks against it by a UsageError."""

from __future__ import annotations

from deployx_edge.errors import UsageError
from deployx_edge.model import NamedShape
from deployx_edge.processing.presets.detectors import colours
from deployx_edge.processing.presets.facts import (
    ModelFacts,
    has_open_sides,
    image_input,
    image_size,
    in_unit,
    is_distribution,
    only_output,
    told,
)
from deployx_edge.processing.steps import OptionWords as Words

# The alphabet of CRNN's own model, 36 characters and a blank.
_ALPHABET = tuple("0123456789abcdefghijklmnopqrstuvwxyz")
_LINE_HEIGHTS = (32, 48)


def found_text_images(facts: ModelFacts) -> Words:
    """As RapidOCR: the shorter side 736 at least, in multiples of 32; else a letterbox."""
    spec = colours(facts, "pp-ocr-det")
    _, height, width = image_size(spec)
    if height % 32 or width % 32:
        raise UsageError(f"the input {told(spec)}; its sides are no multiples of 32")
    if has_open_sides(spec):
        fit: Words = {"fit": "multiple", "side": 736, "limit": "min", "multiple": 32}
    else:
        fit = {"fit": "letterbox", "place": "corner", "pad": 0}
    return {
        "input": spec.name if len(facts.inputs) > 1 else "",
        **fit,
        "mode": "opencv-bilinear",
        "colour": "bgr",
        "scale": "1/255",
        "mean": 0.5,
        "std": 0.5,
    }


def found_text(facts: ModelFacts) -> Words:
    """A map of the input's size, as DB's."""
    spec = only_output(facts, "1 x 1 x height x width")
    height, width = image_size(image_input(facts))[1:]
    if len(spec.shape) != 4 or spec.shape[1:] != (1, height, width):
        raise UsageError(
            f"the output {told(spec)}; for an input of {height} x {width} it would be 1x1x{height}"
            f"x{width}"
        )
    return {
        "text-boxes": True,
        "threshold": 0.3,
        "score": 0.5,
        "unclip": 1.6,
        "dilate": True,
        "sigmoid": in_unit(facts, spec.name) is False,
    }


def paddle_line_images(facts: ModelFacts) -> Words:
    """A line at the input's height, with zeros beside it after mean and std."""
    spec = colours(facts, "pp-ocr-rec")
    _line(spec)
    return {
        "input": spec.name if len(facts.inputs) > 1 else "",
        "fit": "height",
        "pad": 0,
        "mode": "opencv-bilinear",
        "colour": "bgr",
        "scale": "1/255",
        "mean": 0.5,
        "std": 0.5,
    }


def paddle_line(facts: ModelFacts) -> Words:
    """Scores of a blank and the characters that the metadata names, a space at their end."""
    spec = _scores(facts)
    if spec.shape[0] != 1:
        raise UsageError(f"the output {told(spec)}; samples come first, 1 x steps x characters")
    return {"text": True, "softmax": is_distribution(facts, spec.name) is False}


def crnn_images(facts: ModelFacts) -> Words:
    """A gray line stretched to the input, -1 … 1 as crnn.pytorch or as MMOCR has it."""
    spec = image_input(facts)
    if image_size(spec)[0] != 1:
        raise UsageError(f"the input {told(spec)}; crnn has gray images of one channel")
    _line(spec)
    named: Words = {"input": spec.name if len(facts.inputs) > 1 else "", "colour": "gray"}
    if _is_of_mmocr(facts):
        return {**named, "mode": "opencv-bilinear", "mean": 127, "std": 127}
    return {**named, "scale": "1/127.5", "mean": 1}


def crnn_line(facts: ModelFacts) -> Words:
    """Scores of a blank and its characters; those of its own model where they are 36."""
    spec = _scores(facts)
    return {
        "text": True,
        "blank": "last" if _is_of_mmocr(facts) else "first",
        "softmax": is_distribution(facts, spec.name) is not True,
        "labels": _ALPHABET if _has_its_alphabet(facts, spec) else (),
    }


def _has_its_alphabet(facts: ModelFacts, spec: NamedShape) -> bool:
    return spec.shape[-1] == len(_ALPHABET) + 1 and "character" not in facts.metadata


def _is_of_mmocr(facts: ModelFacts) -> bool:
    """Whether samples come before steps: crnn.pytorch has the steps first, MMOCR the samples.

    Both have the same 37 classes, so nothing else in a file tells one from the other.
    """
    return any(
        _has_its_alphabet(facts, spec) and spec.shape[0] == 1 < spec.shape[1]
        for spec in facts.outputs
        if len(spec.shape) == 3
    )


def _line(spec: NamedShape) -> None:
    _, height, width = image_size(spec)
    if height not in _LINE_HEIGHTS or width < height:
        raise UsageError(
            f"the input {told(spec)}; a line of text is 32 or 48 pixels high, and wider"
        )


def _scores(facts: ModelFacts) -> NamedShape:
    spec = only_output(facts, "steps x characters")
    if len(spec.shape) != 3 or 1 not in spec.shape[:2] or spec.shape[2] < 3:
        raise UsageError(f"the output {told(spec)}; scores are samples x steps x characters")
    width = image_size(image_input(facts))[2]
    steps = max(spec.shape[:2])
    if not width // 16 <= steps <= width:
        raise UsageError(f"the output {told(spec)}, {steps} steps for a line of {width} pixels")
    return spec
