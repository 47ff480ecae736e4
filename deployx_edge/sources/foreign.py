"""Operators that neither ONNX nor ONNX Runtime knows, and that the model does not define."""

from __future__ import annotations

from deployx_edge.errors import ModelError
from deployx_edge.sources.onnx_file import DEFAULT_DOMAINS, OnnxSource

# Of ONNX Runtime's own operators some are in every build.
_KNOWN = (
    *DEFAULT_DOMAINS,
    "ai.onnx.ml",
    "ai.onnx.preview.training",
    "ai.onnx.training",
    "com.microsoft",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
)


def refuse_foreign(source: OnnxSource) -> None:
    """ModelError, naming the first such operator: without it nothing here can run the model."""
    for node in source.nodes:
        if node.domain not in _KNOWN:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' is "
                "not a standard ONNX operator; nobody here knows what it computes.",
                remedy="Write it as standard operators by a symbolic rewriter, as a local function "
                "of the model, or cut it off by --partition (docs/when-an-operator-is-missing.md).",
            )
