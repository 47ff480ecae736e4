"""A part of a model, cut out by the names of tensors or by marks."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.marks import (
    drop_marks,
    find_marks,
    is_mark_reference,
    marks_meant,
    without_marks,
)
from deployx_edge.graph.subgraphs import rename_tensors, tensors_read
from deployx_edge.sources.onnx.file import POSTPROCESS_KEY
from deployx_edge.sources.onnx.loading import one_line

if TYPE_CHECKING:
    import onnx

_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """The part, and those of the tensors named as its inputs that it does not need.

    ``input_tensors`` and ``output_tensors`` are what the whole model calls its ``inputs`` and
    ``outputs``, in the same order.
    """

    model: onnx.ModelProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    input_tensors: tuple[str, ...]
    output_tensors: tuple[str, ...]
    needless: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class CutPair:
    """A tensor at which a model is cut: its names before and behind the cut."""

    before: str
    behind: str


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """A tensor at which the model is cut, and its name in the part."""

    tensor: str
    label: str


def extract(model: onnx.ModelProto, starts: Sequence[str], ends: Sequence[str]) -> Extraction:
    """The nodes that lead from ``starts`` to ``ends``: names of tensors, or marks.

    A name that a tensor has is that tensor; else it is a reference to marks
    (``detector:output``, see ``sources.marks``), whose tensors are called in the part what
    the author called them. Empty sequences stand for the model's own inputs and outputs.
    Marks at the borders are left out of the part, others stay. Raises UsageError for an
    unknown name, and where more than ``starts`` is needed, ModelError where the part is no
    valid model.
    """
    inferred = _inferred(model)
    graph = inferred.graph
    constants = {tensor.name for tensor in graph.initializer}
    own_inputs = [value.name for value in graph.input if value.name not in constants]
    known = {name for node in graph.node for name in node.output if name} | set(own_inputs)
    first = _cuts(model, starts or own_inputs, known, behind=True)
    last = _cuts(model, ends or [value.name for value in graph.output], known, behind=False)
    at_start, at_end = [cut.tensor for cut in first], [cut.tensor for cut in last]
    reached = _reached(graph, set(at_start), at_end)
    missing = [name for name in own_inputs if name in reached and name not in at_start]
    if missing:
        raise UsageError(
            f"The part needs more than {_listed(starts)}: the model's inputs "
            f"{_listed(missing)} lead into it too.",
            remedy=f"Add --from {missing[0]}, or cut further back.",
        )
    needed = [cut for cut in first if cut.tensor in reached]
    if not needed or any(cut.tensor in at_end for cut in needed):
        raise UsageError(
            f"Nothing leads from {_listed(starts or at_start)} to {_listed(ends or at_end)}."
        )
    at_ends = (
        {cut.tensor for cut in needed} == set(own_inputs),
        set(at_end) == {value.name for value in graph.output},
    )
    part = _part(inferred, needed, last, _metadata_of_part(model, *at_ends))
    return Extraction(
        model=part,
        inputs=tuple(value.name for value in part.graph.input),
        outputs=tuple(value.name for value in part.graph.output),
        input_tensors=tuple(cut.tensor for cut in needed),
        output_tensors=tuple(cut.tensor for cut in last),
        needless=tuple(cut.label for cut in first if starts and cut not in needed),
    )


def cut_pairs(model: onnx.ModelProto, names: Sequence[str]) -> tuple[CutPair, ...]:
    """The tensors that ``names``, of tensors or marks, stand for; UsageError for unknown ones."""
    known = {name for node in model.graph.node for name in node.output if name}
    sides = [_cuts(model, names, known, behind=behind) for behind in (False, True)]
    return tuple(
        CutPair(before=before.tensor, behind=behind.tensor)
        for before, behind in zip(*sides, strict=True)
    )


def reached_from(model: onnx.ModelProto, ends: Iterable[str]) -> set[str]:
    """All tensors that the ends depend on."""
    return _reached(model.graph, set(), ends)


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the shapes of its tensors, as far as they can be told."""
    import copy

    import onnx

    marks = find_marks(model)
    if not marks:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    # Inference ends at operators that it does not know, as marks are.
    bare = onnx.shape_inference.infer_shapes(without_marks(model), data_prop=True)
    made = copy.deepcopy(model)
    of_bare = (*bare.graph.input, *bare.graph.output, *bare.graph.value_info)
    shapes = {value.name: value for value in (*model.graph.value_info, *of_bare)}
    for mark in marks:
        for one, other in ((mark.before, mark.behind), (mark.behind, mark.before)):
            if one in shapes and other not in shapes:
                shapes[other] = onnx.ValueInfoProto(name=other)
                shapes[other].type.CopyFrom(shapes[one].type)
    shown = {value.name for value in (*made.graph.input, *made.graph.output)}
    del made.graph.value_info[:]
    made.graph.value_info.extend(value for name, value in shapes.items() if name not in shown)
    return made


