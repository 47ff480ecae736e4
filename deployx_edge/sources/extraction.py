"""A part of a model, cut out by the names of tensors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.sources.onnx_file import one_line

if TYPE_CHECKING:
    import onnx

_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The part, and those of the tensors named as its inputs that it does not need."""

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    needless: tuple[str, ...]


def extract(model: onnx.ModelProto, starts: Sequence[str], ends: Sequence[str]) -> Extraction:
    """The nodes that lead from the tensors ``starts`` to the tensors ``ends``.

    Empty sequences stand for the model's own inputs and outputs. Raises UsageError for a
    name that no tensor has, and where more than ``starts`` is needed, ModelError where the
    part is no valid model.
    """
    import onnx
    from onnx.utils import Extractor

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    graph = inferred.graph
    constants = {tensor.name for tensor in graph.initializer}
    own_inputs = [value.name for value in graph.input if value.name not in constants]
    ends = list(ends) or [value.name for value in graph.output]
    made = {name for node in graph.node for name in node.output if name}
    _check_names([*starts, *ends], {*made, *own_inputs})
    reached = _reached(graph, set(starts or own_inputs), ends)
    missing = [
        name for name in own_inputs if name in reached and name not in (starts or own_inputs)
    ]
    if missing:
        raise UsageError(
            f"The part needs more than {_listed(starts)}: the model's inputs "
            f"{_listed(missing)} lead into it too.",
            remedy=f"Add --from {missing[0]}, or cut further back.",
        )
    inputs = [name for name in starts or own_inputs if name in reached]
    if not inputs or any(name in inputs for name in ends):
        raise UsageError(f"Nothing leads from {_listed(starts or own_inputs)} to {_listed(ends)}.")
    try:
        part = Extractor(inferred).extract_model(inputs, list(ends))
        part.metadata_props.extend(model.metadata_props if set(inputs) == set(own_inputs) else ())
        onnx.checker.check_model(part)
    except (ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"The part is no valid model: {one_line(error)}.") from error
    return Extraction(
        model=part,
        inputs=tuple(inputs),
        outputs=tuple(ends),
        needless=tuple(name for name in starts if name not in reached),
    )


def _reached(graph: onnx.GraphProto, starts: set[str], ends: Iterable[str]) -> set[str]:
    """All tensors that the ends depend on, not looking behind the starts."""
    makers = {name: node for node in graph.node for name in node.output}
    reached: set[str] = set()
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        if name in reached or not name:
            continue
        reached.add(name)
        if name not in starts and name in makers:
            waiting.extend(makers[name].input)
    return reached


def _check_names(names: Iterable[str], known: set[str]) -> None:
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, sorted(known), n=_NAMED, cutoff=0.5)
            raise UsageError(
                f"The model has no tensor '{name}'.",
                remedy=f"Did you mean {', '.join(near)}?" if near else "Look it up in a viewer.",
            )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more
