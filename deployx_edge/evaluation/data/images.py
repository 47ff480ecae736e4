"""Images as samples: a folder a class, a list with labels, or only images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.bundle import sha256_of
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.classes import match_classes
from deployx_edge.evaluation.data.lists import is_file
from deployx_edge.evaluation.values import Sample, Target
from deployx_edge.model import PreProcessing, TensorSpec, format_shape
from deployx_edge.processing.preprocessing import (
    SUFFIXES,
    OpenedImage,
    input_from_image,
    open_image,
)

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

_NAMED = 3
# Where what is right of an image is said, by the task of the model.
ADVICE = {
    "classification": "Put them into one sub-folder a class, or list them in a CSV file: "
    "file,label.",
    "detection": "Boxes come in COCO's .json (--images FOLDER names where its images are), or in "
    "an .npz file with pixels, boxes and labels; a .json without annotations gives predictions.",
    "segmentation": "Masks lie in a folder beside the images' (images and masks), in COCO's "
    ".json, or in an .npz file with pixels and mask.",
}
_TRUTHS = {"classification": "labels", "detection": "boxes", "segmentation": "masks"}


@dataclass(frozen=True, kw_only=True)
class ImageInput:
    """The one input of a model that takes images, and how an image becomes it."""

    spec: TensorSpec
    step: PreProcessing

    def open(self, path: Path) -> OpenedImage:
        """A file, its values as the pre-processing takes them; UsageError where not readable."""
        return open_image(path, self.step.range)

    def sample(self, name: str, opened: OpenedImage, target: Target) -> Sample:
        """The sample that an image makes; UsageError where it cannot be converted."""
        loaded = input_from_image(opened.image, self.step)
        array = loaded.array if len(self.spec.shape) == loaded.array.ndim else loaded.array[0]
        return Sample(
            name=name,
            inputs={self.spec.name: array},
            target=target,
            geometry=loaded.geometry,
            notes=opened.notes,
        )


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Image files, read one at a time."""

    kind: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    notes: tuple[str, ...]
    files: tuple[Path, ...]
    input: ImageInput

    def read(self, position: int) -> Sample:
        """The image as the model takes it; UsageError where it cannot be read."""
        target = Target(label=None if self.labels is None else self.labels[position])
        opened = self.input.open(self.files[position])
        return self.input.sample(self.names[position], opened, target)

    @property
    def truths(self) -> frozenset[str]:
        """Labels, where there are any."""
        return frozenset() if self.labels is None else frozenset({"labels"})

    @property
    def coco(self) -> None:
        """There are no such numbers."""

    def image(self, position: int) -> PilImage:
        """The file; UsageError where it cannot be read."""
        return self.input.open(self.files[position]).image

    def content_hash(self, position: int) -> str | None:
        """The sha256 of the file; None where it cannot be read."""
        return hash_file(self.files[position])


def hash_file(path: Path) -> str | None:
    """The sha256 (hex) of a file; None where it cannot be read."""
    try:
        return sha256_of(path)
    except OSError:
        return None


def image_input(inputs: Sequence[TensorSpec], preprocessing: Sequence[PreProcessing]) -> ImageInput:
    """What images become; UsageError where this model cannot be given images alone."""
    if len(inputs) != 1:
        names = ", ".join(spec.name for spec in inputs)
        raise UsageError(
            f"The model has {len(inputs)} inputs ({names}); images can only be one.",
            remedy="Give an .npz file with arrays named like the inputs.",
        )
    spec = inputs[0]
    step = next((step for step in preprocessing if step.input == spec.name), None)
    if step is None:
        raise UsageError(
            f"Nothing says how an image becomes the input '{spec.name}'.",
            remedy="Give --preprocess when the bundle is made, or an .npz file.",
        )
    sizes = {"N": 1, "C": step.channels, "H": step.height, "W": step.width}
    made = tuple(sizes[letter] for letter in step.layout)
    # The batch axis may stand for any number; with three axes there is none.
    wanted = spec.shape[1:] if len(spec.shape) == 4 else spec.shape
    ranges = {entry.axis: entry for entry in spec.ranges}
    first = len(spec.shape) - len(wanted)
    fits = len(wanted) == 3 and all(
        ranges[axis].minimum <= size <= ranges[axis].maximum if axis in ranges else size == own
        for axis, (size, own) in enumerate(zip(made[1:], wanted, strict=True), start=first)
    )
    if not fits or spec.dtype != step.dtype:
        raise UsageError(
            f"Pre-processing makes {format_shape(made)} {step.dtype} of an image; the input "
            f"'{spec.name}' is {format_shape(spec.shape)} {spec.dtype}.",
            remedy="Give an .npz file with arrays as the model takes them.",
        )
    return ImageInput(spec=spec, step=step)


