"""Operators that neither ONNX nor ONNX Runtime knows, and that the model does not define."""

from __future__ import annotations

from deployx_edge.errors import ModelError
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.sources.onnx.file import OnnxSource


def refuse_foreign(source: OnnxSource) -> None:
    """ModelError, naming the first such operator: without it nothing here can run the model."""
    for node in source.nodes:
        if node.domain not in KNOWN_DOMAINS:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' is "
                "not a standard ONNX operator; nobody here knows what it computes.",
                remedy="Write it as standard operators by a symbolic rewriter, as a local function "
                "of the model, or cut it off by --partition (docs/when-an-operator-is-missing.md).",
            )
