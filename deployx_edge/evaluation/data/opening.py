"""Which kind of data set lies at a path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.arrays import read_array_file
from deployx_edge.evaluation.data.coco import read_coco
from deployx_edge.evaluation.data.dataset_yaml import read_description
from deployx_edge.evaluation.data.images import (
    ADVICE,
    ImageInput,
    class_folders,
    image_input,
    listed,
    unlabelled,
)
from deployx_edge.evaluation.data.lists import read_list
from deployx_edge.evaluation.data.masks import mask_folders, read_masks
from deployx_edge.evaluation.data.pixels import PIXELS, read_pixels
from deployx_edge.evaluation.values import Source
from deployx_edge.model import PreProcessing, TensorSpec
from deployx_edge.processing.preprocessing import read_content

_KINDS = (
    "a folder with one sub-folder a class or with images and masks, a CSV file (file,label), "
    "COCO's .json, an .npz file or a dataset.yaml"
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the model takes and gives, and what the user says of the data.

    ``task`` is the kind of the post-processing: in a segmentation, COCO's outlines become masks.
    ``images`` and ``masks`` are folders, ``classes`` what the data set numbers.
    """

    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    preprocessing: Sequence[PreProcessing]
    labels: Sequence[str]
    labelled: bool
    task: str
    images: Path | None = None
    masks: Path | None = None
    classes: tuple[str, ...] = ()

    def image_input(self) -> ImageInput:
        """How images become the input; UsageError where this model cannot have them."""
        return image_input(self.inputs, self.preprocessing)


def open_source(path: Path, wanted: Wanted) -> Source:
    """The samples at ``path``; UsageError where there are none, or they do not fit."""
    if path.is_dir():
        return _folder(path, wanted)
    if not path.exists():
        raise UsageError(f"There is no data set at {path}.", remedy=f"Name {_KINDS}.")
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _described(path, wanted)
    if suffix == ".npz":
        return _arrays(path, wanted)
    if suffix in (".csv", ".tsv"):
        return _list(path, wanted)
    if suffix == ".json":
        return _coco(path, wanted)
    raise UsageError(f"{path} is not a data set.", remedy=f"Name {_KINDS}.")


def _folder(path: Path, wanted: Wanted) -> Source:
    found = mask_folders(path)
    if found is not None:
        return _masks(*found, wanted)
    if not wanted.labelled:
        return unlabelled(path, wanted.labels, wanted.image_input())
    return class_folders(path, wanted.labels, wanted.image_input(), wanted.task)


def _masks(images: Path, masks: Path, wanted: Wanted) -> Source:
    if not wanted.labelled:
        return unlabelled(images, wanted.labels, wanted.image_input())
    return read_masks(images, masks, wanted.labels, wanted.image_input(), classes=wanted.classes)


def _list(path: Path, wanted: Wanted) -> Source:
    try:
        found = read_list(path, labelled=wanted.labelled)
    except UsageError as error:
        if wanted.task == "classification" or not wanted.labelled:
            raise
        read_list(path, labelled=False)  # it lacks more than labels where this is refused too
        raise UsageError(error.message, remedy=ADVICE[wanted.task]) from error
    given = wanted.image_input()
    return listed(path, found.names, found.words, wanted.labels, given, wanted.images)


def _coco(path: Path, wanted: Wanted) -> Source:
    return read_coco(
        path,
        wanted.labels,
        wanted.image_input(),
        images=wanted.images,
        masks=wanted.task == "segmentation",
        labelled=wanted.labelled,
    )


def _arrays(path: Path, wanted: Wanted) -> Source:
    content = read_content(path)
    names = {spec.name for spec in wanted.inputs}
    if (
        PIXELS in content
        and PIXELS not in names
        and (wanted.preprocessing or not names & set(content))
    ):
        return read_pixels(
            path,
            content,
            wanted.labels,
            wanted.image_input(),
            labelled=wanted.labelled,
            classes=wanted.classes,
        )
    if wanted.classes:
        raise UsageError(f"Classes are named for the pixels of an .npz, and {path} holds none.")
    return read_array_file(
        path, wanted.inputs, wanted.outputs, wanted.labels, labelled=wanted.labelled
    )


def _described(path: Path, wanted: Wanted) -> Source:
    found = read_description(path)
    wanted = replace(wanted, images=found.images or wanted.images, classes=found.classes)
    if found.kind == "masks":
        folders = mask_folders(found.path) if found.path is not None else None
        images, masks = folders or (None, None)
        images, masks = found.images or images, found.labels or masks
        if images is None or masks is None:
            raise UsageError(f"{path} does not say where images and masks are.")
        return _masks(images, masks, wanted)
    assert found.path is not None  # as the description was checked
    opener = {"folder": _folder, "csv": _list, "npz": _arrays, "coco": _coco}[found.kind]
    if found.path.is_dir() != (found.kind == "folder"):
        raise UsageError(f"{path} says {found.kind}, and {found.path} is none.")
    return opener(found.path, wanted)
