"""ONNX Runtime on this computer: what a converted model is measured by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.onnx_runtime import open_model, plain_reason, refusal, version
from deployx_edge.sources.onnx.file import OnnxSource, with_outputs

if TYPE_CHECKING:
    from deployx_edge.model import Array


class Reference:
    """The model in ONNX Runtime on this computer's CPU: what the result is measured by.

    Every node runs by itself as it stands (see ``open_model``), so quantized values between Q and
    DQ nodes are computed in floats.
    """

    def __init__(self, source: OnnxSource, *, tensors: Sequence[str] = ()) -> None:
        """Load the model; ModelError where ONNX Runtime refuses it.

        ``tensors`` are to be given instead of the model's outputs.
        """
        self._name = source.path.name
        try:
            self._session = open_model(
                with_outputs(source, tensors or source.output_names).SerializeToString()
                if tensors or not source.as_filed
                else str(source.path),
                folder=source.data_folder,
            )
        except Exception as error:  # its exceptions share no other base
            raise refusal(source.path.name, error) from error
        self._outputs = list(tensors or source.output_names)

    @staticmethod
    def version() -> str:
        """The reference's name and version, without importing it."""
        return f"onnxruntime {version()}"

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for the inputs, all by name; ModelError where the model cannot run."""
        try:
            results = self._session.run(self._outputs, dict(arrays))
        except ModelError:  # of an operator's reference
            raise
        except Exception as error:  # as above
            raise ModelError(
                f"{self._name} does not run in ONNX Runtime: {plain_reason(error)}."
            ) from error
        return dict(zip(self._outputs, results, strict=True))
