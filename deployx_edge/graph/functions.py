"""Local functions of a model, written out where they are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.graph.links import OWN_DOMAINS
from deployx_edge.graph.subgraphs import nodes_within
from deployx_edge.operator_facts import find_operator

if TYPE_CHECKING:
    import onnx

    Key = tuple[str, str, str]


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions; itself where it has none.

    ``onnx.inliner`` does it. It loses an attribute that a call leaves at the function's default,
    so these are written into the calls first; and it leaves functions of another opset, of which
    those were refused that mean something else (``refuse_mixed_opsets``).
    """
    import onnx.inliner

    if not model.functions:
        return model
    _write_defaults(model)
    versions = {entry.domain: entry.version for entry in model.opset_import}
    for function in model.functions:
        for entry in function.opset_import:
            entry.version = versions.get(entry.domain, entry.version)
    inlined: onnx.ModelProto = onnx.inliner.inline_local_functions(model)
    return inlined


def holds_own_operators(model: onnx.ModelProto) -> bool:
    """Whether a function that is called holds an operator of our own, or a user's.

    ONNX Runtime infers no types behind such a call, and no reference gets into it.
    """
    defined = {(function.domain, function.name) for function in model.functions}
    return any(
        node.domain not in KNOWN_DOMAINS
        and (node.domain, node.op_type) not in defined
        and find_operator(node.domain, node.op_type) is not None
        for function in called_functions(model)
        for node in nodes_within(function.node)
    )


def refuse_mixed_opsets(model: onnx.ModelProto, name: str) -> None:
    """ModelError where a function that is called means other operators than the model does.

    A function has an opset of its own. ONNX Runtime and ``onnx.inliner`` read its nodes by the
    model's, so that for instance a Softmax of opset 11 is computed as one of opset 13.
    """
    import onnx

    if not model.functions:
        return
    outer = _opset(model.opset_import)
    for function in called_functions(model):
        inner = _opset(function.opset_import)
        if inner is None or outer is None or inner == outer:
            continue
        for node in nodes_within(function.node):
            if node.domain not in OWN_DOMAINS or not onnx.defs.has(node.op_type, domain=""):
                continue
            if _schema_version(node.op_type, inner) != _schema_version(node.op_type, outer):
                raise ModelError(
                    f"The function '{function.name}' of {name} is written for opset {inner}, the "
                    f"model for {outer}; '{node.op_type}' is not the same in both, and runtimes "
                    "know one opset a model.",
                    remedy="Export it again with one opset.",
                )


def called_functions(model: onnx.ModelProto) -> list[onnx.FunctionProto]:
    """The functions that are called from the graph, or from one that is."""
    functions = {_key(function): function for function in model.functions}
    found: dict[Key, onnx.FunctionProto] = {}
    waiting = list(_calls(model.graph.node, functions))
    while waiting:
        key = _called(waiting.pop())
        if key not in found:
            found[key] = functions[key]
            waiting.extend(_calls(functions[key].node, functions))
    return list(found.values())


def _write_defaults(model: onnx.ModelProto) -> None:
    """Give every call the defaults that it leaves out.

    An attribute without a default that is left out is left out within the function too. There
    it may have been passed on to another call, whose own default then counts: so such a call
    gets a function of its own without that attribute.
    """
    functions = {_key(function): function for function in model.functions}
    done: set[Key] = set()
    waiting: list[Sequence[onnx.NodeProto]] = [model.graph.node]
    while waiting:
        for node in _calls(waiting.pop(), functions):
            function = functions[_called(node)]
            given = {entry.name for entry in node.attribute}
            node.attribute.extend(a for a in function.attribute_proto if a.name not in given)
            missing = sorted(name for name in function.attribute if name not in given)
            if missing:
                node.op_type = f"{function.name}_without_{'_'.join(missing)}"
                if _called(node) not in functions:
                    made = model.functions.add()
                    made.CopyFrom(function)
                    made.name = node.op_type
                    _drop_attributes(made, missing)
                    functions[_called(node)] = made
            if _called(node) not in done:
                done.add(_called(node))
                waiting.append(functions[_called(node)].node)


def _drop_attributes(function: onnx.FunctionProto, names: Sequence[str]) -> None:
    kept = [name for name in function.attribute if name not in names]
    del function.attribute[:]
    function.attribute.extend(kept)
    for node in nodes_within(function.node):
        entries = [entry for entry in node.attribute if entry.ref_attr_name not in names]
        del node.attribute[:]
        node.attribute.extend(entries)


def _calls(
    nodes: Sequence[onnx.NodeProto], functions: dict[Key, onnx.FunctionProto]
) -> Iterator[onnx.NodeProto]:
    return (node for node in nodes_within(nodes) if _called(node) in functions)


def _key(function: onnx.FunctionProto) -> Key:
    return function.domain, function.name, function.overload


def _called(node: onnx.NodeProto) -> Key:
    return node.domain, node.op_type, node.overload


def _opset(imports: Sequence[onnx.OperatorSetIdProto]) -> int | None:
    return next((entry.version for entry in imports if entry.domain in OWN_DOMAINS), None)


def _schema_version(operator: str, opset: int) -> int:
    import onnx

    try:
        return int(onnx.defs.get_schema(operator, opset, "").since_version)
    except onnx.defs.SchemaError:  # the operator is not that old
        return 0
