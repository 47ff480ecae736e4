"""Images with the class of each pixel beside them, as in PASCAL VOC.

M. Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 88 (2010) 303-338: a PNG
whose palette indices are the classes, 255 where it does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.classes import class_table
from deployx_edge.evaluation.data.images import ImageInput, hash_file, images_below
from deployx_edge.evaluation.values import Sample, Target
from deployx_edge.processing.geometry import IGNORED
from deployx_edge.processing.preprocessing import open_class_indices

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

_FOLDERS = (("JPEGImages", "SegmentationClass"), ("images", "masks"), ("images", "labels"))


@dataclass(frozen=True, kw_only=True)
class MaskSource:
    """Image files with files of masks, read one at a time.

    ``table`` is the model's class of each class of the masks, empty where they are the same.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    masks: tuple[Path, ...]
    table: tuple[int, ...]
    input: ImageInput

    @property
    def kind(self) -> str:
        """``masks``."""
        return "masks"

    @property
    def labels(self) -> None:
        """An image has no class of its own."""

    @property
    def truths(self) -> frozenset[str]:
        """Masks."""
        return frozenset({"masks"})

    @property
    def coco(self) -> None:
        """There are no such numbers."""

    def image(self, position: int) -> PilImage:
        """The file; UsageError where it cannot be read."""
        return self.input.open(self.files[position]).image

    def content_hash(self, position: int) -> str | None:
        """The sha256 of the image's file; None where it cannot be read."""
        return hash_file(self.files[position])

    def read(self, position: int) -> Sample:
        """The image as the model takes it, with its mask; UsageError where not readable."""
        opened = self.input.open(self.files[position])
        image = opened.image
        mask = _read_mask(self.masks[position])
        if mask.shape != (image.height, image.width):
            raise UsageError(
                f"{self.masks[position]} has {mask.shape[1]}x{mask.shape[0]} pixels, its image "
                f"{image.width}x{image.height}."
            )
        target = Target(mask=renumbered(mask, self.table))
        return self.input.sample(self.names[position], opened, target)


def mask_folders(path: Path) -> tuple[Path, Path] | None:
    """The folders of images and of masks in ``path``; None where it has no such two."""
    for images, masks in _FOLDERS:
        if (path / images).is_dir() and (path / masks).is_dir():
            return path / images, path / masks
    return None


def read_masks(
    images: Path,
    masks: Path,
    labels: Sequence[str],
    given: ImageInput,
    *,
    classes: Sequence[str] = (),
) -> MaskSource:
    """Each mask in ``masks`` with the image in ``images`` that is called the same.

    ``classes`` names what the masks number, where that is not the model's order. Raises
    UsageError for a mask without an image.
    """
    images_by_name = {file.stem: file for file in images_below(images)}
    found = [file for file in images_below(masks) if file.suffix.lower() in (".png", ".bmp")]
    if not found:
        raise UsageError(f"The folder {masks} holds no masks.", remedy="Masks are .png files.")
    lonely = [file.name for file in found if file.stem not in images_by_name]
    if lonely:
        more = f" (and {len(lonely) - 1} more)" if len(lonely) > 1 else ""
        raise UsageError(f"The mask '{lonely[0]}'{more} has no image in {images}.")
    notes = []
    if len(images_by_name) > len(found):
        notes.append(f"{len(images_by_name) - len(found)} images have no mask and were left aside.")
    return MaskSource(
        classes=tuple(labels or classes),
        names=tuple(images_by_name[file.stem].relative_to(images).as_posix() for file in found),
        notes=tuple(notes),
        files=tuple(images_by_name[file.stem] for file in found),
        masks=tuple(found),
        table=class_table(classes, labels) if classes and labels else (),
        input=given,
    )


def renumbered(mask: NDArray[np.uint8], table: Sequence[int]) -> NDArray[np.uint8]:
    """The mask with the model's classes for its own; UsageError for a class beyond the table."""
    if not table:
        return mask
    full = np.full(256, IGNORED, dtype=np.uint8)
    full[: len(table)] = table
    beyond = mask[(mask >= len(table)) & (mask != IGNORED)]
    if beyond.size:
        raise UsageError(f"A mask holds the class {beyond[0]}; there are {len(table)} classes.")
    renamed: NDArray[np.uint8] = full[mask]
    return renamed


def _read_mask(path: Path) -> NDArray[np.uint8]:
    classes = open_class_indices(path)
    low, high = int(classes.min(initial=0)), int(classes.max(initial=0))
    if low < 0 or high > IGNORED:
        raise UsageError(
            f"The mask {path} holds the class {high if high > IGNORED else low}; a pixel's class "
            f"is 0 … {IGNORED - 1}, or {IGNORED} where it does not count."
        )
    return classes.astype(np.uint8)
