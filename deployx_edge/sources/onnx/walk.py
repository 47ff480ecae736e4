"""A source model in ONNX Runtime with every tensor of it, few of them in memory at once.

ONNX Runtime holds all tensors that it is asked for until a run ends. Where those of one run are
large, the graph is cut into parts that run one after the other, each on what the parts before
it gave:

    inputs ── part 1 ──┬── tensors of 1      what later parts read is kept, the rest let go
                       └── part 2 ── tensors of 2 …

So every node runs once for each input, and memory is that of the largest part.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError
from deployx_edge.graph.onnx_runtime import open_model, plain_reason, refusal
from deployx_edge.graph.subgraphs import tensors_read
from deployx_edge.graph.values import no_tensors, without_weights
from deployx_edge.sources.onnx.file import OnnxSource, prepared

if TYPE_CHECKING:
    import onnx

    from deployx_edge.model import Array

# ONNX's element types that round, the coarser first (TensorProto.BFLOAT16, .FLOAT16).
# What rounds to 8 bits.
_QUANTIZING = ("DynamicQuantizeLinear", "QuantizeLinear")
_ROUNDING = {16: "bf16", 10: "fp16"}
# Tensors of one part, where a node does not make more by itself.
_MOST_BYTES = 2**26
# Where a run makes more, there is neither time nor memory for all that others are given.
GIANT_BYTES = 2**30

# Is shown tensors by their names.
Watch = Callable[[Mapping[str, "Array"]], None]


def watch_nothing(tensors: Mapping[str, Array]) -> None:
    """Watches nothing."""


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A part of the graph: what it reads of earlier parts and inputs, what it makes.

    ``over`` are tensors that nobody reads behind this part.
    """

    session: Any
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    over: tuple[str, ...]


