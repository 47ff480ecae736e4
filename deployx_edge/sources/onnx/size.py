"""Models too large to be taken apart here are refused before any of it is tried."""

from __future__ import annotations

from deployx_edge.errors import ModelError
from deployx_edge.resources import available_memory
from deployx_edge.sources.onnx.file import OnnxSource

# Where ONNX's own tools end: a protobuf's size is counted by a signed 32-bit number.
_LARGEST = 2**31 - 2**24
# Peak memory of a conversion, in sizes of the model; 5 to 7 were measured on one of 2.3 GB.
_COPIES = 8
_GIB = 2**30


def refuse_too_large(source: OnnxSource) -> None:
    """ModelError where the model, or what its conversion takes, is larger than what there is."""
    size = sum(file.stat().st_size for file in (source.path, *source.data_files))
    name = source.path.name
    if size > _LARGEST:
        raise ModelError(
            f"{name} has {size / _GIB:.1f} GiB; the tools for ONNX end at 2 GiB.",
            remedy="Export its parts, or with half floats.",
        )
    available = available_memory()
    if available is not None and _COPIES * size > available:
        raise ModelError(
            f"Taking {name} ({size / _GIB:.1f} GiB) apart takes about {_COPIES * size / _GIB:.1f} "
            f"GiB of memory; {available / _GIB:.1f} GiB are free.",
            remedy="Close other programs, or use a computer with more memory.",
        )
