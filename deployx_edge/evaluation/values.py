"""Samples, what a model should say of them, and the classes that they are of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.postprocessing import Detections

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage


@dataclass(frozen=True, kw_only=True)
class TrueBoxes:
    """What is in an image of N things.

    ``boxes`` (N, 4) are x0, y0, x1, y1 in its pixels, ``classes`` (N,) indices, ``crowd`` (N,)
    says which boxes hold many things (COCO's iscrowd), ``areas`` (N,) are in square pixels.
    """

    boxes: NDArray[Any]
    classes: NDArray[Any]
    crowd: NDArray[Any]
    areas: NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What a model should give for one sample.

    ``label`` is the index of the sample's class, None where it has none; ``arrays`` holds what
    outputs should be, by their names and in their shapes, with batch size 1; ``boxes`` what is in
    its image, and ``mask`` (height, width) the class of each of its pixels (255: does not
    count), both None where nobody said.
    """

    label: int | None = None
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    boxes: TrueBoxes | None = None
    mask: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One sample: ``inputs`` by the model's names and shapes, with batch size 1.

    ``geometry`` says how its image lies in the input; None where there is no image. ``notes``
    say what was left aside of it, each as what follows "this image".
    """

    name: str
    inputs: Mapping[str, NDArray[Any]]
    target: Target
    geometry: Geometry | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model gave for one sample: its ``outputs`` by name, with batch size 1.

    ``detections`` and ``mask`` (height, width) are what they mean on the sample's image, where
    the post-processing says so. ``candidates`` begin with the detections and go on with boxes of
    lower scores, which figures of the whole curve need; None where there are no others.
    """

    outputs: Mapping[str, NDArray[Any]]
    detections: Detections | None = None
    candidates: Detections | None = None
    mask: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class CocoNumbers:
    """The numbers that COCO's files know images and classes by, by position and by index."""

    images: tuple[int, ...]
    categories: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A sample that could not be read, and why."""

    name: str
    reason: str


class Source(Protocol):
    """Where samples lie, by their positions in a fixed order."""

    @property
    def kind(self) -> str:
        """``folder``, ``csv``, ``npz``, ``coco``, ``masks`` or ``images`` (without labels)."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes by index; empty where they have none."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """What each sample is called."""
        ...

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The index of each sample's class; None where there are no classes."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or left aside, in sentences."""
        ...

    @property
    def truths(self) -> frozenset[str]:
        """What is known of the samples: of ``labels``, ``boxes``, ``masks`` and ``arrays``."""
        ...

    @property
    def coco(self) -> CocoNumbers | None:
        """COCO's numbers; None where it has none."""
        ...

    def image(self, position: int) -> PilImage | None:
        """The sample's image to look at, values in 0 … 255; None where it is none."""
        ...

    def read(self, position: int) -> Sample:
        """The sample; UsageError where it cannot be read."""
        ...

    def content_hash(self, position: int) -> str | None:
        """The sha256 (hex) of the sample's content; None where it cannot be read."""
        ...
