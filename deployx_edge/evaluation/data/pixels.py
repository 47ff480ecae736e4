"""Images as an array of uint8 in an ``.npz`` file, with labels, boxes or masks beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.arrays import hash_arrays
from deployx_edge.evaluation.data.classes import check_index, class_table
from deployx_edge.evaluation.data.images import ImageInput
from deployx_edge.evaluation.data.masks import renumbered
from deployx_edge.evaluation.values import Sample, Target, TrueBoxes
from deployx_edge.model import format_shape
from deployx_edge.processing.geometry import IGNORED
from deployx_edge.processing.preprocessing import OpenedImage, open_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

PIXELS = "pixels"
_MASKS = ("mask", "masks")


@dataclass(frozen=True, kw_only=True)
class PixelSource:
    """Images in memory: ``pixels`` (N, H, W) or (N, H, W, 1 or 3), uint8, RGB.

    Gray may be of uint16 too, or of any numbers where the pre-processing has a range.

    ``boxes`` (N, k, 4) are x0, y0, x1, y1 in pixels with ``box_classes`` (N, k), −1 for none;
    ``masks`` (N, H, W) the class of each pixel.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    pixels: NDArray[Any]
    labels: tuple[int, ...] | None
    boxes: NDArray[Any] | None
    box_classes: NDArray[Any] | None
    masks: NDArray[np.uint8] | None
    input: ImageInput

    @property
    def kind(self) -> str:
        """``npz``."""
        return "npz"

    @property
    def truths(self) -> frozenset[str]:
        """Of labels, boxes and masks what the file holds."""
        parts = (("labels", self.labels), ("boxes", self.boxes), ("masks", self.masks))
        return frozenset(name for name, part in parts if part is not None)

    @property
    def coco(self) -> None:
        """There are no such numbers."""

    def image(self, position: int) -> PilImage:
        """The image at that index."""
        return self._opened(position).image

    def _opened(self, position: int) -> OpenedImage:
        return open_pixels(self.pixels[position], self.input.step.range)

    def content_hash(self, position: int) -> str:
        """The sha256 of its pixels."""
        return hash_arrays({PIXELS: self.pixels[position]})

    def read(self, position: int) -> Sample:
        """The image as the model takes it."""
        target = Target(
            label=None if self.labels is None else self.labels[position],
            boxes=self._boxes(position),
            mask=None if self.masks is None else self.masks[position],
        )
        return self.input.sample(self.names[position], self._opened(position), target)

    def _boxes(self, position: int) -> TrueBoxes | None:
        if self.boxes is None or self.box_classes is None:
            return None
        there = self.box_classes[position] >= 0
        boxes = np.asarray(self.boxes[position][there], dtype=np.float64)
        sides = boxes[:, 2:] - boxes[:, :2]
        return TrueBoxes(
            boxes=boxes,
            classes=self.box_classes[position][there].astype(np.int64),
            crowd=np.zeros(len(boxes), dtype=bool),
            areas=sides[:, 0] * sides[:, 1],
        )


def read_pixels(
    path: Path,
    content: Mapping[str, NDArray[Any]],
    labels: Sequence[str],
    given: ImageInput,
    *,
    labelled: bool,
    classes: Sequence[str] = (),
) -> PixelSource:
    """The images of an ``.npz`` file that has an array ``pixels``.

    Beside it ``labels`` (N), ``boxes`` (N, k, 4) with ``labels`` (N, k), or ``mask`` (N, H, W).
    ``classes`` names what these number, where that is not the model's order. Raises UsageError
    for arrays of other shapes, and for classes that the model does not have.
    """
    pixels = content[PIXELS]
    if pixels.ndim not in (3, 4) or not len(pixels):
        raise UsageError(
            f"The pixels in {path} are {format_shape(pixels.shape)}, not N x H x W x 3."
        )
    open_pixels(pixels[0], given.step.range)
    known = content if labelled else {}
    table = class_table(classes, labels) if classes and labels else ()
    indices = _indices(path, known.get("labels"), table, labels)
    boxes = _array(path, known, "boxes", (*pixels.shape[:1], None, 4))
    mask_key = next((key for key in _MASKS if key in known), "mask")
    masks = _array(path, known, mask_key, pixels.shape[:3])
    if boxes is not None and (indices is None or indices.shape != boxes.shape[:2]):
        raise UsageError(f"The boxes in {path} need labels of {format_shape(boxes.shape[:2])}.")
    if boxes is None and indices is not None and indices.shape != pixels.shape[:1]:
        raise UsageError(f"The labels in {path} are {format_shape(indices.shape)}, without boxes.")
    if labelled and boxes is None and masks is None and indices is None:
        raise UsageError(
            f"Nothing in {path} says what is right beside its pixels.",
            remedy="Add labels, boxes with labels, or mask.",
        )
    return PixelSource(
        classes=tuple(labels or classes),
        names=tuple(f"{path.name}[{index}]" for index in range(len(pixels))),
        notes=(),
        pixels=pixels,
        labels=None if boxes is not None or indices is None else tuple(map(int, indices)),
        boxes=boxes,
        box_classes=None if boxes is None else indices,
        masks=None if masks is None else _checked_masks(path, masks, table, labels),
        input=given,
    )


def _array(
    path: Path, content: Mapping[str, NDArray[Any]], key: str, shape: Sequence[int | None]
) -> NDArray[Any] | None:
    if key not in content:
        return None
    array = content[key]
    same = array.ndim == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not same or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        spelled = "x".join("k" if size is None else str(size) for size in shape)
        raise UsageError(
            f"'{key}' in {path} is {format_shape(array.shape)} {array.dtype}, not numbers of "
            f"{spelled}."
        )
    return array


def _indices(
    path: Path, found: NDArray[Any] | None, table: Sequence[int], labels: Sequence[str]
) -> NDArray[np.int64] | None:
    """Indices of the model's classes; −1 stays."""
    if found is None:
        return None
    if found.dtype.kind not in "iu":
        raise UsageError(f"'labels' in {path} are {found.dtype}, not whole numbers.")
    indices = found.astype(np.int64)
    if table:
        if indices.max(initial=0) >= len(table):
            raise UsageError(f"{path} holds the class {indices.max()}; there are {len(table)}.")
        indices = np.where(indices >= 0, np.asarray(table)[np.clip(indices, 0, None)], -1)
    if indices.ndim == 1:
        check_index(int(indices.min(initial=0)), labels, what=f"label in {path}")
    check_index(int(indices.max(initial=0)), labels, what=f"label in {path}")
    return indices


def _checked_masks(
    path: Path, masks: NDArray[Any], table: Sequence[int], labels: Sequence[str]
) -> NDArray[np.uint8]:
    whole = masks.astype(np.uint8)
    if not np.array_equal(whole, masks):
        raise UsageError(f"The mask in {path} holds something else than classes 0 to 255.")
    renamed = renumbered(whole, table)
    check_index(int(renamed[renamed != IGNORED].max(initial=0)), labels, what=f"class in {path}")
    return renamed
