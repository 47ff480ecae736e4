"""From a graph to ncnn's files, or to the reasons why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from deployx_edge.graph.links import OWN_DOMAINS
from deployx_edge.operator_facts import find_operator, operator_of_layer
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.runtimes.converter import HalfOverflows, KeptFloat, LayerScales, StoredLayer
from deployx_edge.runtimes.ncnn.files import Layer, encode_weights, format_param
from deployx_edge.runtimes.ncnn.half_sums import stored_layers
from deployx_edge.runtimes.ncnn.limits import impossible

# Each enters its operators into the table when it is imported.
from deployx_edge.runtimes.ncnn.native import (  # noqa: F401
    activation,
    arrangement,
    attention,
    convolution,
    elementwise,
    folding,
    indexing,
    matrix,
    normalization,
    pooling,
    recurrent,
    reduction,
    resize,
    sampling,
    suppression,
)
from deployx_edge.runtimes.ncnn.native.graph import FinalRefusalError, Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.graph_builder import BuiltLayer, GraphBuilder
from deployx_edge.runtimes.ncnn.native.heads import joined_heads
from deployx_edge.runtimes.ncnn.native.kinds import EXACT
from deployx_edge.runtimes.ncnn.native.names import Names
from deployx_edge.runtimes.ncnn.native.own import write_own
from deployx_edge.runtimes.ncnn.native.quantized import (
    QuantizableLayer,
    quantizable,
    quantized,
    requantized,
    table_of,
)
from deployx_edge.runtimes.ncnn.native.table import TABLE, Writer
from deployx_edge.runtimes.ncnn.native.wide import (
    fenced,
    has_wide_weights,
    kept_float,
    masked,
    reasons,
    touches,
)

UNFORESEEN = "its operands have a form that is not known here"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A node that ncnn cannot run, and why."""

    operator: str
    node: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Emitted:
    """What became of a graph; files only where nothing was refused.

    ``blobs`` maps the graph's inputs and outputs to ncnn's blobs; ``layers`` are the names that a
    layer can be kept fp32 by, ``kept_float`` those that stay so in a model of 16 bits; ``table``
    are the scales of int8 layers. ``stored`` and ``operators`` see ``ConvertedModel``.
    """

    param: str
    weights: bytes
    blobs: dict[str, str]
    refusals: tuple[Refusal, ...]
    layers: tuple[str, ...] = ()
    kept_float: tuple[KeptFloat, ...] = ()
    table: str = ""
    stored: tuple[StoredLayer, ...] = ()
    operators: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Drafted:
    """The layers of a graph as they are first written, and its outputs' blobs by tensor."""

    builder: GraphBuilder
    layers: list[BuiltLayer]
    outputs: dict[str, str]
    refusals: tuple[Refusal, ...]


def emit(
    graph: Graph,
    precision: str,
    wide: Collection[str] = (),
    scales: Mapping[str, LayerScales] | None = None,
    *,
    overflows: HalfOverflows | None = None,
    keep_float: Collection[str] = (),
) -> Emitted:
    """Write the graph for ncnn.

    ``precision`` is that of stored weights: one of STORED_PRECISIONS, or "int8" for fp32 but
    for the layers of the nodes in ``scales``. In fp16 layers that read or make one of the tensors
    ``wide``, or that ``overflows`` names, compute and store in fp32; also where a board runs
    stored fp32 weights in fp16. So do the layers ``keep_float`` in all formats of 16 bits.
    """
    found = HalfOverflows() if overflows is None or precision == "bf16" else overflows
    drafted = _drafted(graph, precision, wide)
    if drafted.refusals:
        return Emitted(param="", weights=b"", blobs={}, refusals=drafted.refusals)
    outputs = drafted.outputs
    names = drafted.builder.names
    inputs = {tensor: drafted.builder.take(tensor) for tensor in graph.inputs}
    layers = kept_float(drafted.layers, found, keep_float, scales or {})
    layers = quantized(layers, scales or {}, graph)
    table = table_of(layers, scales or {})
    joined = joined_heads(layers, outputs.values())
    operators = {operator_of_layer(entry.layer.type) for entry in layers} - {""}
    is_plain = precision == "fp32" and len(joined) == len(layers) and not operators
    layers = split_shared(joined, outputs.values(), names)
    layers = fenced(requantized(layers, scales or {}, outputs.values()), names)
    stored = "fp32" if precision == "int8" else precision
    return Emitted(
        param=format_param([masked(entry) for entry in layers]),
        weights=b"".join(
            encode_weights(weight.values, "fp32" if entry.float32 else stored, tagged=weight.tagged)
            for entry in layers
            for weight in entry.weights
        ),
        blobs={**inputs, **outputs},
        refusals=(),
        layers=tuple(entry.layer.name for entry in drafted.layers if entry.layer.type != "Input"),
        kept_float=reasons(layers, found),
        table=table,
        stored=stored_layers(layers) if is_plain else (),
        operators=tuple(sorted(operators)),
    )


def float_layers(graph: Graph) -> tuple[list[BuiltLayer], dict[str, str]]:
    """The graph in fp32 with every layer apart, to be measured, and the blobs of its inputs.

    No layer where ncnn cannot run the graph.
    """
    drafted = _drafted(graph, "fp32", ())
    blobs = {tensor: drafted.builder.take(tensor) for tensor in graph.inputs}
    return split_shared(drafted.layers, drafted.outputs.values(), drafted.builder.names), blobs


def find_quantizable(graph: Graph) -> tuple[tuple[QuantizableLayer, ...], tuple[Refusal, ...]]:
    """The layers of the graph that hold weights, or why ncnn cannot run it."""
    drafted = _drafted(graph, "fp32", ())
    return quantizable(drafted.layers, graph), drafted.refusals


