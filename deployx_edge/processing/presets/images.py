"""Classes of whole images and of their pixels. Each function says what speaks against it."""

from __future__ import annotations

from deployx_edge.errors import UsageError
from deployx_edge.model import NamedShape
from deployx_edge.processing.presets.facts import (
    ModelFacts,
    class_names,
    image_input,
    image_size,
    in_unit,
    is_distribution,
    only_output,
    told,
)
from deployx_edge.processing.steps import OptionWords as Words

# Of torchvision's transforms: mean and deviation of ImageNet, and 256 pixels for 224.
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SHORT = 256 / 224
# Images of fewer pixels are no photos of ImageNet.
_LEAST_PHOTO = 64


def class_images(facts: ModelFacts) -> Words:
    """As torchvision's for ImageNet; Ultralytics' without mean; small or gray ones in 0 … 1."""
    spec = image_input(facts)
    channels, height, width = image_size(spec)
    task = facts.metadata.get("task", "classify")
    if task != "classify":
        raise UsageError(f"the metadata's task is '{task}'")
    words: Words = {"input": spec.name if len(facts.inputs) > 1 else "", "scale": "1/255"}
    if channels == 1 or min(height, width) < _LEAST_PHOTO:
        return {**words, "colour": "gray" if channels == 1 else "rgb"}
    if "task" in facts.metadata:
        return {**words, "fit": "crop", "colour": "rgb", "short": max(height, width)}
    short = round(max(height, width) * _SHORT)
    return {**words, "fit": "crop", "short": short, "colour": "rgb", "mean": _MEAN, "std": _STD}


def classes(facts: ModelFacts) -> Words:
    """One score a class."""
    spec = only_output(facts, "a score a class")
    sizes = [size for size in spec.shape[1:] if size > 1]
    if len(spec.shape) < 2 or spec.shape[0] != 1 or len(sizes) != 1 or spec.shape[-1] != sizes[0]:
        raise UsageError(f"the output {told(spec)}; the scores of classes are 1 x classes")
    labels = class_names(facts)
    if labels and len(labels) != sizes[0]:
        raise UsageError(f"the metadata's names are {len(labels)}; the output {told(spec)}")
    return {"softmax": is_distribution(facts, spec.name) is not True, "labels": labels}


def mask_images(facts: ModelFacts) -> Words:
    """Stretched to the input, with ImageNet's mean and deviation."""
    spec = image_input(facts)
    channels = image_size(spec)[0]
    words: Words = {
        "input": spec.name if len(facts.inputs) > 1 else "",
        "colour": "rgb" if channels == 3 else "gray",
        "scale": "1/255",
    }
    return {**words, "mean": _MEAN, "std": _STD} if channels == 3 else words


def masks(facts: ModelFacts) -> Words:
    """A score a class for each pixel, or the classes themselves."""
    spec = only_output(facts, "classes x height x width")
    _, height, width = image_size(image_input(facts))
    layout = next((name for name in _layouts(spec) if _covers(spec, name, height, width)), None)
    if layout is None:
        raise UsageError(
            f"the output {told(spec)}; for an input of {height} x {width} masks are 1 x classes x "
            "height x width, or 1 x height x width, at the input's proportions"
        )
    single = layout != "NHW" and spec.shape[layout.index("C")] == 1
    return {
        "segmentation": True,
        "layout": layout,
        # Half a probability, or where a score changes its sign.
        "threshold": 0 if single and in_unit(facts, spec.name) is False else None,
        "upsample": None if layout == "NHW" else "bilinear",
    }


def _layouts(spec: NamedShape) -> tuple[str, ...]:
    if len(spec.shape) == 3:
        return ("NHW",)
    return ("NCHW", "NHWC") if len(spec.shape) == 4 else ()


def _covers(spec: NamedShape, layout: str, height: int, width: int) -> bool:
    """Whether it has one sample with a value for each pixel, or each few."""
    if spec.shape[0] != 1:
        return False
    rows, columns = spec.shape[layout.index("H")], spec.shape[layout.index("W")]
    if not height // 16 <= rows <= height or not width // 16 <= columns <= width:
        return False
    return min(rows, columns) > 1 and abs(rows / height - columns / width) < 0.02
