"""``--like``: what a preset proposes, shown before it is used."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.model import NamedShape, PostProcessing, PreProcessing, parse_inputs
from deployx_edge.processing.presets import (
    ModelFacts,
    check_preset,
    open_sides,
    propose_postprocess,
    propose_preprocess,
    stated_size,
    usual_size,
)
from deployx_edge.processing.steps import parse_postprocessing, parse_preprocessing, plain_text
from deployx_edge.progress import Progress, Stage

if TYPE_CHECKING:
    from deployx_edge.model import Array
    from deployx_edge.sources.onnx.header import Header

# Text recognisers of RapidOCR name their characters so in the file's metadata.
CHARACTERS_KEY = "character"


def open_shapes(
    like: str, path: Path, given: Sequence[str], progress: Progress, *, kept_open: bool = False
) -> tuple[str, ...]:
    """Shapes for the image's input where the file leaves it open and nobody said one.

    As ``--input`` takes them; none where there is nothing to say. ``kept_open``: its sides stay
    open where the family's package leaves them so. Raises UsageError where there is no such
    preset.
    """
    check_preset(like)
    header = _header(path)
    if header is None:
        return ()
    facts = ModelFacts(inputs=(), metadata=header.metadata)
    ranges = open_sides(like, facts) if kept_open else None
    shapes = _shapes(header, given, 1 if like == "crnn" else 3, usual_size(like, facts), ranges)
    for shape in shapes:
        progress(Stage(text=f"Like {like}: --input {shlex.quote(shape)}"))
    return shapes


def stated_shapes(path: Path, given: Sequence[str], progress: Progress) -> tuple[str, ...]:
    """Shapes for the image's input by what the file's metadata states (Ultralytics' ``imgsz``)."""
    header = _header(path)
    if header is None:
        return ()
    size = stated_size(ModelFacts(inputs=(), metadata=header.metadata))
    if size is None:
        return ()
    shapes = _shapes(header, given, 3, size)
    for shape in shapes:
        progress(Stage(text=f"By the metadata's imgsz: --input {shlex.quote(shape)}"))
    return shapes


def _header(path: Path) -> Header | None:
    if path.suffix != ".onnx":
        return None
    # A bundle in the cache is found without anything that reads models.
    from deployx_edge.sources.onnx.header import read_header

    return read_header(path)


def _shapes(
    header: Header,
    given: Sequence[str],
    channels: int,
    size: tuple[int, int],
    ranges: tuple[str, str] | None = None,
) -> tuple[str, ...]:
    """A shape for each image's input with open axes that nobody gave one."""
    said, shapes = parse_inputs(given), []
    for name, sizes in header.inputs.items():
        if name in said or len(sizes) != 4 or None not in sizes:
            continue
        sides = ranges if ranges and sizes[2:] == (None, None) else size
        words = [s or usual for s, usual in zip(sizes, (1, channels, *sides), strict=True)]
        shapes.append(f"{name}:{'x'.join(map(str, words))}")
    return tuple(shapes)


def output_text(
    like: str,
    inputs: Sequence[NamedShape],
    outputs: Sequence[NamedShape],
    metadata: Mapping[str, str],
    values: Mapping[str, Array],
) -> str:
    """The text for ``--postprocess``; UsageError with what speaks against it."""
    facts = ModelFacts(inputs=inputs, outputs=outputs, metadata=metadata, values=values)
    return propose_postprocess(like, facts)


def characters(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The characters that the file's metadata names, in order; none where it does not."""
    text = metadata.get(CHARACTERS_KEY, "")
    return tuple(text.removesuffix("\n").split("\n")) if text else ()


def image_steps(
    like: str, inputs: Sequence[NamedShape], outputs: Sequence[NamedShape], progress: Progress
) -> tuple[PreProcessing, ...]:
    """What the preset says of a bundle's images, shown; UsageError with what speaks against it."""
    text = propose_preprocess(like, ModelFacts(inputs=inputs, outputs=outputs))
    steps = (parse_preprocessing(text, inputs),)
    show_steps(like, steps, progress)
    return steps


def output_steps(
    like: str, inputs: Sequence[NamedShape], outputs: Sequence[NamedShape], progress: Progress
) -> tuple[PostProcessing, ...]:
    """What the preset says of a bundle's outputs, shown; raises as ``output_text``."""
    text = output_text(like, inputs, outputs, {}, {})
    steps = (parse_postprocessing(text, outputs),)
    show_steps(like, steps, progress)
    return steps


def show_steps(
    like: str, steps: Sequence[PreProcessing | PostProcessing], progress: Progress
) -> None:
    """Tell each step as the option would take it."""
    for step in steps:
        option = "--preprocess" if isinstance(step, PreProcessing) else "--postprocess"
        text = plain_text(step)
        more = ""
        if isinstance(step, PostProcessing) and step.labels and "labels" not in text:
            more = f" ({len(step.labels)} characters)"
        progress(Stage(text=f"Like {like}: {option} {shlex.quote(text)}{more}"))
