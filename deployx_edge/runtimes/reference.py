"""ONNX Runtime on this computer: what a converted model is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.sources.onnx_file import OnnxSource, one_line, with_outputs
from deployx_edge.sources.onnx_runtime import open_model

if TYPE_CHECKING:
    from deployx_edge.model import Array


class Reference:
    """The model in ONNX Runtime on this computer's CPU: what the result is measured by.

    Every node runs by itself as it stands (see ``open_model``), so codes between Q and DQ nodes
    are computed in floats.
    """

    def __init__(self, source: OnnxSource, *, tensors: Sequence[str] = ()) -> None:
        """Load the model; ModelError where ONNX Runtime refuses it.

        ``tensors`` are to be given instead of the model's outputs.
        """
        self._name = source.path.name
        try:
            self._session = open_model(
                with_outputs(source, tensors or source.output_names).SerializeToString()
                if tensors or source.is_marked
                else str(source.path),
                folder=source.path.parent,
            )
        except Exception as error:  # its exceptions share no other base
            raise ModelError(
                f"{source.path.name} is broken, or newer than the ONNX Runtime here, which refuses "
                f"it: {_reason(error)}."
            ) from error
        self._outputs = list(tensors or source.output_names)

    @staticmethod
    def version() -> str:
        """The reference's name and version, without importing it."""
        from importlib import metadata

        return f"onnxruntime {metadata.version('onnxruntime')}"

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for the inputs, all by name; ModelError where the model cannot run."""
        try:
            results = self._session.run(self._outputs, dict(arrays))
        except Exception as error:  # as above
            raise ModelError(
                f"{self._name} does not run in ONNX Runtime: {_reason(error)}."
            ) from error
        return dict(zip(self._outputs, results, strict=True))


def _reason(error: Exception) -> str:
    """The end of what ONNX Runtime says; it starts with addresses in its own source."""
    text = " ".join(str(error).split())
    return one_line(text if len(text) <= 200 else f"… {text[-200:]}")
