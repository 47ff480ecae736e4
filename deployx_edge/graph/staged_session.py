"""Models with operators that ONNX Runtime lacks: it runs the rest, their references the operators.

    inputs ── ONNX Runtime ──▶ reference ──▶ ONNX Runtime ──▶ outputs

An operator's ``reference.py`` is what the operator is by definition, so that a kernel that is
wrong differs from it. A branch or a loop with such an operator is gone through body by body.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError
from deployx_edge.graph.bodies import can_go_through, go_through
from deployx_edge.graph.references import find_reference, has_reference, run_reference
from deployx_edge.graph.subgraphs import graphs_in, nodes_within, read_outside, tensors_read
from deployx_edge.operator_facts import find_operator, operators_by_reference
from deployx_edge.operator_file import OperatorFacts

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    # Opens a model for ONNX Runtime.
    Open = Callable[[onnx.ModelProto], Any]


def nodes_by_reference(model: onnx.ModelProto, kept: Collection[str]) -> set[int]:
    """The places of the nodes that references are to run: of ``operators_by_reference`` that have
    one, and branches and loops with such. Domains in ``kept`` are ONNX Runtime's own."""
    return {
        place
        for place, node in enumerate(model.graph.node)
        if _is_by_reference(node, kept) or (can_go_through(node, model) and _holds(node, kept))
    }


def _holds(node: onnx.NodeProto, kept: Collection[str]) -> bool:
    return any(
        _is_by_reference(inner, kept)
        for body in graphs_in(node)
        for inner in nodes_within(body.node)
    )


