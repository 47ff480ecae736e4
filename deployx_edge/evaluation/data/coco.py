"""Images with boxes and outlines of things, as COCO's JSON lists them.

The format: T.-Y. Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, and
cocodataset.org ("Data format", object detection).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.classes import match_classes
from deployx_edge.evaluation.data.images import ImageInput, hash_file, named_files
from deployx_edge.evaluation.data.rle import coco_tools, draw_outline
from deployx_edge.evaluation.values import CocoNumbers, Sample, Target, TrueBoxes
from deployx_edge.files import LARGE, read_json
from deployx_edge.processing.geometry import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One thing in an image: x, y, width and height in pixels, and COCO's own outline."""

    category: int
    box: tuple[float, float, float, float]
    crowd: bool
    area: float
    outline: Any


@dataclass(frozen=True, kw_only=True)
class CocoSource:
    """The images of a COCO file, read one at a time.

    ``sizes`` are their widths and heights as the file says them, None where it does not;
    ``indices`` the model's class of each of COCO's categories. Where it is not ``annotated``, as
    the test sets of evaluation servers are not, nothing says what is right. With ``masks``, a
    sample has the class of each pixel instead of boxes; a pixel of nothing is ``ground``.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    sizes: tuple[tuple[int, int] | None, ...]
    things: tuple[tuple[Annotation, ...], ...]
    indices: Mapping[int, int]
    coco: CocoNumbers
    annotated: bool
    masks: bool
    ground: int
    input: ImageInput

    @property
    def kind(self) -> str:
        """``coco``."""
        return "coco"

    @property
    def labels(self) -> None:
        """An image has no class of its own."""

    @property
    def truths(self) -> frozenset[str]:
        """Boxes or masks, where there are any."""
        return frozenset({"masks" if self.masks else "boxes"} if self.annotated else ())

    def image(self, position: int) -> PilImage:
        """The file; UsageError where it cannot be read."""
        return self.input.open(self.files[position]).image

    def content_hash(self, position: int) -> str | None:
        """The sha256 of the file; None where it cannot be read."""
        return hash_file(self.files[position])

    def read(self, position: int) -> Sample:
        """The image as the model takes it, with what is in it; UsageError where not readable."""
        opened = self.input.open(self.files[position])
        image = opened.image
        size = self.sizes[position]
        if size is not None and size != image.size:
            raise UsageError(
                f"{self.files[position]} has {image.width}x{image.height} pixels, its "
                f"annotations are for {size[0]}x{size[1]}."
            )
        things = self.things[position]
        if not self.annotated:
            target = Target()
        elif self.masks:
            target = Target(mask=self._mask(things, image.size))
        else:
            target = Target(boxes=self._boxes(things))
        return self.input.sample(self.names[position], opened, target)

    def _boxes(self, things: Sequence[Annotation]) -> TrueBoxes:
        boxes = np.asarray([thing.box for thing in things], dtype=np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return TrueBoxes(
            boxes=boxes,
            classes=np.asarray([self.indices[t.category] for t in things], dtype=np.int64),
            crowd=np.asarray([thing.crowd for thing in things], dtype=bool),
            areas=np.asarray([thing.area for thing in things], dtype=np.float64),
        )

    def _mask(self, things: Sequence[Annotation], size: tuple[int, int]) -> NDArray[np.uint8]:
        """The class of each pixel; later things lie over earlier ones, crowds do not count."""
        mask = np.full((size[1], size[0]), self.ground, dtype=np.uint8)
        for thing in things:
            drawn = draw_outline(thing.outline, thing.box, size)
            mask[drawn] = IGNORED if thing.crowd else self.indices[thing.category]
        return mask


def read_coco(
    path: Path,
    labels: Sequence[str],
    given: ImageInput,
    *,
    images: Path | None,
    masks: bool,
    labelled: bool,
) -> CocoSource:
    """The images that a COCO file lists, in ``images`` or beside the file.

    Categories are matched with the model's ``labels`` by name; where it has none, they are its
    classes in the order of their numbers (behind one for the ground where ``masks``). Raises
    UsageError for a file that is none, for annotations of images or categories that are not
    listed, and for images that do not lie there.
    """
    data = _document(path)
    by_number = {_number(path, "images", item): item for item in _entries(path, data, "images")}
    if not by_number:
        raise UsageError(f"{path} lists no images.")
    categories = {
        _number(path, "categories", item): _text(path, "categories", item, "name")
        for item in _entries(path, data, "categories")
    }
    things: dict[int, list[Annotation]] = {number: [] for number in by_number}
    annotated = labelled and "annotations" in data
    if annotated:
        _fill(path, things, _entries(path, data, "annotations"), categories, masks)
    if masks and len(categories) >= IGNORED:
        raise UsageError(f"{path} has {len(categories)} categories; masks hold {IGNORED - 1}.")
    if masks and any(things.values()):
        coco_tools("mask")  # known to be there before anything is run
    used = sorted({thing.category for found in things.values() for thing in found})
    classes, indices, notes = _classes(categories, used, labels, masks)
    names = tuple(_text(path, "images", item, "file_name") for item in by_number.values())
    return CocoSource(
        classes=classes,
        names=names,
        notes=notes,
        files=tuple(named_files(path, names, images)),
        sizes=tuple(_image_size(item) for item in by_number.values()),
        things=tuple(tuple(found) for found in things.values()),
        indices=indices,
        coco=CocoNumbers(images=tuple(by_number), categories=_numbers(indices, len(classes))),
        annotated=annotated,
        masks=masks,
        ground=IGNORED if masks and 0 in indices.values() else 0,
        input=given,
    )


def _fill(
    path: Path,
    things: dict[int, list[Annotation]],
    entries: Sequence[Mapping[str, Any]],
    categories: Mapping[int, str],
    masks: bool,
) -> None:
    """Put each annotation to its image; UsageError for one of no image or category."""
    for index, item in enumerate(entries):
        where = f"annotation {index} in {path}"
        thing = _annotation(where, item, keep_outline=masks)
        image = item.get("image_id")
        if not isinstance(image, int) or image not in things:
            told = str(image)[:80]
            raise UsageError(f"The {where} is of image {told}, which is not there.")
        if thing.category not in categories:
            raise UsageError(f"The {where} is of category {thing.category}, which is not there.")
        things[image].append(thing)


def is_coco(data: object) -> bool:
    """Whether a JSON document has the form of COCO's."""
    return isinstance(data, dict) and {"images", "categories"} <= set(data)


