"""Graph passes on ONNX: each its own file, with the pattern drawn at its head.

A pass changes a model in place and gives the number of places that it changed. It is
idempotent: on its own result it finds nothing more to do. Names of the nodes and tensors
that stay are kept, and what it adds is named after the node that it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.graph.passes.attention import fuse_attention
from deployx_edge.graph.passes.attention_guard import drop_attention_guard
from deployx_edge.graph.passes.einsum import decompose_einsum
from deployx_edge.graph.passes.gelu import fuse_gelu
from deployx_edge.graph.passes.group_norm import fuse_group_norm
from deployx_edge.graph.passes.hard_sigmoid import fuse_hard_sigmoid
from deployx_edge.graph.passes.hard_swish import fuse_hard_swish
from deployx_edge.graph.passes.layer_norm import fuse_layer_norm
from deployx_edge.graph.passes.matching import replaced_tensors
from deployx_edge.graph.passes.mish import fuse_mish
from deployx_edge.graph.passes.response_norm import fuse_response_norm
from deployx_edge.graph.passes.rms_norm import fuse_rms_norm
from deployx_edge.graph.passes.strided_slices import join_strided_slices
from deployx_edge.graph.passes.suppression import fix_suppressions
from deployx_edge.graph.passes.swish import fuse_swish

if TYPE_CHECKING:
    import onnx

# Model and shapes of its tensors in, number of changed places out; the shapes of new tensors
# are entered.
GraphPass = Callable[["onnx.ModelProto", dict[str, tuple[int, ...]]], int]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A pass and its name, by which ``inspect`` says what it did."""

    name: str
    apply: GraphPass

    def __call__(self, model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> int:
        """Change the model; see ``GraphPass``."""
        return self.apply(model, shapes)


# What ncnn lacks, or is slow with, as what it has.
NCNN_PASSES = (
    Pass(name="einsum", apply=decompose_einsum),
    Pass(name="attention_guard", apply=drop_attention_guard),
    Pass(name="strided_slices", apply=join_strided_slices),
    Pass(name="suppression", apply=fix_suppressions),
)

# What ncnn has as one layer. They stand behind all else: what they make may be newer than the
# model's opset, which only the shapes' inference and ONNX Runtime would mind.
NCNN_FUSIONS = (
    Pass(name="layer_norm", apply=fuse_layer_norm),
    Pass(name="rms_norm", apply=fuse_rms_norm),
    Pass(name="group_norm", apply=fuse_group_norm),
    Pass(name="response_norm", apply=fuse_response_norm),
    Pass(name="gelu", apply=fuse_gelu),
    Pass(name="hard_swish", apply=fuse_hard_swish),
    Pass(name="hard_sigmoid", apply=fuse_hard_sigmoid),
    Pass(name="swish", apply=fuse_swish),
    Pass(name="mish", apply=fuse_mish),
    Pass(name="attention", apply=fuse_attention),
)


def widened(model: onnx.ModelProto, tensors: Collection[str]) -> frozenset[str]:
    """The tensors, and the result of an Attention that took one of them in.

    Its layer keeps the scores in the precision that it stores; all other fused layers
    compute what they took in as fp32, or with nothing larger than their input.
    """
    attentions = {
        name for node in model.graph.node if node.op_type == "Attention" for name in node.output
    }
    taken = replaced_tensors(model)
    results = {result for name, result in taken.items() if name in tensors}
    return frozenset({*tensors, *(results & attentions)})


__all__ = [
    "NCNN_FUSIONS",
    "NCNN_PASSES",
    "GraphPass",
    "Pass",
    "decompose_einsum",
    "drop_attention_guard",
    "fix_suppressions",
    "fuse_attention",
    "fuse_gelu",
    "fuse_group_norm",
    "fuse_hard_sigmoid",
    "fuse_hard_swish",
    "fuse_layer_norm",
    "fuse_mish",
    "fuse_response_norm",
    "fuse_rms_norm",
    "fuse_swish",
    "join_strided_slices",
    "widened",
]
