"""The graph that symbolic rewriters write their nodes into, the same for both exporters."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.rewriting.registry import RewriterContext

if TYPE_CHECKING:
    import onnx

Attribute = int | float | str | list[int] | list[float] | list[str]

# Each operator of a domain of one's own is of this version.
_CUSTOM_VERSION = 1


class NotConstant:
    """What ``Graph.constant`` gives for a tensor that is computed."""


class Graph(ABC):
    """Takes nodes.

    ``context`` tells of the export. Tensors in it are the exporter's own objects: they are good
    for being handed to ``op`` and given back, nothing else.
    """

    def __init__(self, context: RewriterContext, opset: int) -> None:
        self.context = context
        self._opset = opset

    def op(self, operator: str, *tensors: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node; its output, or the tuple of them where there are several.

        ``operator`` is one of ONNX ("Conv") or of a domain of one's own ("deployx::MyOp", in
        version 1). Inputs are tensors of the graph, torch tensors as constants, or None where
        an operator may go without. Attributes are numbers, strings, or lists of these; those
        of ONNX's operators are checked and made floats where they have to be. UsageError for
        what cannot be written.
        """
        domain, _, name = operator.rpartition("::")
        schema = _schema(name, self._opset) if domain in ("", "onnx") else None
        inputs = list(tensors)
        while inputs and inputs[-1] is None:
            inputs.pop()
        for position, value in enumerate(inputs):
            if value is not None and not self.holds(value) and not _is_torch_tensor(value):
                raise UsageError(
                    f"Input {position} of the node '{operator}' is {value!r}, not a tensor.",
                    remedy="Give numbers as attributes, or as torch.tensor(...) for a constant.",
                )
        made = self._node(
            "" if schema is not None else domain,
            name,
            inputs,
            _attributes(operator, schema, attributes),
            outputs,
        )
        return made[0] if outputs == 1 else tuple(made)

    @abstractmethod
    def holds(self, value: Any) -> bool:
        """Whether ``value`` is a tensor of the graph."""

    @abstractmethod
    def constant(self, value: Any) -> Any:
        """What a tensor of the graph is known to be, in Python's terms, or a NotConstant."""

    @abstractmethod
    def _node(
        self,
        domain: str,
        name: str,
        inputs: Sequence[Any],
        attributes: Mapping[str, Attribute],
        outputs: int,
    ) -> Sequence[Any]: ...


class TorchScriptGraph(Graph):
    """The graph of the exporter by TorchScript."""

    def __init__(self, context: RewriterContext, graph: Any) -> None:
        super().__init__(context, graph.opset)
        self._graph = graph

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is a tensor of the graph."""
        import torch

        return isinstance(value, torch._C.Value)

    def constant(self, value: Any) -> Any:
        """What a tensor of the graph is known to be, in Python's terms, or a NotConstant."""
        node = value.node()
        if node.mustBeNone():
            return None
        if node.kind() == "prim::Constant":
            return value.toIValue()
        if node.kind() == "prim::ListConstruct":
            items = [self.constant(item) for item in node.inputs()]
            return NotConstant() if any(isinstance(i, NotConstant) for i in items) else items
        if node.kind() != "onnx::Constant":
            return NotConstant()
        if node.kindOf("value") == "s":
            return node.s("value")
        # Numbers and lists of numbers have become tensors by now.
        tensor = node.t("value")
        return tensor.tolist() if tensor.dim() <= 1 else NotConstant()

    def _node(
        self,
        domain: str,
        name: str,
        inputs: Sequence[Any],
        attributes: Mapping[str, Attribute],
        outputs: int,
    ) -> Sequence[Any]:
        # torch wants the type at the end of an attribute's name, a list's being that of its items.
        typed = {f"{key}_{type_letter(value)}": value for key, value in attributes.items()}
        given = [self._input(value) for value in inputs]
        made = self._graph.op(f"{domain or 'onnx'}::{name}", *given, outputs=outputs, **typed)
        return [made] if outputs == 1 else list(made)

    def _input(self, value: Any) -> Any:
        import torch

        if isinstance(value, torch.Tensor):  # torch itself would make it a scalar
            return self._graph.op("onnx::Constant", value_t=value)
        if value is not None:
            return value
        absent = self._graph.op("prim::Constant")
        absent.setType(torch._C.OptionalType.ofTensor())
        return absent


