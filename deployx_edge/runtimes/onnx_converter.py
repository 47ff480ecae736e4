"""The files of runtimes that read ONNX: the canonical model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge import __version__
from deployx_edge.bundle import LeftNode
from deployx_edge.comparison import FP16_LARGEST
from deployx_edge.distributions import installed_version
from deployx_edge.errors import ModelError
from deployx_edge.graph import onnx_runtime
from deployx_edge.graph.subgraphs import nodes_within
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.runtime import ONNX_ROLE, find_runtime
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    HalfOverflows,
    KeptFloat,
    input_specs,
    output_specs,
    refuse_unknown,
)
from deployx_edge.runtimes.onnx_bfloat16 import float_weights, with_bfloat16
from deployx_edge.runtimes.onnx_half_sums import graph_overflows
from deployx_edge.runtimes.onnx_scales import write_as_scalars
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor
from deployx_edge.sources.onnx.foreign import own_facts, refuse_foreign, refuse_without_kernel

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_NAMES_REMEDY = "`deployx-edge inspect` and the names of the model's nodes tell the layers."
# Scales of quantized weights stay floats: the converter would halve them and not their nodes.
_FLOAT32 = ("DequantizeLinear", "QuantizeLinear")
# One file may not be larger (protobuf); weights then go into a second.
_ONE_FILE = 2**31 - 2**20


class OnnxConverter:
    """``Converter`` for a runtime that reads ONNX: simplified, with half floats where asked for.

    A quantized model (QDQ) passes as it is. ``halves_fp32`` see ``Converter``.
    """

    keeps_names = True
    # Operators of our own that the runtime has itself, under another name.
    native: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ("fp32", "fp16")

    def __init__(self, runtime: str, *, halves_fp32: bool = False) -> None:
        self.runtime = runtime
        self.halves_fp32 = halves_fp32

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The versions of what simplifies, halves and runs the model."""
        # What halves is ONNX Runtime's.
        names = dict.fromkeys(("onnx", onnx_runtime.PACKAGE, find_runtime(self.runtime).package))
        return (("deployx-edge", __version__), *((name, installed_version(name)) for name in names))

    def check(self, source: OnnxSource) -> None:
        """Raise ModelError for an unknown operator; else the runtime says what it cannot load."""
        self.check_operators(source)

    def check_operators(self, source: OnnxSource) -> None:
        """Raise ModelError for an operator that nobody knows, or that has no kernel here."""
        refuse_foreign(source)
        refuse_without_kernel(source, self.runtime, self.native)

    def check_before_scales(self, source: OnnxSource) -> None:
        """Raise ModelError for what the runtime refuses of the simplified model in ``source``
        whatever scales it gets, LeftNodesError for nodes that it leaves to the processor so."""
        self.check(source)

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        """Write ``<stem>.onnx`` (see ``Converter``)."""
        import onnx

        model = self.simplify(source)
        kept: tuple[KeptFloat, ...] = ()
        if request.precision != "fp32" or self.halves_fp32:
            names = [node.name for node in model.graph.node]
            refuse_unknown(request.keep_float, names, remedy=_NAMES_REMEDY)
            kept = _kept_nodes(model, request)
        # Where floats are computed in halves anyway, casts would but take int8 layers apart.
        is_halved = self.halves_fp32 and any(node.op_type in _FLOAT32 for node in model.graph.node)
        if request.precision != "fp32" and not is_halved:
            weights = float_weights(model) if request.precision == "bf16" else {}
            own = _tell_own_types(model, self.operator_of)
            model = _halved(model, [item.layer for item in kept], own)
            model = with_bfloat16(model, weights) if request.precision == "bf16" else model
        if not fits_one_file(model):
            raise ModelError(
                f"{source.path.name} is larger than one ONNX file may be (2 GB).",
                remedy="Convert it with --precision fp16.",
            )
        write_as_scalars(model)
        self.adapt(model, kept, source.inputs)
        path = request.folder / f"{source.path.stem}.onnx"
        onnx.save(model, path)
        return ConvertedModel(
            runtime=self.runtime,
            precision=request.precision,
            files=(("onnx", path),),
            inputs=input_specs(source),
            outputs=output_specs(request.outputs, source.channels_last),
            kept_float=kept,
            operators=self.own_operators(model),
        )

    def find_overflows(
        self, source: OnnxSource, inputs: Sequence[Mapping[str, NDArray[Any]]], precision: str
    ) -> HalfOverflows:
        """See ``Converter``."""
        runs_in_halves = precision == "fp16" or self.halves_fp32
        if not runs_in_halves or not inputs:
            return HalfOverflows()
        return graph_overflows(simplified(source), inputs, source.path)

    def simplify(self, source: OnnxSource) -> onnx.ModelProto:
        """The canonical model, by operators that the runtime has."""
        return simplified(source)

    def operator_of(self, node: onnx.NodeProto) -> OperatorFacts | None:
        """The operator of our own that the node is, where the runtime has none such itself."""
        return own_facts(node)

    def own_operators(self, model: onnx.ModelProto) -> tuple[str, ...]:
        """The operators of our own in the model that the runtime does not have itself."""
        found = (self.operator_of(node) for node in nodes_within(model.graph.node))
        return tuple(sorted({facts.name for facts in found if facts is not None}))

    def adapt(
        self, model: onnx.ModelProto, kept: Sequence[KeptFloat], inputs: Sequence[SourceTensor]
    ) -> None:
        """Write into the model what a runtime needs of it beyond what ONNX says; nothing here."""

    def int8_files(
        self, path: Path, soc: str, *, allow_fallback: bool = False
    ) -> tuple[tuple[str, Path], ...]:
        """The files of an int8 model by role, made of the model with Q and DQ at ``path``.

        ``allow_fallback`` as in ``ConversionRequest``."""
        return ((ONNX_ROLE, path),)

    def left_nodes(self, path: Path, soc: str) -> tuple[LeftNode, ...]:
        """The nodes of the file at ``path`` that the runtime leaves to the processor; here none."""
        return ()

    def doubts(self, source: OnnxSource) -> tuple[str, ...]:
        """None are known."""
        return ()