def _is_by_reference(node: onnx.NodeProto, kept: Collection[str]) -> bool:
    if node.domain in kept:
        return False
    facts = find_operator(node.domain, node.op_type)
    return facts is not None and facts.name in operators_by_reference() and has_reference(facts)


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Nodes that ONNX Runtime runs, or one node that a reference does (``facts``), or that holds
    graphs which are gone through (``has_bodies``)."""

    nodes: tuple[onnx.NodeProto, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    facts: OperatorFacts | None = None
    reference: Callable[..., Any] | None = None
    has_bodies: bool = False


class StagedSession:
    """Runs like a session of ONNX Runtime; its parts are opened when their inputs' types are
    known, as nobody can infer what comes after an operator that ONNX does not have."""

    def __init__(
        self,
        model: onnx.ModelProto,
        strangers: Collection[int],
        open: Open,
        *,
        folder: Path | None = None,
    ) -> None:
        """``strangers`` are the places of the nodes that references run; ``folder`` holds external
        data."""
        self._model = model
        self._open = open
        self._folder = folder
        self._tensors = {tensor.name: tensor for tensor in model.graph.initializer}
        self._constants: dict[str, NDArray[Any]] = {}
        self._sessions: dict[tuple[Any, ...], Any] = {}
        self._stages = _stages_of(model, strangers)

    def get_inputs(self) -> list[Any]:
        """With their names."""
        return [value for value in self._model.graph.input if value.name not in self._tensors]

    def get_outputs(self) -> list[Any]:
        """With their names."""
        return list(self._model.graph.output)

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, Any]) -> list[Any]:
        """The outputs of those names, all for None; whatever ONNX Runtime raises passes."""
        wanted = names or [value.name for value in self._model.graph.output]
        held: dict[str, Any] = dict(feeds)
        for stage in self._stages:
            if stage.has_bodies:
                held.update(self._go_through(stage.nodes[0], held))
            elif stage.facts is None:
                held.update(self._run_here(stage, held))
            else:
                held.update(self._run_reference(stage, stage.nodes[0], held))
        return [held[name] if name in held else self._constant(name) for name in wanted]

    def _run_here(self, stage: _Stage, held: Mapping[str, Any]) -> dict[str, Any]:
        feeds = {name: held[name] for name in stage.reads if name in held}
        key = (stage.makes, *((name, _type_of(name, array)) for name, array in feeds.items()))
        if key not in self._sessions:
            self._sessions[key] = self._open(self._part(stage, feeds))
        return dict(zip(stage.makes, self._sessions[key].run(stage.makes, feeds), strict=True))

    def _run_reference(
        self, stage: _Stage, node: onnx.NodeProto, held: Mapping[str, Any]
    ) -> dict[str, Any]:
        assert stage.facts is not None and stage.reference is not None
        inputs = [self._value(name, held) if name else None for name in node.input]
        arrays = run_reference(stage.facts, stage.reference, inputs, _attributes(node))
        made = zip(node.output, arrays, strict=False)  # a node may leave outputs out
        return {name: array for name, array in made if name}

    def _go_through(self, node: onnx.NodeProto, held: Mapping[str, Any]) -> dict[str, Any]:
        inputs = [self._value(name, held) if name else None for name in node.input]
        bodies = _attributes(node)

        def run(attribute: str, arrays: Sequence[NDArray[Any]]) -> list[Any]:
            body = bodies[attribute]
            around = {n: held[n] for n in read_outside(body) if n in held}
            own = [value.name for value in body.input]
            feeds = {**around, **dict(zip(own, arrays, strict=True))}
            outputs = [value.name for value in body.output]
            types = ((name, _type_of(name, array)) for name, array in feeds.items())
            key = (node.output[0], attribute, *types)
            if key not in self._sessions:
                self._sessions[key] = self._open(self._body(body, feeds))
            made: list[Any] = self._sessions[key].run(outputs, feeds)
            return made

        made = zip(node.output, go_through(node, inputs, run), strict=False)
        return {name: array for name, array in made if name}

    def _body(self, body: onnx.GraphProto, feeds: Mapping[str, Any]) -> onnx.ModelProto:
        """A body as a model of its own, which is given what it reads of what is around it."""
        part = self._empty()
        part.graph.CopyFrom(body)
        part.graph.name = part.graph.name or "body"
        del part.graph.input[:]
        part.graph.input.extend(_value_info(name, array) for name, array in feeds.items())
        self._add_constants(part, set(read_outside(body)))
        return part

    def _value(self, name: str, held: Mapping[str, Any]) -> Any:
        return held[name] if name in held else self._constant(name)

    def _constant(self, name: str) -> NDArray[Any]:
        from onnx import numpy_helper

        if name not in self._constants:
            if name not in self._tensors:
                raise ModelError(f"Nothing makes the tensor '{name}'.")
            base = "" if self._folder is None else str(self._folder)
            self._constants[name] = numpy_helper.to_array(self._tensors[name], base)
        return self._constants[name]

    def _part(self, stage: _Stage, feeds: Mapping[str, Any]) -> onnx.ModelProto:
        import onnx

        part = self._empty()
        part.graph.name = "part"
        part.graph.node.extend(stage.nodes)
        known = {value.name: value for value in self._model.graph.input}
        part.graph.input.extend(
            known[name] if name in known else _value_info(name, array)
            for name, array in feeds.items()
        )
        self._add_constants(part, {name for node in stage.nodes for name in tensors_read(node)})
        part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in stage.makes)
        return part

    def _empty(self) -> onnx.ModelProto:
        import onnx

        part = onnx.ModelProto(ir_version=self._model.ir_version)
        part.opset_import.extend(self._model.opset_import)
        part.functions.extend(self._model.functions)
        return part

    def _add_constants(self, part: onnx.ModelProto, names: Collection[str]) -> None:
        graph = self._model.graph
        part.graph.initializer.extend(t for t in graph.initializer if t.name in names)
        part.graph.sparse_initializer.extend(
            t for t in graph.sparse_initializer if t.values.name in names
        )


def _value_info(name: str, array: Any) -> onnx.ValueInfoProto:
    from onnx import helper

    _type_of(name, array)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, None)


def _type_of(name: str, array: Any) -> str:
    """ModelError for a sequence, which nothing but ONNX Runtime has."""
    if not hasattr(array, "dtype"):
        raise ModelError(
            f"The tensor '{name}' is a sequence, which stands between the references of operators.",
            remedy="Export the model with tensors there.",
        )
    return str(array.dtype)


def _stages_of(model: onnx.ModelProto, strangers: Collection[int]) -> list[_Stage]:
    """Cut at each stranger; a stage makes what later ones or the model's outputs read."""
    groups: list[list[onnx.NodeProto]] = [[]]
    alone: set[int] = set()  # of the groups
    for place, node in enumerate(model.graph.node):
        if place in strangers:
            alone.add(len(groups))
            groups += [[node], []]
        else:
            groups[-1].append(node)
    reads = [{name for node in group for name in tensors_read(node)} for group in groups]
    outputs = {value.name for value in model.graph.output}
    stages = []
    for place, group in enumerate(groups):
        own = [name for node in group for name in node.output if name]
        later = outputs.union(*reads[place + 1 :])
        has_bodies = place in alone and bool(graphs_in(group[0]))
        is_operator = place in alone and not has_bodies
        facts = find_operator(group[0].domain, group[0].op_type) if is_operator else None
        stages.append(
            _Stage(
                nodes=tuple(group),
                reads=tuple(sorted(reads[place] - set(own))),
                makes=tuple(name for name in own if name in later),
                facts=facts,
                reference=None if facts is None else find_reference(facts),
                has_bodies=has_bodies,
            )
        )
    return [stage for stage in stages if stage.makes]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {name: v.decode() if isinstance(v, bytes) else v for name, v in found.items()}
