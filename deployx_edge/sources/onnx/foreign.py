"""Operators that neither ONNX nor ONNX Runtime knows, and that the model does not define."""

from __future__ import annotations

from deployx_edge.errors import ModelError
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.operator_facts import FACTS_FILE, all_operators, find_operator
from deployx_edge.sources.onnx.file import OnnxSource

_REMEDY = (
    "Write it as standard operators by a symbolic rewriter, as a local function of the model, or "
    "cut it off by --partition (docs/when-an-operator-is-missing.md)."
)


def refuse_foreign(source: OnnxSource) -> None:
    """ModelError, naming the first such operator: without it nothing here can run the model.

    Those of our own (``ops/``) are known.
    """
    for node in source.nodes:
        if node.domain not in KNOWN_DOMAINS and find_operator(node.domain, node.operator) is None:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' is "
                "not a standard ONNX operator; nobody here knows what it computes.",
                remedy=_like(node.operator) or _REMEDY,
            )


def _like(operator: str) -> str:
    """What to do where an operator of ours has the same name in another domain, else ""."""
    for facts in all_operators().values():
        if any(known == operator for _, known in facts.names):
            return (
                f"If it is the operator of ops/{facts.name} ({facts.title}), add its name to "
                f'"aliases" in ops/{facts.name}/{FACTS_FILE}.'
            )
    return ""