class DynamoGraph(Graph):
    """The graph of the exporter by torch.export, where it asks for the nodes of one operator."""

    def __init__(self, context: RewriterContext) -> None:
        from onnxscript import evaluator

        # While torch translates an operator, this is what takes down the nodes.
        recorder: Any = evaluator.default()
        super().__init__(context, recorder.opset.version)
        self._recorder = recorder

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is a tensor of the graph."""
        from onnxscript import ir

        return isinstance(value, ir.Value)

    def constant(self, value: Any) -> Any:
        """What a tensor of the graph is known to be: torch.export hands numbers as such."""
        return NotConstant()

    def _node(
        self,
        domain: str,
        name: str,
        inputs: Sequence[Any],
        attributes: Mapping[str, Attribute],
        outputs: int,
    ) -> Sequence[Any]:
        from onnxscript import ir

        node = ir.node(
            name,
            [self._constant(value) if _is_torch_tensor(value) else value for value in inputs],
            attributes,
            domain=domain,
            num_outputs=outputs,
            version=_CUSTOM_VERSION if domain else None,
        )
        self._recorder.nodes.append(node)
        return node.outputs

    def _constant(self, tensor: Any) -> Any:
        from onnxscript import ir

        node = ir.node("Constant", [], {"value": ir.tensor(tensor.detach().cpu().numpy())})
        self._recorder.nodes.append(node)
        return node.outputs[0]


def _is_torch_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _schema(name: str, opset: int) -> onnx.defs.OpSchema:
    import onnx

    try:
        return onnx.defs.get_schema(name, opset, "")
    except onnx.defs.SchemaError:
        known = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
        near = difflib.get_close_matches(name, sorted(known), n=1)
        raise UsageError(
            f"ONNX has no operator '{name}' in opset {opset}.",
            remedy=(f"Did you mean {near[0]}? " if near else "")
            + f"An operator of your own has a domain: deployx::{name}.",
        ) from None


def _attributes(
    operator: str, schema: onnx.defs.OpSchema | None, given: Mapping[str, Any]
) -> dict[str, Attribute]:
    """The attributes as ONNX has them: no bool, lists of one type, floats where it wants these."""
    made: dict[str, Attribute] = {}
    for key, value in given.items():
        if value is None:
            continue
        if schema is not None and key not in schema.attributes:
            raise UsageError(
                f"ONNX's operator '{operator}' has no attribute '{key}'.",
                remedy=f"It has {', '.join(schema.attributes) or 'none'}.",
            )
        floats = schema is not None and _wants_floats(schema, key)
        made[key] = attribute_value(f"'{key}' of the node '{operator}'", value, floats=floats)
    return made


def _wants_floats(schema: onnx.defs.OpSchema, key: str) -> bool:
    kinds = type(schema).AttrType
    return schema.attributes[key].type in (kinds.FLOAT, kinds.FLOATS)


def attribute_value(what: str, value: Any, *, floats: bool) -> Attribute:
    """A value as ONNX holds it, numbers as floats where asked; UsageError where it cannot."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int)):
        return float(value) if floats else int(value)
    if isinstance(value, float):
        return value
    items = list(value) if isinstance(value, (list, tuple)) else []
    if items and all(isinstance(item, str) for item in items):
        return items
    if items and all(isinstance(item, (bool, int, float)) for item in items):
        if floats or any(isinstance(item, float) for item in items):
            return [float(item) for item in items]
        return [int(item) for item in items]
    raise UsageError(
        f"The attribute {what} is {value!r}, which ONNX cannot hold.",
        remedy="Attributes are numbers, strings, or lists of either that are not empty.",
    )


def type_letter(value: Attribute) -> str:
    """The letter by which TorchScript's exporter knows an attribute's type."""
    first = value[0] if isinstance(value, list) else value
    if isinstance(first, str):
        return "s"
    return "f" if isinstance(first, float) else "i"
