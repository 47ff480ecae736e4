"""The user's own arrays, out of ``.npz`` files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
