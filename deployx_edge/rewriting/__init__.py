"""Changes to a model on its way to a runtime that leave what it computes as it is.

Rewriters change how a PyTorch model is exported, marks name places in it, and passes
(``rewriting.passes``) change ONNX. Nothing here imports torch until a model is exported.
"""

from deployx_edge.rewriting.context import RewriterUse, Rewriting, rewriting
from deployx_edge.rewriting.functions import FunctionContext
from deployx_edge.rewriting.graphs import Graph
from deployx_edge.rewriting.loading import load_rewriters
from deployx_edge.rewriting.marks import mark
from deployx_edge.rewriting.registry import (
    DEFAULT,
    Registry,
    RewriterContext,
    RewriteRequest,
)

function_rewriter = DEFAULT.function_rewriter
module_rewriter = DEFAULT.module_rewriter
symbolic_rewriter = DEFAULT.symbolic_rewriter

__all__ = [
    "FunctionContext",
    "Graph",
    "Registry",
    "RewriteRequest",
    "RewriterContext",
    "RewriterUse",
    "Rewriting",
    "function_rewriter",
    "load_rewriters",
    "mark",
    "module_rewriter",
    "rewriting",
    "symbolic_rewriter",
]
