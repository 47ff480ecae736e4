"""int8 for the HTP: PPQ's nodes, placed as its kernels want them."""

from __future__ import annotations

from deployx_edge.quantization.values import NodeForm
from deployx_edge.runtimes.onnx_quantizer import OnnxQuantizer
from deployx_edge.runtimes.qnn.converter import QnnConverter
from deployx_edge.runtimes.qnn.rewriting import CUTTING

# It computes with uint8. Its fully connected layers have one scale for all weights, and only what
# cuts values off may lie between a layer and the pair that follows it (see ``rewriting``).
_FORM = NodeForm(fused=CUTTING, per_output=("Conv", "ConvTranspose"), unsigned=True, widest=16)


class QnnQuantizer(OnnxQuantizer):
    """``Quantizer`` for QNN."""

    def __init__(self) -> None:
        super().__init__(QnnConverter(), _FORM)
