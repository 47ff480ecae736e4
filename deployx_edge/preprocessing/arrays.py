"""Arrays out of ``.npz`` files, and into them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_content(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an ``.npz`` file; UsageError where it cannot be read."""
    import numpy as np

    try:
        # Opened here: numpy leaves a file open that it cannot read.
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array without a name")
            return {name: content[name] for name in content.files}
    except Exception as error:  # a broken archive may raise anything out of its codec
        reason = " ".join(str(error).split())[:200]
        if "pickle" in reason:  # NumPy advises to unpickle it, which would run what it says
            reason = "it holds Python objects in place of numbers or texts"
        raise UsageError(
            f"{path} cannot be read as .npz: {reason}.",
            remedy="Write it by numpy.savez(FILE, NAME=ARRAY), with arrays of numbers.",
        ) from error


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