def class_folders(
    path: Path, labels: Sequence[str], given: ImageInput, task: str = "classification"
) -> ImageSource:
    """The images in ``path``, whose sub-folders are classes.

    Where there are none, a UsageError says what a model for that ``task`` needs.
    """
    folders = [folder for folder in _visible(path) if folder.is_dir()]
    by_folder = {folder: _images(folder) for folder in folders}
    full = {folder: files for folder, files in by_folder.items() if files}
    if not full:
        _refuse_flat(path, task)
    notes = [
        f"The folder '{folder.name}' holds no images."
        for folder, files in by_folder.items()
        if not files
    ]
    loose = sum(_is_image(file) for file in _visible(path))
    if loose:
        notes.append(f"{loose} images in {path} itself are in no class and were left aside.")
    found = match_classes([folder.name for folder in full], labels, what="folder")
    files = [(folder, file) for folder in full for file in full[folder]]
    return ImageSource(
        kind="folder",
        classes=found.names,
        names=tuple(file.relative_to(path).as_posix() for _, file in files),
        labels=tuple(found.indices[folder.name] for folder, _ in files),
        notes=(*found.notes, *notes),
        files=tuple(file for _, file in files),
        input=given,
    )


def unlabelled(path: Path, labels: Sequence[str], given: ImageInput) -> ImageSource:
    """All images in ``path`` and below, of no class."""
    files = _images(path)
    if not files:
        raise _no_images(path)
    return ImageSource(
        kind="images",
        classes=tuple(labels),
        names=tuple(file.relative_to(path).as_posix() for file in files),
        labels=None,
        notes=(),
        files=tuple(files),
        input=given,
    )


def listed(
    path: Path,
    names: Sequence[str],
    words: Sequence[str] | None,
    labels: Sequence[str],
    given: ImageInput,
    images: Path | None = None,
) -> ImageSource:
    """The images that a list names, with their labels.

    Names are relative to ``images``, else to the list ``path``.
    """
    files = named_files(path, names, images)
    notes = []
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(f"'{name}'" for name in twice[:_NAMED])
        notes.append(f"{len(twice)} files are listed more than once: {shown}.")
    found = None if words is None else match_classes(words, labels, what="label")
    return ImageSource(
        kind="csv",
        classes=tuple(labels) if found is None else found.names,
        names=tuple(names),
        labels=None
        if found is None or words is None
        else tuple(found.indices[word] for word in words),
        notes=(*(found.notes if found else ()), *notes),
        files=tuple(files),
        input=given,
    )


def named_files(path: Path, names: Sequence[str], images: Path | None) -> list[Path]:
    """The files that ``path`` names, relative to ``images`` or to itself; UsageError for none."""
    folder = path.parent if images is None else images
    files = [_named_file(folder, name) for name in names]
    missing = [name for name, file in zip(names, files, strict=True) if not is_file(file)]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise UsageError(
            f"{path} lists '{missing[0]}'{more}, and there is no such file.",
            remedy=f"Names are relative to {folder}; --images names another folder.",
        )
    return files


def _named_file(folder: Path, name: str) -> Path:
    """Where a list was written on Windows, its folders are parted by backslashes."""
    file = folder / name
    return file if "\\" not in name or is_file(file) else folder / name.replace("\\", "/")


def images_below(path: Path) -> list[Path]:
    """All images in a folder and below, sorted by name; UsageError where it cannot be read."""
    return _images(path)


def _refuse_flat(path: Path, task: str) -> None:
    if any(_is_image(file) for file in _visible(path)):
        raise UsageError(f"The images in {path} have no {_TRUTHS[task]}.", remedy=ADVICE[task])
    raise _no_images(path, task)


def _no_images(path: Path, task: str = "classification") -> UsageError:
    first = (
        "Name a folder with one sub-folder a class" if task == "classification" else ADVICE[task]
    )
    return UsageError(
        f"The folder {path} holds no images.",
        remedy=f"{first.rstrip('.')}; images are {', '.join(SUFFIXES)}.",
    )


def _visible(path: Path) -> list[Path]:
    """What lies in a folder, sorted by name, without what systems leave there."""
    try:
        found = sorted(path.iterdir())
    except OSError as error:
        raise UsageError(f"The folder {path} cannot be read: {error.strerror}.") from error
    return [file for file in found if not file.name.startswith((".", "__MACOSX"))]


def _images(path: Path) -> list[Path]:
    found: list[Path] = []
    for file in _visible(path):
        if file.is_dir():
            # A link to a folder may lead back up.
            found.extend([] if file.is_symlink() else _images(file))
        elif _is_image(file):
            found.append(file)
    return found


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()