def _cuts(
    model: onnx.ModelProto, names: Sequence[str], known: set[str], *, behind: bool
) -> list[_Cut]:
    """Where to cut; at marks, on the side that is ``behind`` them or before them."""
    found: list[_Cut] = []
    for name in names:
        if name in known:
            found.append(_Cut(tensor=name, label=name))
        elif is_mark_reference(name) and find_marks(model):
            found.extend(
                _Cut(tensor=mark.behind if behind else mark.before, label=mark.tensor)
                for mark in marks_meant(model, name)
            )
        else:
            raise _unknown(name, known)
    return list({cut.tensor: cut for cut in found}.values())


def _metadata_of_part(
    model: onnx.ModelProto, inputs: bool, outputs: bool
) -> list[onnx.StringStringEntryProto]:
    """What holds of a part too: of outputs where it has all of the model's, else of ``inputs``."""
    return [
        entry
        for entry in model.metadata_props
        if (outputs if entry.key == POSTPROCESS_KEY else inputs)
    ]


def _part(
    model: onnx.ModelProto,
    first: Sequence[_Cut],
    last: Sequence[_Cut],
    metadata: Iterable[onnx.StringStringEntryProto],
) -> onnx.ModelProto:
    import onnx
    from onnx.utils import Extractor

    try:
        part = Extractor(model).extract_model(
            [cut.tensor for cut in first], [cut.tensor for cut in last]
        )
        part.metadata_props.extend(metadata)
        _drop_marks_at_borders(part)
        _name_by_labels(part.graph, [*first, *last])
        onnx.checker.check_model(part)
    except (ValueError, onnx.checker.ValidationError) as error:
        raise ModelError(f"The part is not a valid model: {one_line(error)}.") from error
    return part


def _drop_marks_at_borders(part: onnx.ModelProto) -> None:
    """Again and again: behind a dropped mark there may be another."""
    outer = {value.name for value in (*part.graph.input, *part.graph.output)}
    count = -1
    while count != len(part.graph.node):
        count = len(part.graph.node)
        drop_marks(part, lambda node: bool(outer & {*node.input, *node.output}))


def _name_by_labels(graph: onnx.GraphProto, cuts: Sequence[_Cut]) -> None:
    """Call tensors what their author called them, where no other tensor has that name."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {value.name for value in (*graph.input, *graph.output)}
    taken |= {tensor.name for tensor in graph.initializer}
    for cut in cuts:
        if cut.label not in taken:
            rename_tensors(graph, {cut.tensor: cut.label})
            taken.add(cut.label)


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
            waiting.extend(tensors_read(makers[name]))
    return reached


def _unknown(name: str, known: set[str]) -> UsageError:
    near = difflib.get_close_matches(name, sorted(known), n=_NAMED, cutoff=0.5)
    return UsageError(
        f"The model has no tensor '{name}'"
        + (", and no marks." if is_mark_reference(name) else "."),
        remedy=f"Did you mean {', '.join(near)}?" if near else "Look it up in a viewer.",
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more
