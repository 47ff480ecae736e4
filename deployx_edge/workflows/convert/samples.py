"""The user's own inputs: arrays from ``.npz`` files, and images."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy

from deployx_edge.errors import UsageError
from deployx_edge.graph.cleaning import readable_name
from deployx_edge.model import (
    InputRequest,
    NamedShape,
    PreProcessing,
    TensorSpec,
    format_shape,
)
from deployx_edge.processing.preprocessing import SUFFIXES, load_with_geometry, read_content
from deployx_edge.progress import Progress, Stage, silent

Arrays = dict[str, numpy.ndarray]

# A comparison on more does not say more, and takes longer.
_MOST_SAMPLES = 16


def read_arrays(
    paths: Sequence[Path],
    preprocessing: Sequence[PreProcessing],
    progress: Progress = silent,
    *,
    dispensable: Collection[Path] = (),
    most: int | None = None,
) -> Arrays:
    """Arrays from ``.npz`` files, and images by the one pre-processing there is.

    Several images become samples along the batch axis, in the order given; at most ``most``
    files are read. Raises UsageError for a file that is neither, or that cannot be read; of those
    that are ``dispensable`` only where no other is left.
    """
    arrays: Arrays = {}
    images: dict[str, list[numpy.ndarray]] = {}
    read, broken = 0, list[UsageError]()
    for path in paths:
        if read == most:
            break
        if path.suffix.lower() == ".npz":
            arrays.update({readable_name(n): array for n, array in read_content(path).items()})
            read += 1
            continue
        if len(preprocessing) != 1:
            raise UsageError(
                f"{path} is not an .npz file, and nothing says how an image becomes an input.",
                remedy="Give --preprocess when the bundle is made, or an .npz file.",
            )
        recipe = preprocessing[0]
        try:
            loaded = load_with_geometry(path, recipe)
        except UsageError as error:
            if path not in dispensable:
                raise
            broken.append(error)
            progress(Stage(text=f"Left out: {error.message}"))
            continue
        read += 1
        for note in loaded.notes:
            progress(Stage(text=f"{path.name} {note}."))
        images.setdefault(recipe.input, []).append(loaded.array)
    if broken and not read:
        raise broken[0]
    for name, loaded_images in images.items():
        sizes = {array.shape for array in loaded_images}
        if len(sizes) > 1:
            raise UsageError(
                f"The images become inputs '{name}' of several sizes, "
                f"{' and '.join(format_shape(size) for size in sorted(sizes)[:2])} among them.",
                remedy="Give one image at a time, or images of one size.",
            )
        arrays[name] = numpy.concatenate(loaded_images, axis=0)
    return arrays


def check_fixed(arrays: Mapping[str, numpy.ndarray], requests: Mapping[str, InputRequest]) -> None:
    """UsageError where an array says something else of an input than what it is fixed to."""
    for name, request in requests.items():
        if request.values and name in arrays:
            given = arrays[name]
            if not numpy.array_equal(numpy.resize(request.values, given.shape), given):
                raise UsageError(
                    f"The input '{name}' is fixed by {request.word}; the array given for it holds "
                    "other values.",
                    remedy="Leave that array out, or fix the input to its values.",
                )


def read_samples(
    paths: Sequence[Path],
    inputs: Sequence[NamedShape],
    preprocessing: Sequence[PreProcessing],
    progress: Progress = silent,
) -> tuple[Arrays, ...]:
    """Sets of inputs of the source's shapes; a folder stands for the images in it.

    At most 16, the first. An image of a folder that cannot be read is left out, and told.
    Raises UsageError where an array does not fit, or none is found.
    """
    if not paths:
        return ()
    found = [(file, path.is_dir()) for path in paths for file in _files(path)]
    arrays = read_arrays(
        [file for file, _ in found],
        preprocessing,
        progress,
        dispensable={file for file, of_folder in found if of_folder},
        most=_MOST_SAMPLES,
    )
    missing = [tensor.name for tensor in inputs if tensor.name not in arrays]
    if missing:
        raise UsageError(
            f"The samples hold no array for the input '{missing[0]}', only "
            f"{', '.join(arrays) or 'none'}.",
            remedy="Name the arrays like the inputs.",
        )
    portions = {tensor.name: _portions(tensor, arrays[tensor.name]) for tensor in inputs}
    count = min(_MOST_SAMPLES, *(len(parts) for parts in portions.values()))
    return tuple({name: parts[index] for name, parts in portions.items()} for index in range(count))


def split_samples(specs: Sequence[TensorSpec], inputs: Mapping[str, numpy.ndarray]) -> list[Arrays]:
    """One entry a sample, each of batch size 1, of arrays that were checked before."""
    batched = [spec for spec in specs if spec.batch_axis is not None]
    if not batched:
        return [{spec.name: inputs[spec.name] for spec in specs}]
    first = batched[0]
    assert first.batch_axis is not None
    count = inputs[first.name].shape[first.batch_axis]
    return [
        {spec.name: _sample(spec, inputs[spec.name], index) for spec in specs}
        for index in range(count)
    ]


def join_samples(spec: TensorSpec, parts: Sequence[numpy.ndarray]) -> numpy.ndarray:
    """The outputs of single samples put together again along their batch axis."""
    if len(parts) == 1:
        return parts[0]
    axis = spec.batch_axis
    return numpy.stack(parts) if axis is None else numpy.concatenate(parts, axis=axis)


def _sample(spec: TensorSpec, array: numpy.ndarray, index: int) -> numpy.ndarray:
    if spec.batch_axis is None:
        return array
    return numpy.take(array, [index], axis=spec.batch_axis)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not found:
        raise UsageError(f"The folder {path} holds no images.")
    return found


def _portions(tensor: NamedShape, array: numpy.ndarray) -> list[numpy.ndarray]:
    """Arrays of the input's shape, cut along the first axis."""
    if array.dtype.kind == "f":
        array = array.astype(tensor.dtype)
    if array.shape == tensor.shape:
        portions = [array]
    elif array.ndim == len(tensor.shape) and array.shape[1:] == tensor.shape[1:]:
        size = tensor.shape[0]
        portions = [array[i : i + size] for i in range(0, len(array) - size + 1, size)]
    else:
        portions = []
    if not portions or array.dtype != tensor.dtype:
        raise UsageError(
            f"The samples for '{tensor.name}' are {array.shape} {array.dtype}, "
            f"the input is {tensor.shape} {tensor.dtype}."
        )
    if not all(bool(numpy.isfinite(part).all()) for part in portions[:_MOST_SAMPLES]):
        raise UsageError(f"The samples for '{tensor.name}' hold NaN or infinite values.")
    return portions
