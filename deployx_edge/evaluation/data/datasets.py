"""Data sets of the user's own: opened by what lies at a path, read one sample at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.opening import Wanted, open_source
from deployx_edge.evaluation.data.subsets import choose
from deployx_edge.evaluation.values import CocoNumbers, Sample, Skipped, Source, Target
from deployx_edge.model import PreProcessing, TensorSpec

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A sample to look at: its image, None where it is none, and what is right."""

    image: PilImage | None
    target: Target


class Dataset:
    """The chosen samples of a source, in a fixed order; may be iterated any number of times."""

    def __init__(
        self, source: Source, chosen: Sequence[int], *, strict: bool, varied: bool = False
    ) -> None:
        self._source = source
        self._chosen = tuple(chosen)
        self._strict = strict
        self._varied = varied
        self._skipped: list[Skipped] = []
        self._read: list[int] = []
        self._noted: Counter[str] = Counter()

    @property
    def kind(self) -> str:
        """``folder``, ``csv``, ``npz``, ``coco``, ``masks`` or ``images`` (without labels)."""
        return self._source.kind

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes by index; empty where only their numbers are known."""
        return self._source.classes

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed or left aside, in sentences for the report.

        What single samples have to say is counted over the latest iteration.
        """
        told = (
            f"{count} of {len(self._read)} images: each {note}."
            for note, count in self._noted.items()
        )
        return (*self._source.notes, *told)

    @property
    def available(self) -> int:
        """How many samples there are before the subset was chosen."""
        return len(self._source.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the chosen samples, in order."""
        return tuple(self._source.names[position] for position in self._chosen)

    @property
    def labels(self) -> tuple[int, ...] | None:
        """The class index of each chosen sample; None where samples have no class."""
        labels = self._source.labels
        return None if labels is None else tuple(labels[position] for position in self._chosen)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """What the latest iteration left out, and why."""
        return tuple(self._skipped)

    @property
    def truths(self) -> frozenset[str]:
        """What is known of the samples: of ``labels``, ``boxes``, ``masks`` and ``arrays``."""
        return self._source.truths

    @property
    def read_names(self) -> tuple[str, ...]:
        """The names of the samples that the latest iteration gave, in order."""
        return tuple(self._source.names[position] for position in self._read)

    @property
    def coco(self) -> CocoNumbers | None:
        """COCO's numbers: of the images that the latest iteration gave, and of the classes."""
        numbers = self._source.coco
        if numbers is None:
            return None
        return replace(numbers, images=tuple(numbers.images[place] for place in self._read))

    def read_again(self, index: int) -> Shown:
        """The image of the sample at that index among those given last, and what is right."""
        position = self._read[index]
        return Shown(image=self._source.image(position), target=self._source.read(position).target)

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Sample]:
        """The samples; one that cannot be read is skipped, or a UsageError where strict.

        A UsageError at the end where none could be read.
        """
        self._skipped, self._read, self._noted = [], [], Counter()
        for position in self._chosen:
            try:
                sample = self._source.read(position)
                if self._varied:
                    _check_varied(sample)
            except UsageError as error:
                if self._strict:
                    raise
                name = self._source.names[position]
                self._skipped.append(Skipped(name=name, reason=str(error)))
                continue
            self._read.append(position)
            self._noted.update(sample.notes)
            yield sample
        if len(self._skipped) == len(self._chosen):
            what = "used" if self._varied else "read"
            raise UsageError(
                f"None of the {len(self._chosen)} samples can be {what}; the first: "
                f"{self._skipped[0].reason}"
            )

    @property
    def digest(self) -> str:
        """One sha256 (hex) for the names and the contents of the chosen samples, in order."""
        digest = hashlib.sha256()
        for name, content in zip(self.names, self._hashes, strict=True):
            digest.update(f"{content or 'unreadable'} {name}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    def content_hashes(self) -> frozenset[str]:
        """The sha256 (hex) of each chosen sample's file, or of its arrays."""
        return frozenset(content for content in self._hashes if content is not None)

    @cached_property
    def _hashes(self) -> tuple[str | None, ...]:
        return tuple(self._source.content_hash(position) for position in self._chosen)


def _check_varied(sample: Sample) -> None:
    # A single number is always one value.
    arrays = [array for array in sample.inputs.values() if array.size > 1]
    if arrays and all(array.min() == array.max() for array in arrays):
        raise UsageError(f"The sample '{sample.name}' holds one value only.")


def open_dataset(
    path: Path,
    *,
    inputs: Sequence[TensorSpec],
    preprocessing: Sequence[PreProcessing] = (),
    outputs: Sequence[TensorSpec] = (),
    labels: Sequence[str] = (),
    limit: int | None = None,
    seed: int = 0,
    per_class: int | None = None,
    strict: bool = False,
    labelled: bool = True,
    varied: bool = False,
    task: str = "classification",
    images: Path | None = None,
) -> Dataset:
    """The data set at ``path``: a folder, a ``.csv``, ``.json``, ``.npz`` or ``.yaml`` file.

    ``inputs``, ``outputs``, ``preprocessing`` and ``labels`` (the names of its classes, may be
    empty) are the model's. ``per_class`` and ``limit`` choose a part, the same for the same
    ``seed``. ``strict`` makes an error of a sample that cannot be read. Where not ``labelled``
    (calibration), nothing needs to say what is right, and any folder of images will do; where
    ``varied``, a sample of one value only is as one that cannot be read.
    ``task`` is the kind of the model's post-processing, ``images`` the folder that a list's
    images are in.
    Everything but the images themselves is checked here. Raises UsageError.
    """
    wanted = Wanted(
        inputs=inputs,
        outputs=outputs,
        preprocessing=preprocessing,
        labels=labels,
        labelled=labelled,
        task=task,
        images=images,
    )
    source = open_source(Path(path), wanted)
    chosen = choose(len(source.names), source.labels, limit=limit, per_class=per_class, seed=seed)
    return Dataset(source, chosen, strict=strict, varied=varied)