def _classes(
    categories: Mapping[int, str], used: Sequence[int], labels: Sequence[str], masks: bool
) -> tuple[tuple[str, ...], dict[int, int], tuple[str, ...]]:
    """The names of the classes, the class of each category, and notes."""
    if labels:
        named = [categories[number] for number in used]
        found = match_classes(named, labels, what="category", assume=False)
        indices = {number: found.indices[categories[number]] for number in used}
        # Those without annotations need not be the model's, but may be what it finds.
        for number, name in categories.items():
            with contextlib.suppress(UsageError):
                match = match_classes([name], labels, what="category", assume=False)
                indices.setdefault(number, match.indices[name])
        return tuple(labels), indices, found.notes
    ground = ("ground",) if masks else ()
    ordered = sorted(categories)
    names = (*ground, *(categories[number] for number in ordered))
    indices = {number: index for index, number in enumerate(ordered, start=len(ground))}
    note = (
        "The model has no names for its classes; COCO's categories, sorted by their numbers, were "
        f"taken for them in order ('{names[0]}' is 0, '{names[-1]}' is {len(names) - 1})."
    )
    return names, indices, (note,)


def _numbers(indices: Mapping[int, int], classes: int) -> tuple[int, ...]:
    """The category of each class; a class that has none gets a number above all others."""
    beyond = max(indices, default=0) + 1
    back = {index: number for number, index in indices.items()}
    return tuple(back.get(index, beyond + index) for index in range(classes))


def _document(path: Path) -> dict[str, Any]:
    try:
        data = read_json(path, most=LARGE)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} cannot be read as JSON: {reason}.") from error
    if not is_coco(data):
        raise UsageError(
            f"{path} is not a data set of COCO's form.",
            remedy="It has 'images', 'categories' and, but for a test's, 'annotations'.",
        )
    return dict(data)


def _entries(path: Path, data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    entries = data[key]
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise UsageError(f"'{key}' in {path} is not a list of objects.")
    if key != "annotations" and len({str(item.get("id")) for item in entries}) != len(entries):
        raise UsageError(f"'{key}' in {path} has the same id twice.")
    return entries


def _number(path: Path, key: str, item: Mapping[str, Any]) -> int:
    number = item.get("id")
    if not isinstance(number, int) or isinstance(number, bool):
        raise UsageError(f"An entry of '{key}' in {path} has no whole number as its id.")
    return number


def _text(path: Path, key: str, item: Mapping[str, Any], name: str) -> str:
    text = item.get(name)
    if not isinstance(text, str) or not text:
        raise UsageError(f"Entry {item.get('id')} of '{key}' in {path} has no {name}.")
    return text


def _image_size(item: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = item.get("width"), item.get("height")
    if isinstance(width, int) and isinstance(height, int):
        return width, height
    return None


def _annotation(where: str, item: Mapping[str, Any], *, keep_outline: bool) -> Annotation:
    box = _box(item.get("bbox"))
    if box is None:
        raise UsageError(f"The bbox of {where} is not x, y, width, height.")
    category = item.get("category_id")
    if not isinstance(category, int):
        raise UsageError(f"The {where} has no category_id.")
    area = item.get("area")
    return Annotation(
        category=category,
        box=box,
        crowd=bool(item.get("iscrowd", 0)),
        area=float(area) if isinstance(area, int | float) else box[2] * box[3],
        outline=item.get("segmentation") if keep_outline else None,
    )


def _box(words: object) -> tuple[float, float, float, float] | None:
    if not isinstance(words, list) or len(words) != 4:
        return None
    if not all(isinstance(word, int | float) and math.isfinite(word) for word in words):
        return None
    x, y, width, height = (float(word) for word in words)
    return (x, y, width, height) if width >= 0 and height >= 0 else None
