"""Samples from an ``.npz`` file: arrays named like a model's inputs, labels or targets beside."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.classes import check_index, match_classes
from deployx_edge.evaluation.values import Sample, Target
from deployx_edge.model import TensorSpec, format_shape
from deployx_edge.processing.preprocessing import image_of_pixels, read_content

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image as PilImage

_LABELS = "labels"
_TARGET = "target:"
_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class ArraySource:
    """Arrays in memory, cut into samples where they are read.

    ``inputs`` and ``targets`` are arrays with the samples along their first axis; the axes
    that remain are one sample's, with batch size 1.
    """

    kind: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...] | None
    notes: tuple[str, ...]
    inputs: Mapping[str, NDArray[Any]]
    targets: Mapping[str, NDArray[Any]]

    def read(self, position: int) -> Sample:
        """The sample at that index."""
        return Sample(
            name=self.names[position],
            inputs={name: array[position] for name, array in self.inputs.items()},
            target=Target(
                label=None if self.labels is None else self.labels[position],
                arrays={name: array[position] for name, array in self.targets.items()},
            ),
        )

    @property
    def truths(self) -> frozenset[str]:
        """Labels, arrays, or both."""
        given = (("labels", self.labels is not None), ("arrays", bool(self.targets)))
        return frozenset(name for name, there in given if there)

    @property
    def coco(self) -> None:
        """There are no such numbers."""

    def image(self, position: int) -> PilImage | None:
        """An only input of 1 or 3 channels as an image, its values spread over 0 … 255."""
        if len(self.inputs) != 1:
            return None
        return image_of_array(next(iter(self.inputs.values()))[position])

    def content_hash(self, position: int) -> str | None:
        """The sha256 of the sample's inputs."""
        return hash_arrays({name: array[position] for name, array in self.inputs.items()})


def hash_arrays(inputs: Mapping[str, NDArray[Any]]) -> str:
    """One sha256 (hex) for a sample's arrays: names, types, shapes and bytes, sorted by name."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        array = np.ascontiguousarray(inputs[name])
        digest.update(f"{name}\0{array.dtype.str}\0{format_shape(array.shape)}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def image_of_array(array: NDArray[Any]) -> PilImage | None:
    """Three or four axes with one of 1 or 3 channels first or last; None for anything else."""
    one = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    if one.ndim != 3:
        return None
    pixels = one if one.shape[2] in (1, 3) else np.moveaxis(one, 0, 2)
    if pixels.shape[2] not in (1, 3):
        return None
    low, high = float(pixels.min()), float(pixels.max())
    spread = (pixels.astype(np.float64) - low) * (255.0 / max(high - low, 1e-12))
    return image_of_pixels(np.rint(spread).astype(np.uint8))


def read_array_file(
    path: Path,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    labels: Sequence[str],
    *,
    labelled: bool,
) -> ArraySource:
    """The samples of an ``.npz`` file.

    An input's array has the samples along the input's batch axis, or along a first axis of
    its own where the input has none. ``labels`` holds one index or name of a class a sample;
    ``target:<output>``, or ``<output>``, what an output should be. Raises UsageError for
    arrays that do not fit, for NaN and infinity, and where nothing says what is right.
    """
    content = read_content(path)
    stacked = {spec.name: _stacked(path, spec, content) for spec in inputs}
    counts = {name: len(array) for name, array in stacked.items()}
    if len(set(counts.values())) != 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UsageError(f"The inputs in {path} hold different numbers of samples: {told}.")
    count = next(iter(counts.values()))
    targets = _targets(path, content, {spec.name for spec in inputs}, outputs)
    for name, array in targets.items():
        _same_count(path, f"target for '{name}'", len(array), count)
    indices, classes, notes = None, tuple(labels), tuple[str, ...]()
    if labelled and _LABELS in content and _LABELS not in counts:
        indices, classes, notes = _labels(path, content[_LABELS], labels)
        _same_count(path, "labels", len(indices), count)
    if labelled and indices is None and not targets:
        raise UsageError(
            f"Nothing in {path} says what is right; it holds {_some(content)}.",
            remedy="Add 'labels' (one class index a sample) or 'target:<output>'.",
        )
    return ArraySource(
        kind="npz",
        classes=classes,
        names=tuple(f"{path.name}[{index}]" for index in range(count)),
        labels=indices,
        notes=notes,
        inputs=stacked,
        targets=targets,
    )


def _stacked(path: Path, spec: TensorSpec, content: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """An input's samples along a new first axis, each with batch size 1, checked."""
    if spec.name not in content:
        raise UsageError(
            f"{path} has no array for the input '{spec.name}', only {_some(content)}.",
            remedy="Name the arrays like the inputs.",
        )
    array = content[spec.name]
    if array.dtype.kind == "f" and np.dtype(spec.dtype).kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(spec.dtype, copy=False)
    stacked = _one_by_one(spec, array)
    if len(stacked):
        spec.check(stacked[0])
    else:
        raise UsageError(f"The array '{spec.name}' in {path} holds no samples.")
    _finite(path, f"array '{spec.name}'", stacked)
    return stacked


