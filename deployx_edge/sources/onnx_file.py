"""ONNX files: what they hold, and a copy of fixed shapes that everything here can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import AxisRange, InputRequest, format_shape, too_large
from deployx_edge.sources.marks import find_marks, without_marks

if TYPE_CHECKING:
    import onnx


# The prepared copy says this IR version: pnnx knows none above 13, and from 4 on the
# initializers need not be listed among the inputs.
_IR_VERSION = 8
DEFAULT_DOMAINS = ("", "ai.onnx")


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
    """A node of the file; ``name`` is that of its first output where it has none."""

    operator: str
    domain: str
    name: str


@dataclass(frozen=True, kw_only=True)
class OnnxSource:
    """What an ONNX file says: its inputs and outputs, its metadata, and its nodes.

    ``nodes`` are those of the graph and of the functions that it calls; ``data_files`` the
    external data files beside it. ``is_marked``: the file holds marks, which only this package
    reads; they are no part of what is said here.
    """

    path: Path
    inputs: tuple[SourceTensor, ...]
    output_dtypes: Mapping[str, str]
    metadata: Mapping[str, str]
    nodes: tuple[SourceNode, ...]
    data_files: tuple[Path, ...]
    is_marked: bool = False

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, in the file's order."""
        return tuple(self.output_dtypes)


def read_onnx(path: Path, requests: Mapping[str, InputRequest]) -> OnnxSource:
    """Read an ONNX file without its external data.

    ``requests`` gives the shapes of inputs with dynamic axes. Raises ModelError where the
    file is broken, newer than the ``onnx`` package, or has an input with dynamic axes and no
    shape given; UsageError where ``requests`` contradicts it.
    """
    whole = _load(path, external=False)
    model = without_marks(whole) if find_marks(whole) else whole
    graph = model.graph
    nodes = _nodes(model)
    output_dtypes = {value.name: _dtype(path, "output", value) for value in graph.output}
    fixed = {tensor.name for tensor in graph.initializer}
    fixed |= {tensor.values.name for tensor in graph.sparse_initializer}
    variables = [value for value in graph.input if value.name not in fixed]
    unknown = [name for name in requests if name not in {value.name for value in variables}]
    if unknown:
        names = ", ".join(value.name for value in variables)
        raise UsageError(f"{path.name} has no input '{unknown[0]}'; its inputs are {names}.")
    if not variables:
        raise ModelError(f"{path.name} has no inputs: its output is always the same.")
    _refuse_unused(path, graph, [value.name for value in variables])
    return OnnxSource(
        path=path,
        inputs=tuple(_input(path, value, requests.get(value.name)) for value in variables),
        output_dtypes=output_dtypes,
        metadata={entry.key: entry.value for entry in model.metadata_props},
        nodes=nodes,
        data_files=_data_files(path, model),
        is_marked=model is not whole,
    )


def prepared(source: OnnxSource, *, external: bool = True) -> onnx.ModelProto:
    """The model with fixed shapes, and with an IR version that everything here reads.

    Without its ``external`` data where that is False.
    Initializers are taken off the list of inputs, and shapes that were inferred for
    dynamic axes are dropped. What the model computes is not touched.
    """
    model = _load(source.path, external=external)
    if source.is_marked:
        model = without_marks(model)
    graph = model.graph
    wanted = {tensor.name: tensor for tensor in source.inputs}
    kept = [value for value in graph.input if value.name in wanted]
    dynamic = any(_dims(value) != wanted[value.name].shape for value in kept)
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
    model.ir_version = min(model.ir_version, _IR_VERSION)
    return model


def load_whole(path: Path) -> onnx.ModelProto:
    """The model with its external data; ModelError where the file is broken."""
    return _load(path, external=True)


def tensor_names(source: OnnxSource) -> tuple[str, ...]:
    """The names of all tensors that the model's nodes make, in the file's order."""
    model = _load(source.path, external=False)
    if source.is_marked:
        model = without_marks(model)
    return tuple(name for node in model.graph.node for name in node.output if name)


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


def _load(path: Path, *, external: bool) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=external)
    except DecodeError as error:
        raise ModelError(
            f"{path} is not an ONNX file, or only a part of one.",
            remedy="Export or copy it again.",
        ) from error
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename or path} does not exist.") from error
    except Exception as error:  # onnx checks external data by exceptions of many kinds
        raise ModelError(f"{path} cannot be read: {one_line(error)}.") from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(
            f"{path} is not a whole ONNX model: it has no nodes or no outputs.",
            remedy="Export or copy it again.",
        )
    return model


