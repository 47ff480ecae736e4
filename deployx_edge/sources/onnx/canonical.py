"""The canonical ONNX that converters read: simplified, all shapes fixed, names kept."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from deployx_edge.errors import DeployxError
from deployx_edge.graph.branches import write_out_branches
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.graph.folding import drop_unread, fold_constants, fold_shapes
from deployx_edge.graph.functions import inline_functions
from deployx_edge.graph.links import OWN_DOMAINS
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.graph.sequences import write_out_sequences
from deployx_edge.graph.simplification import simplify
from deployx_edge.graph.subgraphs import tensors_read
from deployx_edge.graph.training import refuse_training_mode
from deployx_edge.graph.values import without_weights
from deployx_edge.sources.onnx.file import OnnxSource, prepared

if TYPE_CHECKING:
    import onnx

# Of ONNX's operators, those whose results' sizes depend on values.
_SIZED_BY_VALUES = frozenset({"Compress", "NonMaxSuppression", "NonZero", "Unique"})


class Rewrite(Protocol):
    """Changes a model."""

    @property
    def name(self) -> str:
        """What it is called where people read of it."""
        ...

    def __call__(self, model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> int:
        """Change the model in place, knowing its shapes; the number of changed places.

        The shapes of tensors that it adds are entered.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class CanonicalModel:
    """The model, and the shape of each of its tensors that has one of fixed size.

    ``applied`` are the rewrites that found something to do, with the number of places.
    """

    model: onnx.ModelProto
    shapes: Mapping[str, tuple[int, ...]]
    applied: Mapping[str, int] = field(default_factory=dict)


def canonical(
    source: OnnxSource, rewrites: Sequence[Rewrite] = (), fusions: Sequence[Rewrite] = ()
) -> CanonicalModel:
    """Fold what is constant, batch norms into convolutions, and find out all shapes.

    ``rewrites`` are tried in between, until none finds anything to do. ``fusions`` come last,
    each once; they may write operators that are newer than the model's opset. Names of nodes and
    tensors that remain stay as they are.
    """
    model = inline_functions(prepared(source))
    _write_out(model, {})
    refuse_training_mode(model, source.path.name)
    shapes, applied = _settle(model, source, rewrites)
    applied += Counter({fusion.name: fusion(model, shapes) for fusion in fusions})
    return CanonicalModel(model=model, shapes=shapes, applied=dict(applied))


def simplified(source: OnnxSource) -> onnx.ModelProto:
    """The model with constants and batch norms folded, for runtimes that read ONNX themselves.

    Axes that the source leaves open stay so, as do sizes that depend on values; quantized weights
    stay quantized. Every node has a name.
    """
    model = inline_functions(prepared(source))
    drop_unread(model)
    refuse_training_mode(model, source.path.name)
    _settle(model, source, keep=("QuantizeLinear", "DequantizeLinear"), is_fixed=False)
    names = {node.name for node in model.graph.node}
    for index, node in enumerate(model.graph.node):
        if not node.name:
            node.name = f"{node.op_type}_{index}"
            while node.name in names:
                node.name += "_"
            names.add(node.name)
    return model


def _settle(
    model: onnx.ModelProto,
    source: OnnxSource,
    rewrites: Sequence[Rewrite] = (),
    keep: Collection[str] = (),
    is_fixed: bool = True,
) -> tuple[dict[str, tuple[int, ...]], Counter[str]]:
    """Change the model until nothing is left to do; the shapes that are known then, and rewrites.

    What inference leaves open is asked of ONNX Runtime in the end, and may make room for more.
    Where not all ``is_fixed``, sizes that may depend on values stay open.
    """
    applied: Counter[str] = Counter()
    shapes = _inferred(model, source)
    is_measured = any(tensor.ranges for tensor in source.inputs)
    while True:
        changed = _write_out(model, shapes, keep) + simplify(model, shapes)
        found = Counter({each.name: each(model, shapes) for each in rewrites})
        applied += found
        missing = _without_shape(model, shapes)
        if changed + found.total():
            shapes.update(_inferred(model, source) if missing else {})
        elif missing and not is_measured:
            open_ones = _sized_by_values(model)
            measured = [name for name in missing if is_fixed or name not in open_ones]
            found_sizes = _measured(model, source, measured) if measured else {}
            shapes.update(_without_chance(model, found_sizes, open_ones))
            is_measured = True
        else:
            return shapes, applied


def _write_out(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], keep: Collection[str] = ()
) -> int:
    """Fold what is constant, and write out the branches and sequences that it decides on.

    Again and again, as one makes room for the other; gives the number of places changed.
    Operators in ``keep`` are not folded.
    """
    total, changed = 0, 1
    while changed:
        changed = fold_shapes(model, shapes) + fold_constants(model, keep)
        changed += write_out_branches(model) + write_out_sequences(model, shapes)
        changed += drop_unread(model)
        total += changed
    return total


def _inferred(model: onnx.ModelProto, source: OnnxSource) -> dict[str, tuple[int, ...]]:
    """The shapes that inference finds; of those with open axes none."""
    import onnx

    # What a file notes itself is not always right.
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(without_weights(model), data_prop=True)
    shapes = {tensor.name: tensor.shape for tensor in source.inputs if not tensor.ranges}
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        tensor = value.type.tensor_type
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if tensor.HasField("shape") and min(sizes, default=0) >= 0:
            shapes[value.name] = tuple(sizes)
    return shapes


def _without_shape(model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The tensors that nodes make and whose shape is not known."""
    made = (name for node in model.graph.node for name in node.output)
    return [name for name in made if name and name not in shapes]


def _sized_by_values(model: onnx.ModelProto) -> set[str]:
    """The tensors whose sizes may depend on values: what such operators make, or such of a domain
    that nobody knows, and all that follows from it."""
    found: set[str] = set()
    for node in model.graph.node:
        is_free = node.domain not in KNOWN_DOMAINS or node.op_type in _SIZED_BY_VALUES
        if is_free or any(name in found for name in tensors_read(node)):
            found.update(node.output)
    return found


def _without_chance(
    model: onnx.ModelProto, sizes: Mapping[str, tuple[int, ...]], open_ones: Collection[str]
) -> dict[str, tuple[int, ...]]:
    """The sizes but for those that are one run's only: what such an operator of ONNX's left there,
    and tensors behind it that were empty, which nothing may be folded by."""
    by_chance = {
        name
        for node in model.graph.node
        if node.op_type in _SIZED_BY_VALUES and node.domain in OWN_DOMAINS
        for name in node.output
    }
    by_chance.update(name for name, shape in sizes.items() if name in open_ones and 0 in shape)
    return {name: shape for name, shape in sizes.items() if name not in by_chance}


def _measured(
    model: onnx.ModelProto, source: OnnxSource, names: list[str]
) -> dict[str, tuple[int, ...]]:
    """The shapes that tensors have in a run on noise; empty where the model cannot run."""
    import numpy as np
    import onnx

    shown = copy.deepcopy(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    random = np.random.default_rng(0)
    inputs = {t.name: random.random(t.shape).astype(t.dtype) for t in source.inputs}
    try:
        results = open_model(shown.SerializeToString()).run(names, inputs)
    except DeployxError:  # of an operator's reference
        raise
    except Exception:  # its exceptions share no base; the native converter names what has no shape
        return {}
    found = zip(names, results, strict=True)
    return {name: array.shape for name, array in found if isinstance(array, np.ndarray)}
