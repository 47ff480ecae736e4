"""Graph passes on ONNX: each its own file, with the pattern drawn at its head.

A pass changes a model in place and gives the number of places that it changed. It is
idempotent: on its own result it finds nothing more to do. Names of the nodes and tensors
that stay are kept, and what it adds is named after the node that it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from deployx_edge.rewriting.passes.attention_guard import drop_attention_guard
from deployx_edge.rewriting.passes.einsum import decompose_einsum

if TYPE_CHECKING:
    import onnx

# Model and shapes of its tensors in, number of changed places out.
GraphPass = Callable[["onnx.ModelProto", Mapping[str, tuple[int, ...]]], int]

# What ncnn lacks, as what it has.
NCNN_PASSES: tuple[GraphPass, ...] = (decompose_einsum, drop_attention_guard)

__all__ = ["NCNN_PASSES", "GraphPass", "decompose_einsum", "drop_attention_guard"]
