"""What ``run`` is given beside a model: arrays, images, folders of images and videos."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.images import images_below
from deployx_edge.evaluation.values import Skipped
from deployx_edge.model import NamedShape, PreProcessing
from deployx_edge.processing.geometry import Geometry
from deployx_edge.processing.preprocessing import (
    OpenedImage,
    input_from_image,
    open_image,
)
from deployx_edge.workflows.measure.videos import VideoReader, check_opencv, is_video

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

Arrays = Mapping[str, numpy.ndarray]


@dataclass(frozen=True, kw_only=True)
class GivenFile:
    """An image or a video, and what it is called; ``listed`` where a folder was given for it."""

    name: str
    path: Path
    listed: bool = False

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return is_video(self.path)


@dataclass(frozen=True, kw_only=True)
class GivenFiles:
    """What was given, in that order: files of arrays, and images and videos."""

    arrays: tuple[Path, ...]
    images: tuple[GivenFile, ...]

    @property
    def many(self) -> bool:
        """Whether there may be more samples than anybody named one by one."""
        return any(file.listed or file.is_video for file in self.images)


@dataclass(frozen=True, kw_only=True)
class Given:
    """One sample: ``inputs`` by the model's names, with batch size 1.

    ``geometry`` says how its image lies in the input; ``image`` is the image as it is seen, where
    it is kept to be drawn on. ``frame`` is that of a video, which has ``rate`` of them a second.
    ``notes`` say what was left aside or is doubtful, each as what follows "this image".
    """

    name: str
    file: Path
    inputs: Arrays
    geometry: Geometry | None = None
    image: PilImage | None = None
    frame: int | None = None
    rate: float | None = None
    notes: tuple[str, ...] = ()


def sort_files(paths: Sequence[Path], without: Path | None = None) -> GivenFiles:
    """The files, each folder's images among them; none that lies in the folder ``without``.

    Raises UsageError for what is not there and for a folder without images, MissingToolError for a
    video where nothing reads it.
    """
    arrays = tuple(path for path in paths if path.suffix.lower() == ".npz")
    folders = sum(path.is_dir() for path in paths)
    found: list[GivenFile] = []
    for path in paths:
        if path in arrays:
            continue
        if path.is_dir():
            before = f"{path.name}/" if folders > 1 else ""
            found += _in_folder(path, before, without)
            continue
        if not path.exists():
            kind = "video" if is_video(path) else "image"
            raise UsageError(f"The {kind} {path} does not exist.")
        if is_video(path):
            check_opencv(path)
        found.append(GivenFile(name=path.name, path=path))
    counts = Counter(file.name for file in found)
    return GivenFiles(
        arrays=arrays,
        images=tuple(
            file
            if counts[file.name] == 1
            else GivenFile(name=str(file.path), path=file.path, listed=file.listed)
            for file in found
        ),
    )


def _in_folder(folder: Path, before: str, without: Path | None) -> list[GivenFile]:
    files = images_below(folder)
    if without is not None and without.resolve() != folder.resolve():
        files = [file for file in files if without.resolve() not in file.resolve().parents]
    if not files:
        raise UsageError(
            f"The folder {folder} holds no images.",
            remedy="Name one with .png, .jpg or other images in it or below.",
        )
    return [
        GivenFile(name=before + file.relative_to(folder).as_posix(), path=file, listed=True)
        for file in files
    ]


@dataclass(kw_only=True)
class ImageReader:
    """Images and frames of videos as samples, each read when it is asked for.

    ``others`` holds what goes into further inputs: one value for all samples, or one a sample.
    ``skipped`` is told what cannot be read, ``notes`` what is to be said of a whole file.
    """

    files: Sequence[GivenFile]
    step: PreProcessing
    spec: NamedShape
    others: Arrays = field(default_factory=dict)
    every: int = 1
    keep: bool = False
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: UsageError | None = None

    def __iter__(self) -> Iterator[Given]:
        """The samples; a file that cannot be read is left out."""
        place = 0
        for file in self.files:
            try:
                for given in self._samples(file, place):
                    place += 1
                    yield given
            except UsageError as error:
                self.error = self.error or error
                self.skipped.append(Skipped(name=file.name, reason=str(error)))

    def _samples(self, file: GivenFile, place: int) -> Iterator[Given]:
        if not file.is_video:
            opened = open_image(file.path, self.step.range)
            yield self._sample(file.name, file.path, opened, place)
            return
        video = VideoReader(file.path, self.every)
        for count, frame in enumerate(video):
            opened = OpenedImage(image=frame.image)
            name = f"{file.name} {frame.number}"
            yield self._sample(
                name, file.path, opened, place + count, frame=frame.number, rate=frame.rate
            )
        if video.lost:
            self.notes.append(
                f"{file.name} says that it has {video.said} frames; {video.read} could be read."
            )

    def _sample(
        self,
        name: str,
        path: Path,
        opened: OpenedImage,
        place: int,
        frame: int | None = None,
        rate: float | None = None,
    ) -> Given:
        loaded = input_from_image(opened.image, self.step)
        array = loaded.array if len(self.spec.shape) == loaded.array.ndim else loaded.array[0]
        further = {
            other: values if len(values) <= 1 else values[place : place + 1]
            for other, values in self.others.items()
        }
        plain = _of_one_colour(opened.image)
        return Given(
            name=name,
            file=path,
            inputs={**further, self.spec.name: array},
            geometry=loaded.geometry,
            image=opened.image if self.keep else None,
            frame=frame,
            rate=rate,
            notes=(*opened.notes, *((plain,) if plain else ())),
        )


def _of_one_colour(image: PilImage) -> str:
    """What is to be said of an image in which nothing can be seen; "" for all others."""
    ends = image.getextrema()
    pairs = ends if isinstance(ends[0], tuple) else (ends,)
    # Where it is transparent is nobody's colour.
    colours = pairs[:-1] if image.mode in ("LA", "RGBA", "La", "RGBa") else pairs
    if image.mode == "P" or any(low != high for low, high in colours):
        return ""
    return "is black throughout" if not any(high for _, high in colours) else "is of one colour"
