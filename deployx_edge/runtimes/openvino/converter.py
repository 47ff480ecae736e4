"""OpenVINO's files: the canonical model, with a word for its worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deployx_edge.runtimes.converter import KeptFloat
from deployx_edge.runtimes.onnx_converter import OnnxConverter
from deployx_edge.runtimes.openvino import wheel
from deployx_edge.runtimes.openvino.rewriting import rewrite
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor

if TYPE_CHECKING:
    import onnx

# In the model's metadata, for the worker: these layers must not run in half floats. OpenVINO has
# one precision for a whole model, so all of it then runs in fp32.
KEPT_FLOAT = "deployx.kept_float"


class OpenvinoConverter(OnnxConverter):
    """``Converter`` for OpenVINO."""

    def __init__(self) -> None:
        super().__init__(__package__.rpartition(".")[2], halves_fp32=True)

    def check(self, source: OnnxSource) -> None:
        """Raise ModelError for an operator that OpenVINO does not have."""
        super().check(source)
        model = simplified(source)
        rewrite(model)
        wheel.read(source.path.name, model.SerializeToString())

    def adapt(
        self, model: onnx.ModelProto, kept: Sequence[KeptFloat], inputs: Sequence[SourceTensor]
    ) -> None:
        """See ``OnnxConverter``."""
        rewrite(model)
        if kept:
            names = ", ".join(item.layer for item in kept)
            model.metadata_props.add(key=KEPT_FLOAT, value=names)
