"""The file ``.bin``: the layers' weights one after the other, some behind a 32-bit tag.

The format is that of ncnn's ``ModelBinFromDataReader::load``: type 0 starts with a tag that
tells the element type (0: float32), type 1 is raw float32. All is little endian and padded
to four bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TAGS = {"fp32": 0, "fp16": 0x01306B47, "bf16": 0x01348B83, "int8": 0x000D4B38}
_PRECISIONS = {tag: name for name, tag in _TAGS.items()}
STORED_PRECISIONS = ("fp32", "fp16", "bf16")


def encode_weights(values: NDArray[Any], precision: str, *, tagged: bool) -> bytes:
    """Weights as they stand in the file.

    ``tagged`` says that the layer reads them by type 0; then they are stored in
    ``precision`` (one of STORED_PRECISIONS), else always as raw float32. Codes of int8 stay
    such, behind a tag or, by type 8, without.
    """
    import ml_dtypes
    import numpy as np

    if values.dtype == np.int8:
        tag = _TAGS["int8"].to_bytes(4, "little") if tagged else b""
        return tag + values.tobytes() + bytes(-values.size % 4)
    floats = np.ascontiguousarray(values, dtype="<f4")
    if not tagged:
        return floats.tobytes()
    tag = _TAGS[precision].to_bytes(4, "little")
    if precision == "fp32":
        return tag + floats.tobytes()
    data = floats.astype("<f2" if precision == "fp16" else ml_dtypes.bfloat16).tobytes()
    return tag + data + bytes(-len(data) % 4)


def stored_precision(bin_file: Path) -> str:
    """The element type of the first weights in a ``.bin`` file.

    Files whose first layer stores raw floats without a tag read as "fp32".
    """
    with bin_file.open("rb") as stream:
        return _PRECISIONS.get(int.from_bytes(stream.read(4), "little"), "fp32")
