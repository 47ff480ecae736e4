"""What an ONNX file says of its inputs and itself, before anything of it is fixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.graph.cleaning import readable_name


@dataclass(frozen=True, kw_only=True)
class Header:
    """The inputs' sizes, None for an axis that the file leaves open, and the file's metadata."""

    inputs: Mapping[str, tuple[int | None, ...]]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header | None:
    """None where the file cannot be read; who reads all of it says why."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except (OSError, DecodeError, ValueError):
        return None
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {
        readable_name(value.name): tuple(
            int(dim.dim_value) if dim.dim_value > 0 else None
            for dim in value.type.tensor_type.shape.dim
        )
        for value in model.graph.input
        if value.name not in constants
    }
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return Header(inputs=inputs, metadata=metadata)
