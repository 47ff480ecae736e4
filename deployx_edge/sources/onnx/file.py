"""ONNX files: what they hold, and a copy of fixed shapes that everything here can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.cleaning import readable_name
from deployx_edge.graph.fixed_inputs import fix_inputs, fixed_values
from deployx_edge.graph.functions import called_functions, refuse_mixed_opsets
from deployx_edge.graph.layouts import channels_last
from deployx_edge.graph.links import OWN_DOMAINS
from deployx_edge.graph.marks import find_marks, without_marks
from deployx_edge.graph.reshaping import check_new_shapes, reshaped_inputs
from deployx_edge.graph.subgraphs import nodes_within, tensors_read
from deployx_edge.graph.training import refuse_training_mode
from deployx_edge.graph.values import (
    dtype_of,
    no_tensors,
    sizes_of,
    spell_sizes,
    suggest_shape,
)
from deployx_edge.model import AxisRange, InputRequest, format_shape, too_large
from deployx_edge.sources.onnx.loading import LEAST_IR_VERSION, load_file
from deployx_edge.sources.torch.source import EXPORTER_KEY

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


# What the model's author says of images and scores travels in the ONNX file's metadata.
PREPROCESS_KEY = "deployx-edge.preprocess"
POSTPROCESS_KEY = "deployx-edge.postprocess"
# The prepared copy says this IR version: pnnx knows none above 13.
_IR_VERSION = 8
# Files of up to so many bytes are held as they were read, and copied; others are read again.
_HELD_BYTES = 2**26


@dataclass(frozen=True, kw_only=True)
class SourceTensor:
    """An input or output of the source model: its name, shape and element type.

    ``shape`` is fixed, but for the axes in ``ranges``, where it has the best sizes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    ranges: tuple[AxisRange, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SourceNode:
    """A node of the file; ``name`` is that of its first output where it has none.

    ``attributes`` are the names of those that it has, where it is none of ONNX's own.
    """

    operator: str
    domain: str
    name: str
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class OnnxSource:
    """What an ONNX file says: its inputs and outputs, its metadata, and its nodes.

    ``output_shapes`` are those that the file states wholly, of inputs as they are there.
    ``nodes`` are those of the graph, of graphs within nodes and of functions; ``data_files`` the
    external data files, which the prepared model names from ``data_folder`` on. ``is_marked``:
    the file holds marks, which only this package reads; they are no part of what is said here.
    ``notes`` say what is not as in the file. ``fixed`` are inputs that have a value instead, and
    are none any more. ``as_filed``: the file itself is what is meant; else only ``prepared`` is.
    ``channels_last`` names the inputs and outputs whose channels come behind height and width.
    ``held`` is what the file holds, without marks, where that is small; nobody changes it.
    """

    path: Path
    inputs: tuple[SourceTensor, ...]
    output_dtypes: Mapping[str, str]
    output_shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    nodes: tuple[SourceNode, ...]
    data_files: tuple[Path, ...]
    data_folder: Path
    is_marked: bool = False
    fixed: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    as_filed: bool = True
    notes: tuple[str, ...] = ()
    channels_last: frozenset[str] = frozenset()
    held: onnx.ModelProto | None = field(default=None, compare=False, repr=False)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, in the file's order."""
        return tuple(self.output_dtypes)


def read_onnx(path: Path, requests: Mapping[str, InputRequest]) -> OnnxSource:
    """Read an ONNX file without its external data.

    ``requests`` gives the shapes of inputs with dynamic axes, other shapes where the graph
    allows them, and values of inputs that are to be none. Raises ModelError where the file is
    broken, newer than the ``onnx`` package, has an input with dynamic axes and no shape given, or
    a node that forbids a shape; UsageError where ``requests`` contradicts it.
    """
    loaded = load_file(path, external=False)
    whole = loaded.model
    model = without_marks(whole) if find_marks(whole) else whole
    graph = model.graph
    nodes = _nodes(model)
    refuse_mixed_opsets(model, path.name)
    refuse_training_mode(model, path.name)
    output_dtypes = {value.name: dtype_of(path, "output", value) for value in graph.output}
    requests = {readable_name(name): request for name, request in requests.items()}
    fixed = fixed_values(path, graph, requests)
    constants = {tensor.name for tensor in graph.initializer} | fixed.keys()
    variables = [value for value in graph.input if value.name not in constants]
    unknown = requests.keys() - fixed.keys() - {value.name for value in variables}
    if any(entry.key == EXPORTER_KEY for entry in model.metadata_props):
        # A trace keeps what follows from a fixed value, and may drop the input itself.
        unknown = {name for name in unknown if not requests[name].values}
    if unknown:
        names = ", ".join(value.name for value in variables)
        raise UsageError(f"{path.name} has no input '{min(unknown)}'; its inputs are {names}.")
    if not variables:
        raise ModelError(f"{path.name} has no inputs: its output is always the same.")
    _refuse_unused(path, graph, [value.name for value in variables])
    inputs = tuple(_input(path, value, requests.get(value.name)) for value in variables)
    reshaped = reshaped_inputs(variables, inputs)
    source = OnnxSource(
        path=path,
        inputs=inputs,
        output_dtypes=output_dtypes,
        output_shapes={} if reshaped else _stated_shapes(graph),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        nodes=nodes,
        data_files=loaded.data.files,
        data_folder=loaded.data.folder,
        is_marked=model is not whole,
        fixed=fixed,
        as_filed=model is whole and not (loaded.is_changed or fixed or reshaped),
        notes=(*loaded.notes, *_notes(requests, fixed, reshaped)),
        channels_last=channels_last(graph),
        held=None if loaded.data.files or path.stat().st_size > _HELD_BYTES else model,
    )
    if reshaped:
        check_new_shapes(path.name, prepared(source), inputs, reshaped)
    return source


def _stated_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    stated = {}
    for value in graph.output:
        sizes = [size or 0 for size in sizes_of(value) or ()]
        if sizes and min(sizes) > 0:
            stated[value.name] = tuple(sizes)
    return stated


def prepared(source: OnnxSource, *, external: bool = True) -> onnx.ModelProto:
    """The model with fixed shapes, and with an IR version that everything here reads.

    Without its ``external`` data where that is False.
    Initializers are taken off the list of inputs, inputs with a fixed value become some, and
    shapes that were inferred for others are dropped. What the model computes is not touched.
    """
    model = _own_copy(source, external=external)
    graph = model.graph
    fix_inputs(graph, source.fixed)
    wanted = {tensor.name: tensor for tensor in source.inputs}
    kept = [value for value in graph.input if value.name in wanted]
    dynamic = source.fixed or any(sizes_of(value) != wanted[value.name].shape for value in kept)
    for value in kept:
        open_axes = {entry.axis for entry in wanted[value.name].ranges}
        dims = value.type.tensor_type.shape.dim
        # The file's own words for open axes stay: two axes of one word have one size.
        words = [dim.dim_param for dim in dims] or [""] * len(wanted[value.name].shape)
        del dims[:]
        for axis, (size, word) in enumerate(zip(wanted[value.name].shape, words, strict=True)):
            if axis in open_axes:
                dims.add().dim_param = word or f"{value.name}_{axis}"
            else:
                dims.add().dim_value = size
    del graph.input[:]
    graph.input.extend(kept)
    if dynamic:
        del graph.value_info[:]
        for value in graph.output:
            value.type.tensor_type.ClearField("shape")
    model.ir_version = max(LEAST_IR_VERSION, min(model.ir_version, _IR_VERSION))
    return model


def _own_copy(source: OnnxSource, *, external: bool) -> onnx.ModelProto:
    """What the file holds, without marks, to be changed."""
    import onnx

    if source.held is None:
        model = load_file(source.path, external=external).model
        return without_marks(model) if source.is_marked else model
    model = onnx.ModelProto()
    model.CopyFrom(source.held)
    return model


def tensor_names(source: OnnxSource) -> tuple[str, ...]:
    """The names of all tensors that the model's nodes make, in the file's order.

    Sequences, optional values and maps are none.
    """
    model = source.held or _own_copy(source, external=False)
    others = no_tensors(model)
    made = (name for node in model.graph.node for name in node.output)
    return tuple(name for name in made if name and name not in others)


def with_outputs(source: OnnxSource, tensors: Sequence[str]) -> onnx.ModelProto:
    """The prepared model with other outputs, any tensors of it; its external data stay outside."""
    import onnx

    model = prepared(source, external=False)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    return model


def write_prepared(source: OnnxSource, target: Path) -> None:
    """Write the prepared model as one file."""
    import onnx

    try:
        onnx.save(prepared(source), target)
    except ValueError as error:
        raise ModelError(
            f"{source.path.name} is larger than one ONNX file may be (2 GB)."
        ) from error


def _nodes(model: onnx.ModelProto) -> tuple[SourceNode, ...]:
    """All nodes but calls of the model's own functions; ModelError for one newer than onnx."""
    import onnx

    functions = {(function.domain, function.name) for function in model.functions}
    versions = {entry.domain: entry.version for entry in model.opset_import}
    nodes = []
    bodies = [model.graph.node, *(function.node for function in called_functions(model))]
    for node in (node for body in bodies for node in nodes_within(body)):
        name = node.name or (node.output[0] if node.output else "?")
        if (node.domain, node.op_type) in functions:
            continue
        if node.domain in OWN_DOMAINS and not onnx.defs.has(node.op_type, domain=""):
            raise ModelError(
                f"Operator '{node.op_type}' (node '{name}') is not an operator of ONNX up to opset "
                f"{onnx.defs.onnx_opset_version()}; the model's is {versions.get('', '?')}."
            )
        strange = () if node.domain in OWN_DOMAINS else node.attribute
        nodes.append(
            SourceNode(
                operator=node.op_type,
                domain=node.domain,
                name=name,
                attributes=tuple(entry.name for entry in strange),
            )
        )
    return tuple(nodes)


def _notes(
    requests: Mapping[str, InputRequest],
    fixed: Mapping[str, NDArray[Any]],
    reshaped: Mapping[str, tuple[int | None, ...]],
) -> list[str]:
    notes = [
        f"The input '{name}' is fixed by --input {request.word}: it is a constant"
        + (f" of {format_shape(fixed[name].shape)} {fixed[name].dtype}" if name in fixed else "")
        + " now."
        for name, request in requests.items()
        if request.values
    ]
    return notes + [
        f"The input '{name}' is {format_shape(requests[name].shape)} instead of "
        f"{'x'.join('?' if size is None else str(size) for size in dims)} as in the file."
        for name, dims in reshaped.items()
    ]


def _refuse_unused(path: Path, graph: onnx.GraphProto, names: Sequence[str]) -> None:
    used = {name for node in graph.node for name in tensors_read(node)}
    used |= {value.name for value in graph.output}
    sizes = {value.name: sizes_of(value) for value in graph.input}
    for name in names:
        if name not in used:
            known = sizes[name] is not None and None not in (sizes[name] or ())
            shape = "" if known else f":{suggest_shape(sizes[name])}"
            raise ModelError(
                f"The input '{name}' of {path.name} is used by no node.",
                remedy="Export the model without it, or leave it out here: "
                f"--input {name}{shape}=0.",
            )


def _input(path: Path, value: onnx.ValueInfoProto, request: InputRequest | None) -> SourceTensor:
    dtype = dtype_of(path, "input", value)
    dims = sizes_of(value)
    if request is None:
        if dims is None or any(size is None for size in dims):
            raise ModelError(
                f"The input '{value.name}' of {path.name} has dynamic axes ({spell_sizes(value)}).",
                remedy=f"Give its shape: --input {value.name}:{suggest_shape(dims)}.",
            )
        request = InputRequest(shape=tuple(size for size in dims if size is not None))
    else:
        _check_request(path, value, dims, request)
    if request.dtype not in (None, dtype):
        raise UsageError(
            f"The input '{value.name}' of {path.name} is {dtype}, not {request.dtype}."
        )
    shape = request.shape
    if 0 in shape:
        raise ModelError(f"The input '{value.name}' of {path.name} has an axis of size 0.")
    if too_large(shape):
        raise ModelError(
            f"The input '{value.name}' of {path.name} is {format_shape(shape)}: too large."
        )
    return SourceTensor(name=value.name, shape=shape, dtype=dtype, ranges=request.ranges)


def _check_request(
    path: Path,
    value: onnx.ValueInfoProto,
    dims: tuple[int | None, ...] | None,
    request: InputRequest,
) -> None:
    given = request.shape
    if dims is not None and len(dims) != len(given):
        raise UsageError(
            f"The input '{value.name}' of {path.name} is {spell_sizes(value)}, "
            f"the shape given for it {format_shape(given)}."
        )