def _one_by_one(spec: TensorSpec, array: NDArray[Any]) -> NDArray[Any]:
    if spec.batch_axis is None:
        if array.shape == spec.shape:
            return array[None]
        if array.ndim == 0:
            spec.check(array)  # says what is wrong with its shape
        return array
    if spec.batch_axis >= array.ndim:
        spec.check(array)
    front = np.moveaxis(array, spec.batch_axis, 0)
    return np.expand_dims(front, 1 + spec.batch_axis)


def _finite(path: Path, what: str, stacked: NDArray[Any]) -> None:
    if stacked.dtype.kind != "f":
        return
    # One at a time: the mask of a whole data set would be large.
    broken = next((i for i, one in enumerate(stacked) if not np.isfinite(one).all()), None)
    if broken is not None:
        raise UsageError(f"Sample {broken} of the {what} in {path} holds NaN or infinity.")


def _targets(
    path: Path,
    content: Mapping[str, NDArray[Any]],
    inputs: set[str],
    outputs: Sequence[TensorSpec],
) -> dict[str, NDArray[Any]]:
    known = {spec.name: spec for spec in outputs}
    targets: dict[str, NDArray[Any]] = {}
    for key, array in content.items():
        name = key.removeprefix(_TARGET)
        if key in inputs or (key == name and key not in known):
            continue
        if known and name not in known:
            raise UsageError(
                f"'{key}' in {path} is for no output; the model's are {', '.join(known)}."
            )
        if name in targets:
            raise UsageError(f"{path} holds two targets for the output '{name}'.")
        if array.dtype.kind not in "fiub" or array.ndim == 0:
            raise UsageError(f"The target '{key}' in {path} is {array.dtype}, not numbers.")
        targets[name] = _target(path, key, array, known.get(name))
        _finite(path, f"target '{key}'", targets[name])
    return targets


def _target(path: Path, key: str, array: NDArray[Any], spec: TensorSpec | None) -> NDArray[Any]:
    if spec is None:
        return array[:, None]
    axis = spec.batch_axis
    stacked = _one_by_one(spec, array) if axis is None or axis < array.ndim else array
    if stacked.shape[1:] != _one_shape(spec):
        raise UsageError(
            f"The target '{key}' in {path} is {format_shape(array.shape)}; the output "
            f"'{spec.name}' is {format_shape(spec.shape)}, samples along "
            f"{'an axis before it' if axis is None else f'axis {axis}'}."
        )
    return stacked


def _one_shape(spec: TensorSpec) -> tuple[int, ...]:
    return tuple(1 if axis == spec.batch_axis else size for axis, size in enumerate(spec.shape))


def _labels(
    path: Path, array: NDArray[Any], labels: Sequence[str]
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[str, ...]]:
    """Indices of classes, the classes' names, and notes."""
    column = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if column.ndim != 1 or column.dtype.kind not in "iuU":
        raise UsageError(
            f"The 'labels' in {path} are {format_shape(array.shape)} {array.dtype}.",
            remedy="Give one whole number, the index of its class, or one name a sample.",
        )
    if column.dtype.kind == "U":
        words = [str(word) for word in column]
        found = match_classes(words, labels, what="label")
        return tuple(found.indices[word] for word in words), found.names, found.notes
    indices = tuple(int(index) for index in column)
    for index in (min(indices, default=0), max(indices, default=0)):
        check_index(index, labels, what=f"label in {path}")
    return indices, tuple(labels), ()


def _same_count(path: Path, what: str, found: int, count: int) -> None:
    if found != count:
        raise UsageError(f"{path} holds {count} samples, and {found} in its {what}.")


def _some(content: Mapping[str, NDArray[Any]]) -> str:
    names = list(content)
    return ", ".join(names[:_NAMED]) + ("…" if len(names) > _NAMED else "") or "nothing"
