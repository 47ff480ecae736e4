"""Operators that neither ONNX nor ONNX Runtime knows, and that the model does not define."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.graph.references import has_reference
from deployx_edge.operator_facts import all_operators, find_operator, shown, users_operators
from deployx_edge.operator_file import FACTS_FILE, KERNEL_SUFFIX, OperatorFacts
from deployx_edge.operator_runtimes import carrying_runtimes
from deployx_edge.sources.onnx.file import OnnxSource, SourceNode

if TYPE_CHECKING:
    import onnx

_REMEDY = (
    "Or write it by standard operators (a symbolic rewriter, a local function of the model), or "
    "cut it off by --partition (docs/when-an-operator-is-missing.md)."
)


def own_facts(node: SourceNode | onnx.NodeProto) -> OperatorFacts | None:
    """The operator of our own (``ops/``) that the node is, where ONNX Runtime has none such."""
    operator = node.operator if isinstance(node, SourceNode) else node.op_type
    return None if node.domain in KNOWN_DOMAINS else find_operator(node.domain, operator)


def refuse_foreign(source: OnnxSource) -> None:
    """ModelError, naming the first such operator: without it nothing here can run the model.

    Those of our own (``ops/``) are known, with the attributes that op.toml has; a user's where
    there is a reference of it.
    """
    for node in source.nodes:
        if node.domain in KNOWN_DOMAINS:
            continue
        facts = own_facts(node)
        if facts is not None and facts.name in users_operators() and not has_reference(facts):
            raise ModelError(
                f"The operator {facts.name} of the model (node '{node.name}') has no reference.py "
                f"in {facts.folder}, so that nobody knows what is right.",
                remedy="Write what it computes as the function `reference` in reference.py "
                "(docs/adding-an-op.md).",
            )
        if facts is None:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' is "
                "not a standard ONNX operator; nobody here knows what it computes.",
                remedy=_like(node.operator) or f"{_new(node.domain, node.operator)} {_REMEDY}",
            )
        unknown = sorted(set(node.attributes) - {each.name for each in facts.attributes})
        if unknown:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' "
                f"has the attribute '{unknown[0]}', which is not in {shown(facts)}/{FACTS_FILE}; "
                "nobody here knows what it means.",
                remedy=f"Known are {', '.join(each.name for each in facts.attributes) or 'none'}.",
            )


def refuse_without_kernel(source: OnnxSource, runtime: str, native: Collection[str] = ()) -> None:
    """ModelError, naming the first operator of our own that has no kernel for the runtime.

    Those in the folders ``native`` the runtime has itself, under another name.
    """
    for node in source.nodes:
        facts = own_facts(node)
        if facts is not None and runtime not in facts.runtimes and facts.name not in native:
            raise ModelError(
                f"Operator '{node.operator}' (node '{node.name}') of the domain '{node.domain}' is "
                f"{shown(facts)}, which has no kernel for {runtime}; it has one for "
                f"{', '.join(facts.runtimes) or 'no runtime'}.",
                remedy=f"{_kernel_for(facts, runtime)} {_REMEDY}",
            )


def _kernel_for(facts: OperatorFacts, runtime: str) -> str:
    """How the runtime would get one, or which runtimes have one, where it takes none."""
    if runtime in carrying_runtimes():
        return f"Write {shown(facts)}/{runtime}{KERNEL_SUFFIX} (docs/adding-an-op.md)."
    others = " or ".join(f"--runtime {each}" for each in facts.runtimes)
    there = f" Take {others}." if others else ""
    return f"Operators of our own cannot be built for {runtime}.{there}"


def _new(domain: str, operator: str) -> str:
    """The command that makes it an operator of one's own."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operator).lower()
    title = shlex.quote(f"{domain}::{operator}")
    return f"Make it an operator of your own: deployx-edge op new {name} --operator {title}."


def _like(operator: str) -> str:
    """What to do where an operator of ours has the same name in another domain, else ""."""
    for facts in all_operators().values():
        if any(known == operator for _, known in facts.names):
            return (
                f"If it is the operator {facts.name} ({facts.title}), add its name to "
                f'"aliases" in {shown(facts)}/{FACTS_FILE}.'
            )
    return ""
