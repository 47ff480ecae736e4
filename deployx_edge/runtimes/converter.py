"""The narrow interface behind which a model becomes a runtime's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployx_edge.errors import ModelError
from deployx_edge.model import MAX_RUNTIME_DIMS, TensorSpec, format_shape
from deployx_edge.sources.onnx_file import OnnxSource, SourceTensor

_LAYOUTS = {2: "NC", 3: "NCW", 4: "NCHW", 5: "NCDHW"}


@dataclass(frozen=True, kw_only=True)
class ConvertedModel:
    """A runtime's files, in the folder that was given, and what goes in and out of them.

    ``files`` are (role, path). Nothing is said yet about whether they compute the same.
    """

    runtime: str
    precision: str
    files: tuple[tuple[str, Path], ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def path(self, role: str) -> Path:
        """The file of that role."""
        return dict(self.files)[role]


def tensor_spec(
    source: OnnxSource, tensor: SourceTensor, blob: str, batch_axis: int | None
) -> TensorSpec:
    """What the bundle says of an input or output; ModelError where ncnn cannot have its shape."""
    spec = TensorSpec(
        name=tensor.name,
        blob=blob,
        dtype="float32",
        shape=tensor.shape,
        layout=_LAYOUTS.get(len(tensor.shape), "") if batch_axis == 0 else "",
        batch_axis=batch_axis,
    )
    if len(spec.sample_shape) > MAX_RUNTIME_DIMS:
        raise ModelError(
            f"'{tensor.name}' of {source.path.name} is {format_shape(tensor.shape)}; "
            f"ncnn has at most {MAX_RUNTIME_DIMS} dimensions besides the batch."
        )
    return spec


class Converter(Protocol):
    """Turns an ONNX model into a runtime's files."""

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The tools whose versions decide what comes out, as (name, version)."""
        ...

    def convert(
        self,
        source: OnnxSource,
        outputs: tuple[SourceTensor, ...],
        precision: str,
        folder: Path,
    ) -> ConvertedModel:
        """Write the runtime's files into ``folder`` (empty, and the caller's to delete).

        ``outputs`` are the source's, with the shapes that they have for its inputs'
        shapes. ``precision`` ("fp32", "fp16") is that of the
        stored weights. Raises ModelError, naming the operator and the node where it can.
        """
        ...

    def doubts(self, source: OnnxSource) -> tuple[str, ...]:
        """Operators in ``source`` that this converter is known to get wrong at times.

        Each as ``Operator (node 'name')``; for the error message when numbers differ.
        """
        ...
