"""Operators that neither ONNX nor ONNX Runtime knows, and that the model does not define."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.operator_facts import FACTS_FILE, OperatorFacts, all_operators, find_operator
from deployx_edge.sources.onnx.file import OnnxSource, SourceNode

if TYPE_CHECKING:
    import onnx

_REMEDY = (
    "Write it as standard operators by a symbolic rewriter, as a local function of the model, or "
    "cut it off by --partition (docs/when-an-operator-is-missing.md)."
)


def own_facts(node: SourceNode | onnx.NodeProto) -> OperatorFacts | None:
    """The operator of our own (``ops/``) that the node is, where ONNX Runtime has none such."""
    operator = node.operator if isinstance(node, SourceNode) else node.op_type
    return None if node.domain in KNOWN_DOMAINS else find_operator(node.domain, operator)


def refuse_foreign(source: OnnxSource) -> None:
    """ModelError, naming the first such operator: without it nothing here can run the model.

    Those of our own (``ops/``) are known, with the attributes that op.toml has.
    """
    for node in source.nodes:
        if node.domain in KNOWN_DOMAINS:
            continue
        facts = own_facts(node)
        if facts is None:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' is "
                "not a standard ONNX operator; nobody here knows what it computes.",
                remedy=_like(node.operator) or _REMEDY,
            )
        unknown = sorted(set(node.attributes) - {each.name for each in facts.attributes})
        if unknown:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' "
                f"has the attribute '{unknown[0]}', which is not in ops/{facts.name}/{FACTS_FILE}; "
                "nobody here knows what it means.",
                remedy=f"Known are {', '.join(each.name for each in facts.attributes) or 'none'}.",
            )


def refuse_without_kernel(source: OnnxSource, runtime: str) -> None:
    """ModelError, naming the first operator of our own that has no kernel for the runtime."""
    for node in source.nodes:
        facts = own_facts(node)
        if facts is not None and runtime not in facts.runtimes:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' is "
                f"ops/{facts.name}, which has no kernel for {runtime}; it has one for "
                f"{', '.join(facts.runtimes) or 'no runtime'}.",
                remedy=_REMEDY,
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
