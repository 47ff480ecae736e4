"""Arrays out of ``.npz`` files, and into them."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.files import open_regular
from deployx_edge.resources import available_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How a file of NumPy's begins that is no archive.
_ONE_ARRAY = b"\x93NUMPY"
_MOST_ARRAYS = 10_000
# What packed arrays may unfold to: so much in any case, and so many times their file's size.
_SMALL_BYTES = 256 << 20
_MOST_TIMES = 100
_MOST_EMPTY = 1_000_000


def read_content(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file; UsageError where it cannot be read.

    What it says of itself is held against what is there before anything is unfolded.
    """
    try:
        with open_regular(path) as file:
            if file.read(len(_ONE_ARRAY)) == _ONE_ARRAY:
                raise ValueError("it holds one array without a name")
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
                _check_sizes(entries, os.fstat(file.fileno()).st_size)
                return {e.filename.removesuffix(".npy"): _array(archive, e) for e in entries}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # a broken archive may raise anything out of its codec
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"{path} cannot be read as .npz: {reason}.",
            remedy="Write it by numpy.savez(FILE, NAME=ARRAY), with arrays of numbers.",
        ) from error


def _check_sizes(entries: Sequence[zipfile.ZipInfo], size: int) -> None:
    """Zeros pack a thousand times; a small file is not to fill the memory."""
    if len(entries) > _MOST_ARRAYS:
        raise ValueError(f"it holds {len(entries)} arrays, {_MOST_ARRAYS} at most are read")
    unfolded = sum(entry.file_size for entry in entries)
    if unfolded > max(_SMALL_BYTES, _MOST_TIMES * size):
        raise ValueError(
            f"its {size} bytes unfold to {unfolded}, more than {_MOST_TIMES} times as many; "
            "numpy.savez writes it without packing"
        )
    free = available_memory()
    if free is not None and unfolded > free:
        raise ValueError(f"it takes {unfolded} bytes of memory, {free} are free")


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    import numpy as np

    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0
        shape, _, dtype = (
            read(stream) if version == (1, 0) else np.lib.format.read_array_header_2_0(stream)
        )
        if dtype.hasobject:  # unpickling them would run what they say
            raise ValueError("it holds Python objects in place of numbers or texts")
        held = entry.file_size - stream.tell()
    if math.prod(shape) * dtype.itemsize != held or min(shape, default=0) < 0:
        raise ValueError(f"'{entry.filename}' says that it is {shape} {dtype}, in {held} bytes")
    if held == 0 and max(shape, default=0) > _MOST_EMPTY:
        raise ValueError(f"'{entry.filename}' is {shape} {dtype}, which holds nothing")
    with archive.open(entry) as stream:
        array: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    return array


def write_content(
    target: Path | IO[bytes], arrays: Mapping[str, NDArray[Any]], *, compressed: bool = False
) -> None:
    """Write an ``.npz`` of arrays with any names; ``numpy.savez`` takes no ``file`` among them."""
    import numpy as np

    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(target, "w", compression=kind) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)
