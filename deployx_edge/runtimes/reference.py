"""ONNX Runtime on this computer: what a converted model is measured by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.runtimes.onnx_source import OnnxSource, one_line

if TYPE_CHECKING:
    from deployx_edge.model import Array


class Reference:
    """The model in ONNX Runtime, fp32 on this computer's CPU: what the result is measured by."""

    def __init__(self, source: OnnxSource) -> None:
        """Load the model; ModelError where ONNX Runtime refuses it."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        self._name = source.path.name
        try:
            self._session = onnxruntime.InferenceSession(
                str(source.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no other base
            raise ModelError(
                f"{source.path.name} is broken: ONNX Runtime refuses it ({one_line(error)})."
            ) from error
        self._outputs = list(source.output_names)

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
                f"{self._name} does not run in ONNX Runtime ({one_line(error)})."
            ) from error
        return dict(zip(self._outputs, results, strict=True))