def _nodes(model: onnx.ModelProto) -> tuple[SourceNode, ...]:
    """All nodes but calls of the model's own functions; ModelError for one newer than onnx."""
    import onnx

    functions = {(function.domain, function.name) for function in model.functions}
    versions = {entry.domain: entry.version for entry in model.opset_import}
    nodes = []
    bodies = [model.graph.node, *(function.node for function in model.functions)]
    for node in (node for body in bodies for node in body):
        name = node.name or (node.output[0] if node.output else "?")
        if (node.domain, node.op_type) in functions:
            continue
        if node.domain in DEFAULT_DOMAINS and not onnx.defs.has(node.op_type, domain=""):
            raise ModelError(
                f"Operator '{node.op_type}' (node '{name}') is no operator of ONNX up to opset "
                f"{onnx.defs.onnx_opset_version()}; the model's is {versions.get('', '?')}."
            )
        nodes.append(SourceNode(operator=node.op_type, domain=node.domain, name=name))
    return tuple(nodes)


def _refuse_unused(path: Path, graph: onnx.GraphProto, names: Sequence[str]) -> None:
    used = {name for node in graph.node for name in node.input}
    for name in names:
        if name not in used:
            raise ModelError(
                f"The input '{name}' of {path.name} is used by no node.",
                remedy="Export the model without it.",
            )


def _input(path: Path, value: onnx.ValueInfoProto, request: InputRequest | None) -> SourceTensor:
    dtype = _dtype(path, "input", value)
    dims = _dims(value)
    if request is None:
        if dims is None or any(size is None for size in dims):
            raise ModelError(
                f"The input '{value.name}' of {path.name} has dynamic axes ({_spelled(value)}).",
                remedy=f"Give its shape: --input {value.name}:{_suggestion(dims)}.",
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
    fits = dims is None or (
        len(dims) == len(given)
        and all(size in (None, wanted) for size, wanted in zip(dims, given, strict=True))
        and all(dims[entry.axis] is None for entry in request.ranges)
    )
    if not fits:
        raise UsageError(
            f"The input '{value.name}' of {path.name} is {_spelled(value)}, "
            f"the shape given for it {format_shape(given)}."
        )


def _dtype(path: Path, kind: str, value: onnx.ValueInfoProto) -> str:
    """The element type by NumPy's name; ModelError for what is no tensor."""
    import onnx

    if not value.type.HasField("tensor_type"):
        raise ModelError(f"The {kind} '{value.name}' of {path.name} is not a tensor.")
    found = value.type.tensor_type.elem_type
    word = onnx.TensorProto.DataType.Name(found).lower()
    return {"float": "float32", "double": "float64"}.get(word, word)


def _dims(value: onnx.ValueInfoProto) -> tuple[int | None, ...] | None:
    """The axes' sizes, None for a dynamic one; None where not even their number is known."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value >= 0 else None
        for dim in tensor.shape.dim
    )


def _spelled(value: onnx.ValueInfoProto) -> str:
    if not value.type.tensor_type.HasField("shape"):
        return "of unknown rank"
    dims = value.type.tensor_type.shape.dim
    return "x".join(
        str(dim.dim_value) if dim.HasField("dim_value") else dim.dim_param or "?" for dim in dims
    )


def _suggestion(dims: tuple[int | None, ...] | None) -> str:
    """A shape of the right rank: 1 sample, and 224 for the other axes that are unknown."""
    if dims is None:
        return "1x3x224x224"
    return "x".join(
        str(size if size is not None else 1 if axis == 0 else 224) for axis, size in enumerate(dims)
    )


def _data_files(path: Path, model: onnx.ModelProto) -> tuple[Path, ...]:
    locations = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    files = tuple(path.parent / location for location in sorted(locations))
    for file in files:
        if not file.is_file():
            raise ModelError(
                f"{path.name} keeps its weights in '{file.name}', which is not beside it.",
                remedy="Copy that file as well.",
            )
    return files


def one_line(error: object) -> str:
    """An exception's text on one line, cut to what a person reads."""
    return " ".join(str(error).split())[:300].rstrip(".")