class SourceWalk:
    """The model of a source, opened once; ModelError where ONNX Runtime refuses it."""

    def __init__(self, source: OnnxSource, *, most_bytes: int = _MOST_BYTES) -> None:
        self._source = source
        self._model = prepared(source, external=False)
        self._most_bytes = most_bytes
        self._is_giant = False

    @property
    def source(self) -> OnnxSource:
        """What is walked through."""
        return self._source

    @cached_property
    def makers(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each tensor; sequences and optional values are none."""
        others = {"", *no_tensors(self._model)}
        nodes = self._model.graph.node
        return {name: node for node in nodes for name in node.output if name not in others}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All tensors that the model's nodes make, in their order."""
        return tuple(self.makers)

    @cached_property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors that a run makes, as far as their shapes can be told."""
        return sum(_bytes(self._types[name]) for name in self.names if name in self._types)

    @cached_property
    def rounds_to(self) -> str:
        """The precision that the model itself rounds to inside: "fp32", "fp16", "bf16" or "int8".

        Where a value lies between two quantized values the last bit decides, and the next one is a
        whole unit away.
        """
        if any(node.op_type in _QUANTIZING for node in self._model.graph.node):
            return "int8"
        found = {each.tensor_type.elem_type for each in self._types.values()}
        found |= {tensor.data_type for tensor in self._model.graph.initializer}
        return next((name for kind, name in _ROUNDING.items() if kind in found), "fp32")

    def tensors(self, arrays: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
        """All tensors of a run by name, part by part; ModelError where the model cannot run."""
        held: dict[str, Any] = dict(arrays)
        try:
            for part in self._parts:
                # Nothing here holds on to what is shown but what later parts read.
                yield _run(part, held)
        except ModelError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions share no base
            raise ModelError(
                f"{self._source.path.name} does not run in ONNX Runtime: {plain_reason(error)}."
            ) from error

    def run(self, arrays: Mapping[str, Array], watch: Watch = watch_nothing) -> dict[str, Array]:
        """The model's outputs by name; ``watch`` is shown every tensor as it comes."""
        import numpy as np

        outputs: dict[str, Array] = {}
        for part in self.tensors(arrays):
            watch(part)
            found = {name: part[name] for name in self._source.output_names if name in part}
            # What is held for long is not to lie in memory that serves the next run.
            outputs |= {n: np.copy(each) for n, each in found.items()} if self._is_giant else found
        return {name: outputs[name] for name in self._source.output_names}

    @cached_property
    def _types(self) -> dict[str, onnx.TypeProto]:
        """The types of tensors as inference tells them; initializers' data are left out."""
        import onnx

        # ONNX's inference was seen to crash on models that are broken, which ONNX Runtime refuses
        # with the reason where the graph is opened.
        _ = self._whole
        try:
            graph = onnx.shape_inference.infer_shapes(
                without_weights(self._model), data_prop=True
            ).graph
        except Exception:  # it promises no class of its own; the model then runs as a whole
            return {}
        return {
            value.name: value.type for value in (*graph.input, *graph.value_info, *graph.output)
        }

    @cached_property
    def _whole(self) -> _Part:
        """The graph as one part."""
        return self._parts_of([list(self._model.graph.node)])[0]

    @cached_property
    def _parts(self) -> tuple[_Part, ...]:
        if self.tensor_bytes <= self._most_bytes:
            parts: tuple[_Part, ...] = (self._whole,)
        else:
            del self._whole  # and its session
            self._is_giant = self.tensor_bytes > GIANT_BYTES
            parts = self._parts_of(self._groups(list(self._model.graph.node)))
        # The sessions have the weights; a node of the model would hold all of it.
        self._model = without_weights(self._model)
        del self.makers
        return parts

    def _parts_of(self, groups: list[list[onnx.NodeProto]]) -> tuple[_Part, ...]:
        outputs = [value.name for value in self._model.graph.output]
        constants = {tensor.name for tensor in self._model.graph.initializer}
        constants |= {tensor.values.name for tensor in self._model.graph.sparse_initializer}
        read_by = [{name for node in group for name in tensors_read(node)} for group in groups]
        parts = []
        for index, group in enumerate(groups):
            own = {name for node in group for name in node.output}
            made = [name for node in group for name in node.output if name in self.makers]
            later = {*outputs}.union(*read_by[index + 1 :])
            reads = read_by[index] - own - constants
            if len(groups) == 1:  # of a broken model, which ONNX Runtime refuses with the reason
                reads &= _input_names(self._model)
            over = {*made, *reads} - later
            if index == len(groups) - 1:  # an output that no node makes: an input, a constant
                made += [name for name in outputs if name not in self.makers]
                reads |= {name for name in made if name in _input_names(self._model)}
            parts.append(
                _Part(
                    session=self._open(group, sorted(reads), made),
                    reads=tuple(sorted(reads)),
                    makes=tuple(dict.fromkeys(made)),
                    over=tuple(over),
                )
            )
        return tuple(parts)

    def _groups(self, nodes: list[onnx.NodeProto]) -> list[list[onnx.NodeProto]]:
        """The nodes in runs of neighbours, cut where all that was made is of a known type."""
        groups: list[list[onnx.NodeProto]] = [[]]
        total = 0
        for node in nodes:
            size = sum(_bytes(self._types[name]) for name in node.output if name in self._types)
            fits = total + size <= self._most_bytes
            if groups[-1] and not fits and self._all_known(groups[-1]):
                groups.append([])
                total = 0
            groups[-1].append(node)
            total += size
        return groups

    def _all_known(self, group: list[onnx.NodeProto]) -> bool:
        names = [name for node in group for name in node.output if name]
        known = (self._types.get(name) for name in names)
        return all(one is not None and one.tensor_type.elem_type > 0 for one in known)

    def _open(self, nodes: list[onnx.NodeProto], reads: list[str], makes: list[str]) -> Any:
        import onnx

        whole = self._model
        model = onnx.ModelProto(ir_version=whole.ir_version)
        model.opset_import.extend(whole.opset_import)
        model.functions.extend(whole.functions)
        model.graph.name = whole.graph.name or "graph"
        model.graph.node.extend(nodes)
        inputs = {value.name: value for value in whole.graph.input}
        for name in reads:
            known = inputs.get(name)
            model.graph.input.append(
                onnx.ValueInfoProto(name=name, type=self._types[name]) if known is None else known
            )
        used = {name for node in nodes for name in tensors_read(node)} | set(makes)
        model.graph.initializer.extend(t for t in whole.graph.initializer if t.name in used)
        model.graph.sparse_initializer.extend(
            t for t in whole.graph.sparse_initializer if t.values.name in used
        )
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(makes))
        try:
            return open_model(
                model.SerializeToString(),
                folder=self._source.data_folder,
                keeps_memory=self._is_giant,
            )
        except Exception as error:  # its exceptions share no other base
            raise refusal(self._source.path.name, error) from error


def _run(part: _Part, held: dict[str, Any]) -> dict[str, Array]:
    """What the part makes; ``held`` is then what the parts behind it read."""
    import numpy as np

    feeds = {name: held[name] for name in part.reads}
    made = dict(zip(part.makes, part.session.run(part.makes, feeds), strict=True))
    held.update(made)
    for name in part.over:
        held.pop(name, None)
    return {key: each for key, each in made.items() if isinstance(each, np.ndarray)}


def _input_names(model: onnx.ModelProto) -> set[str]:
    return {value.name for value in model.graph.input}


def _bytes(found: onnx.TypeProto) -> int:
    """Bytes of a tensor of that type; 0 where its shape or its type is not known."""
    from onnx import helper

    tensor = found.tensor_type
    if not found.HasField("tensor_type") or not tensor.elem_type or not tensor.HasField("shape"):
        return 0
    sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in tensor.shape.dim]
    try:
        width = int(helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize)
    except (KeyError, TypeError):
        return 0
    return math.prod(sizes) * width
