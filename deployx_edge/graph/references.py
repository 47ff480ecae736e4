"""Models with operators that ONNX Runtime lacks: it runs the rest, their references the operators.

    inputs ── ONNX Runtime ──▶ reference ──▶ ONNX Runtime ──▶ outputs

An operator's ``reference.py`` is what the operator is by definition, so that a kernel that is
wrong differs from it. Operators within the graphs that nodes hold are not looked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.subgraphs import tensors_read
from deployx_edge.operator_facts import OperatorFacts, PortFact, find_operator, users_operators

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

    # Opens a model for ONNX Runtime.
    Open = Callable[[onnx.ModelProto], Any]

_FILE = "reference.py"
_FUNCTION = "reference"
_TYPED = ("float32", "int64", "int32", "bool")


def has_reference(facts: OperatorFacts) -> bool:
    """Whether the operator's folder holds one."""
    return (facts.folder / _FILE).is_file()


def find_reference(facts: OperatorFacts) -> Callable[..., Any] | None:
    """The function ``reference`` of the operator's ``reference.py``; None where there is none.

    UsageError for a file that cannot be loaded.
    """
    if not has_reference(facts):
        return None
    found = getattr(load_file(facts.folder / _FILE), _FUNCTION, None)
    return found if callable(found) else None


def load_file(path: Path) -> ModuleType:
    """A Python file of an operator's folder, by its path."""
    name = f"deployx_operator_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises
        raise UsageError(f"{path} cannot be loaded: {type(error).__name__}: {error}.") from error
    return module


def run_reference(
    facts: OperatorFacts,
    function: Callable[..., Any],
    inputs: Sequence[NDArray[Any] | None],
    attributes: Mapping[str, Any],
) -> tuple[Any, ...]:
    """What it makes of a node's inputs in their order, and of those attributes that are said.

    ModelError where it raises, or gives another number of arrays than ``op.toml`` says.
    """
    defaults = {each.name: each.default for each in facts.attributes}
    missing = [None] * (len(facts.inputs) - len(inputs))
    try:
        made = function(*inputs, *missing, **{**defaults, **attributes})
    except Exception as error:  # whatever a user's function raises
        raise ModelError(
            f"The reference of the operator {facts.name} ({facts.folder / _FILE}) fails: "
            f"{type(error).__name__}: {error}."
        ) from error
    arrays = made if isinstance(made, tuple) else (made,)
    if len(arrays) != len(facts.outputs):
        raise ModelError(
            f"The reference of the operator {facts.name} ({facts.folder / _FILE}) gives "
            f"{len(arrays)} outputs, op.toml names {len(facts.outputs)}."
        )
    return arrays


def nodes_by_reference(model: onnx.ModelProto, kept: Collection[str]) -> set[int]:
    """The places of the nodes that references are to run: of all operators of a user's that have
    one. Domains in ``kept`` are ONNX Runtime's own."""
    return {
        place
        for place, node in enumerate(model.graph.node)
        if node.domain not in kept and _is_users(find_operator(node.domain, node.op_type))
    }


def _is_users(facts: OperatorFacts | None) -> bool:
    return facts is not None and facts.name in users_operators() and has_reference(facts)


@dataclass(frozen=True, kw_only=True)
class _Stage:
    """Nodes that ONNX Runtime runs, or one node that a reference does."""

    nodes: tuple[onnx.NodeProto, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    facts: OperatorFacts | None = None
    reference: Callable[..., Any] | None = None


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
            if stage.facts is None:
                held.update(self._run_here(stage, held))
            else:
                (node,) = stage.nodes
                held.update(self._run_reference(stage, node, held))
        return [held[name] if name in held else self._constant(name) for name in wanted]

    def _run_here(self, stage: _Stage, held: Mapping[str, Any]) -> dict[str, Any]:
        feeds = {name: held[name] for name in stage.reads if name in held}
        key = (stage.makes, *((name, str(array.dtype)) for name, array in feeds.items()))
        if key not in self._sessions:
            self._sessions[key] = self._open(self._part(stage, feeds))
        return dict(zip(stage.makes, self._sessions[key].run(stage.makes, feeds), strict=True))

    def _run_reference(
        self, stage: _Stage, node: onnx.NodeProto, held: Mapping[str, Any]
    ) -> dict[str, Any]:
        import numpy as np

        assert stage.facts is not None and stage.reference is not None
        inputs = [
            None if not name else held[name] if name in held else self._constant(name)
            for name in node.input
        ]
        arrays = run_reference(stage.facts, stage.reference, inputs, _attributes(node))
        types = [_dtype(port, stage.facts.inputs, inputs) for port in stage.facts.outputs]
        made = zip(node.output, arrays, types, strict=False)  # a node may leave outputs out
        return {name: np.asarray(array, dtype=type) for name, array, type in made if name}

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
        from onnx import helper

        whole = self._model
        part = onnx.ModelProto(ir_version=whole.ir_version)
        part.opset_import.extend(whole.opset_import)
        part.functions.extend(whole.functions)
        part.graph.name = "part"
        part.graph.node.extend(stage.nodes)
        known = {value.name: value for value in whole.graph.input}
        for name, array in feeds.items():
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            made = helper.make_tensor_value_info(name, kind, None)
            part.graph.input.append(known.get(name, made))
        used = {name for node in stage.nodes for name in tensors_read(node)}
        part.graph.initializer.extend(t for t in whole.graph.initializer if t.name in used)
        part.graph.sparse_initializer.extend(
            t for t in whole.graph.sparse_initializer if t.values.name in used
        )
        part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in stage.makes)
        return part


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
        facts = find_operator(group[0].domain, group[0].op_type) if place in alone else None
        stages.append(
            _Stage(
                nodes=tuple(group),
                reads=tuple(sorted(reads[place] - set(own))),
                makes=tuple(name for name in own if name in later),
                facts=facts,
                reference=None if facts is None else find_reference(facts),
            )
        )
    return [stage for stage in stages if stage.makes]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    from onnx import helper

    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {name: v.decode() if isinstance(v, bytes) else v for name, v in found.items()}


def _dtype(port: PortFact, ports: Sequence[PortFact], inputs: Sequence[NDArray[Any] | None]) -> str:
    """Of an output: its own, or that of the inputs that share it."""
    if port.type in _TYPED:
        return port.type
    shared = zip(ports, inputs, strict=False)
    found = (a.dtype for each, a in shared if each.type == port.type and a is not None)
    return str(next(found, "float32"))