def fits_one_file(model: onnx.ModelProto) -> bool:
    """Whether the model can be one file, weights and all."""
    return model.ByteSize() <= _ONE_FILE


def _kept_nodes(model: onnx.ModelProto, request: ConversionRequest) -> tuple[KeptFloat, ...]:
    """The nodes that were asked for, that overflow inside, or read, make or hold what is wide."""
    from onnx import numpy_helper

    found = request.overflows

    large = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == tensor.FLOAT
        and abs(numpy_helper.to_array(tensor)).max(initial=0.0) > FP16_LARGEST
    }
    if request.precision == "bf16":  # it holds what floats hold
        large, found = set(), HalfOverflows()
    wide = frozenset() if request.precision == "bf16" else request.wide
    kept = []
    for node in model.graph.node:
        touched = {*node.input, *node.output}
        tensor = max(touched & found.tensors.keys(), key=found.tensors.__getitem__, default="")
        if node.name in request.keep_float:
            kept.append(KeptFloat(layer=node.name, why="asked"))
        elif tensor or touched & wide:
            largest = found.tensors.get(tensor, 0.0)
            kept.append(KeptFloat(layer=node.name, why="values", tensor=tensor, largest=largest))
        elif node.name in found.sums:
            kept.append(KeptFloat(layer=node.name, why="sums", largest=found.sums[node.name]))
        elif touched & large:
            kept.append(KeptFloat(layer=node.name, why="weights"))
    return tuple(kept)


def _halved(model: onnx.ModelProto, kept: Collection[str], own: Collection[str]) -> onnx.ModelProto:
    """The model with half floats inside, and float32 at its inputs and outputs.

    Nodes of the names ``kept`` and of the operators ``own`` stay float32."""
    import warnings

    from onnxruntime.transformers.float16 import (
        DEFAULT_OP_BLOCK_LIST,
        convert_float_to_float16,
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says how many tiny weights became zero
        halved: onnx.ModelProto = convert_float_to_float16(
            model,
            keep_io_types=True,
            node_block_list=list(kept),
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_FLOAT32, *own],
        )
    _drop_copies(halved)
    _drop_detours(halved)
    return halved


def _tell_own_types(
    model: onnx.ModelProto, operator_of: Callable[[onnx.NodeProto], OperatorFacts | None]
) -> set[str]:
    """Write into the model of what type the outputs of our own operators are, which ONNX cannot
    infer; gives the operators' names in the model."""
    from onnx import TensorProto, helper

    known = {value.name for value in (*model.graph.output, *model.graph.value_info)}
    names = set()
    for node in model.graph.node:
        facts = operator_of(node)
        if facts is None:
            continue
        names.add(node.op_type)
        for name, port in zip(node.output, facts.outputs, strict=False):
            if name and name not in known and port.type in ("T", "float32"):
                value = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
                model.graph.value_info.append(value)
    return names


def _drop_copies(model: onnx.ModelProto) -> None:
    """Take away all but one of the casts that are put before each of several fp32 readers."""
    seen: set[str] = set()
    kept = []
    for node in model.graph.node:
        if node.op_type != "Cast" or node.output[0] not in seen:
            kept.append(node)
        seen.update(node.output)
    del model.graph.node[:]
    model.graph.node.extend(kept)


def _drop_detours(model: onnx.ModelProto) -> None:
    """Take away the way through half floats that is put between two nodes that both stay fp32.

    a ── Cast(half) ── Cast(float) ── b      ⇒      a ── Identity ── b
    """
    graph = model.graph
    to_half = {
        node.output[0]: node.input[0]
        for node in graph.node
        if _casts_to(node, model_type="FLOAT16")
    }
    for node in graph.node:
        if _casts_to(node, model_type="FLOAT") and node.input[0] in to_half:
            node.input[0] = to_half[node.input[0]]
            node.op_type = "Identity"
            del node.attribute[:]
    read = {name for node in graph.node for name in node.input}
    read |= {value.name for value in graph.output}
    kept = [n for n in graph.node if n.output[0] not in to_half or n.output[0] in read]
    del graph.node[:]
    graph.node.extend(kept)


def _casts_to(node: onnx.NodeProto, *, model_type: str) -> bool:
    import onnx

    wanted = onnx.TensorProto.DataType.Value(model_type)
    return node.op_type == "Cast" and any(entry.i == wanted for entry in node.attribute)
