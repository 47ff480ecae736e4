"""The narrow interface behind which a model becomes a runtime's files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.bundle import LeftNode
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import MAX_RUNTIME_DIMS, TensorSpec, format_shape
from deployx_edge.runtime import find_runtime
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLOSE = 0.6  # of difflib: what still looks like a misspelling
LAYOUTS = {2: "NC", 3: "NCW", 4: "NCHW", 5: "NCDHW"}


@dataclass(frozen=True, kw_only=True)
class KeptFloat:
    """A layer that stays fp32 where the rest has fewer bits.

    ``why``: "asked" for by its name, as its "sums" inside reach ``largest``, as its "values", of
    which ``tensor`` reaches ``largest`` (where that was measured), or as its "weights" are beyond
    half floats.
    """

    layer: str
    why: str
    tensor: str = ""
    largest: float = 0.0


@dataclass(frozen=True, kw_only=True)
class HalfOverflows:
    """What is beyond half floats in runs of a model, with its largest absolute value.

    ``tensors`` by the names that the runtime's files have for them; ``sums`` are the layers that
    add up more inside than half floats hold, though what goes in and comes out may be small.
    """

    tensors: Mapping[str, float] = field(default_factory=dict)
    sums: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StoredLayer:
    """A layer of an fp32 model for ncnn, and where in its file of weights its own begin and end.

    ``params`` as in ``ncnn_format.Layer``; ``weights`` are the places of the floats of each.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: tuple[tuple[int, str], ...]
    begin: int
    end: int
    weights: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class ConvertedModel:
    """A runtime's files, in the folder that was given, and what goes in and out of them.

    ``files`` are (role, path); ``kept_float`` are the layers that stay fp32 where the rest has
    fewer bits, and why. ``layers`` are there where the sums inside them can be looked at while the
    model runs: of ncnn in fp32, each reading blobs that no other does. ``operators`` are those of
    our own (``ops/``) that run in it. ``soc`` is the chip that they are for, "" for all. ``left``
    are nodes that the runtime leaves to the processor, as was allowed; any other that it leaves is
    an error. Nothing is said yet about whether the files compute the same.
    """

    runtime: str
    precision: str
    files: tuple[tuple[str, Path], ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    kept_float: tuple[KeptFloat, ...] = ()
    layers: tuple[StoredLayer, ...] = ()
    operators: tuple[str, ...] = ()
    soc: str = ""
    left: tuple[LeftNode, ...] = ()

    @property
    def rounds_to(self) -> str:
        """The precision that it is computed in, whose limits hold for what it gives."""
        is_rounded = self.precision == "fp32" and find_runtime(self.runtime).half_floats
        return "fp16" if is_rounded else self.precision

    def path(self, role: str) -> Path:
        """The file of that role."""
        return dict(self.files)[role]


def layout_of(tensor: SourceTensor, channels_last: Collection[str]) -> str:
    """The names of the tensor's axes, "" where there are none for it."""
    if tensor.name in channels_last and len(tensor.shape) > 2:
        return "NHWC" if len(tensor.shape) == 4 else ""
    return LAYOUTS.get(len(tensor.shape), "")


def tensor_spec(
    source: OnnxSource, tensor: SourceTensor, blob: str, batch_axis: int | None
) -> TensorSpec:
    """What the bundle says of an input or output; ModelError where ncnn cannot have its shape."""
    spec = TensorSpec(
        name=tensor.name,
        runtime_name=blob,
        dtype="float32",
        shape=tensor.shape,
        layout=layout_of(tensor, source.channels_last) if batch_axis == 0 else "",
        batch_axis=batch_axis,
    )
    if len(spec.sample_shape) > MAX_RUNTIME_DIMS:
        raise ModelError(
            f"'{tensor.name}' of {source.path.name} is {format_shape(tensor.shape)}; "
            f"ncnn has at most {MAX_RUNTIME_DIMS} dimensions besides the batch."
        )
    return spec


def input_specs(source: OnnxSource) -> tuple[TensorSpec, ...]:
    """The source's inputs as a bundle describes them, with their own names."""
    return tuple(_own_spec(tensor, source.channels_last) for tensor in source.inputs)


def output_specs(
    outputs: Sequence[SourceTensor], channels_last: Collection[str] = ()
) -> tuple[TensorSpec, ...]:
    """The outputs likewise."""
    return tuple(_own_spec(tensor, channels_last) for tensor in outputs)


def _own_spec(tensor: SourceTensor, channels_last: Collection[str]) -> TensorSpec:
    return TensorSpec(
        name=tensor.name,
        runtime_name=tensor.name,
        dtype=tensor.dtype,
        shape=tensor.shape,
        layout=layout_of(tensor, channels_last),
        batch_axis=0 if len(tensor.shape) > 1 and tensor.shape[0] == 1 else None,
        ranges=tensor.ranges,
    )


@dataclass(frozen=True, kw_only=True)
class LayerScales:
    """The scales of an int8 layer: what one unit of its quantized values stands for.

    ``weight_scales`` one an output. ``activation_scale`` is that of what goes in; both None where
    the runtime finds it in each run, and the layer's weights are quantized when they are written.
    """

    activation_scale: float | None = None
    weight_scales: NDArray[Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ConversionRequest:
    """What is to come of a model.

    ``outputs`` are the source's, with the shapes that they have for its inputs' shapes.
    ``precision`` is one of the converter's; ``wide`` are tensors of the source with values beyond
    what 16 bits hold, ``overflows`` what the converter found so itself, ``keep_float`` layers by
    their names: all of these stay fp32. ``scales`` names the nodes whose layers become int8
    (``precision`` "int8"). ``soc`` is the chip that the files are for, "" for the usual one.
    ``allow_fallback``: nodes that the runtime leaves to the processor are told, not refused.
    ``folder`` is empty, and the caller's to delete.
    """

    outputs: tuple[SourceTensor, ...]
    precision: str
    folder: Path
    wide: frozenset[str] = frozenset()
    overflows: HalfOverflows = field(default_factory=HalfOverflows)
    keep_float: tuple[str, ...] = ()
    scales: Mapping[str, LayerScales] = field(default_factory=dict)
    soc: str = ""
    allow_fallback: bool = False


class LeftNodesError(ModelError):
    """A runtime does not compute a model as a whole; ``nodes`` are those that it leaves to the
    processor, which who asks may allow."""

    def __init__(self, message: str, nodes: tuple[LeftNode, ...], *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.nodes = nodes


def refuse_unknown(names: Sequence[str], known: Sequence[str], *, remedy: str) -> None:
    """UsageError for a name that is not a layer's, with the nearest that are."""
    import difflib

    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=_CLOSE) or known[:1]
            question = f" Did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(
                f"There is no layer '{name}' to keep in float.{question}", remedy=remedy
            )


class Converter(Protocol):
    """Turns an ONNX model into a runtime's files."""

    @property
    def runtime(self) -> str:
        """The runtime that its files are for."""
        ...

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions of stored weights that it can write."""
        ...

    @property
    def keeps_names(self) -> bool:
        """Whether layers have the names of the model's nodes."""
        ...

    @property
    def halves_fp32(self) -> bool:
        """Whether boards run its fp32 files in half floats where that is wanted."""
        ...

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The tools whose versions decide what comes out, as (name, version)."""
        ...

    def check(self, source: OnnxSource) -> None:
        """Raise ModelError where the runtime can in no way have the model.

        LeftNodesError where all that keeps it from having the whole are nodes for the processor.
        """
        ...

    def find_overflows(
        self, source: OnnxSource, inputs: Sequence[Mapping[str, NDArray[Any]]], precision: str
    ) -> HalfOverflows:
        """What boards would overflow in half floats, by runs on ``inputs``, which map names.

        Nothing for files of ``precision`` that never run in half floats.
        """
        ...

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        """Write the runtime's files; ModelError, naming operator and node where it can."""
        ...

    def doubts(self, source: OnnxSource) -> tuple[str, ...]:
        """Operators in ``source`` that this converter is known to get wrong at times.

        Each as ``Operator (node 'name')``; for the error message when numbers differ.
        """
        ...