def _drafted(graph: Graph, precision: str, wide: Collection[str]) -> _Drafted:
    builder = GraphBuilder(graph)
    for tensor in graph.inputs:
        builder.input(tensor)
    refusals = []
    lost: set[str] = set()
    whole = graph.kinds.keys() - graph.constants.keys()
    for node in graph.nodes:
        if lost.intersection(node.inputs):
            # Its shapes are not known for the reason that was given already.
            lost.update(filter(None, node.outputs))
            continue
        before, absorbed = len(builder.layers), set(builder.absorbed)
        try:
            _write(builder, node)
            taken = builder.absorbed - absorbed
            is_wide = touches(graph, node, taken, wide)
            has_weights = any(has_wide_weights(entry) for entry in builder.layers[before:])
            why = "values" if is_wide else "weights" if has_weights else ""
            why = why if precision != "bf16" else ""
            # Whole numbers are exact in fp32 alone.
            why = "whole" if touches(graph, node, taken, whole) else why
            if why:
                builder.layers[before:] = [replace(e, float32=why) for e in builder.layers[before:]]
        except RefusedError as refused:
            refusals.append(Refusal(operator=node.operator, node=node.name, reason=str(refused)))
            for tensor in node.outputs:
                builder.unknown(tensor)
            lost.update(name for name in node.outputs if name and name not in graph.shapes)
    outputs: dict[str, str] = {}
    if not refusals:
        try:
            outputs = builder.finish_outputs()
        except RefusedError as refused:
            refusals.append(Refusal(operator="", node="", reason=str(refused)))
    return _Drafted(
        builder=builder,
        layers=[] if refusals else used_only(builder.layers, outputs.values()),
        outputs=outputs,
        refusals=tuple(refusals),
    )


def _write(builder: GraphBuilder, node: Node) -> None:
    if node.name in builder.absorbed:
        return
    own = find_operator(node.domain, node.operator)
    reason = impossible(node.operator, node.domain)
    if reason and own is None:
        raise RefusedError(reason)
    writer = TABLE.get(node.operator) if node.domain in OWN_DOMAINS else None
    if writer is None and own is None:
        raise RefusedError(
            "the operator is not in the table of what ncnn can run; docs/adding-an-op.md says how "
            "to add it"
        )
    for tensor in (*node.inputs, *node.outputs):
        if tensor not in builder.graph.constants and 0 in builder.graph.shapes.get(tensor, ()):
            raise RefusedError(f"its tensor '{tensor}' is empty, which no blob of ncnn is")
    try:
        _write_by(writer, own, builder, node)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        # Constants in a form that its writer was not made for: the node is named, not a defect.
        raise RefusedError(f"{UNFORESEEN} ({' '.join(str(error).split())})") from error


def _write_by(
    writer: Writer | None, own: OperatorFacts | None, builder: GraphBuilder, node: Node
) -> None:
    """By ncnn's own layers where these can, else by the operator of our own."""
    if writer is None:
        assert own is not None
        write_own(builder, node, own)
        return
    graph = builder.graph
    try:
        computed = [name for name in node.inputs if name not in graph.constants]
        if node.operator not in EXACT and any(name in graph.kinds for name in computed):
            raise RefusedError("it computes with whole numbers or truth values, which are floats")
        writer(builder, node)
    except RefusedError as refused:
        if own is None or isinstance(refused, FinalRefusalError):
            raise
        try:
            write_own(builder, node, own)
        except RefusedError as also:
            text = f"{refused}; as the operator {own.name} of our own: {also}"
            raise RefusedError(text) from None


def used_only(layers: list[BuiltLayer], outputs: Iterable[str]) -> list[BuiltLayer]:
    """Without layers that nothing reads; inputs stay."""
    wanted = set(outputs)
    kept = []
    for entry in reversed(layers):
        if entry.layer.type == "Input" or wanted.intersection(entry.layer.tops):
            wanted.update(entry.layer.bottoms)
            kept.append(entry)
    return kept[::-1]


def split_shared(
    layers: list[BuiltLayer], outputs: Iterable[str], names: Names
) -> list[BuiltLayer]:
    """With a Split behind every blob that several layers read.

    ncnn frees a blob with its one reader. An output that is also read inside comes out of
    the Split under its own name; the layer that makes it then gives another.
    """
    reads = Counter(blob for entry in layers for blob in entry.layer.bottoms)
    shared = {blob: count for blob, count in reads.items() if count > 1}
    for blob in outputs:
        if reads[blob]:
            shared[blob] = reads[blob]
    visible = set(outputs)
    copies: dict[str, list[str]] = {}
    result = []
    for entry in layers:
        bottoms = tuple(
            copies[blob].pop() if blob in shared else blob for blob in entry.layer.bottoms
        )
        tops = tuple(
            names.blob(f"{blob}/unsplit") if blob in shared and blob in visible else blob
            for blob in entry.layer.tops
        )
        result.append(replace(entry, layer=replace(entry.layer, bottoms=bottoms, tops=tops)))
        for blob, made in zip(entry.layer.tops, tops, strict=True):
            if blob not in shared:
                continue
            copies[blob] = [names.blob(f"{blob}/split_{i}") for i in range(shared[blob])]
            outs = (*copies[blob], blob) if blob in visible else tuple(copies[blob])
            split = Layer(
                type="Split",
                name=names.layer(f"{blob}/split"),
                bottoms=(made,),
                tops=outs,
                params=(),
            )
            result.append(BuiltLayer(layer=split, weights=(), float32=entry.float32))
    return result
