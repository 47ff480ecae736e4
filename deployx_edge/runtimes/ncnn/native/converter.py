"""The converter of our own behind the interface that all converters have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deployx_edge import __version__
from deployx_edge.errors import ModelError
from deployx_edge.graph.passes import NCNN_FUSIONS, NCNN_PASSES, widened
from deployx_edge.model import TensorSpec
from deployx_edge.runtimes.batches import for_one_sample, takes_batches
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    HalfOverflows,
    refuse_unknown,
    tensor_spec,
)
from deployx_edge.runtimes.ncnn.files import STORED_PRECISIONS
from deployx_edge.runtimes.ncnn.half_sums import half_overflows
from deployx_edge.runtimes.ncnn.limits import refuse_for_ncnn
from deployx_edge.runtimes.ncnn.native.axes import natural_dims
from deployx_edge.runtimes.ncnn.native.emit import (
    Emitted,
    Refusal,
    emit,
    find_quantizable,
    float_layers,
)
from deployx_edge.runtimes.ncnn.native.graph import Graph, read_graph
from deployx_edge.runtimes.ncnn.native.quantized import QuantizableLayer
from deployx_edge.runtimes.ncnn.wheel import version as ncnn_version
from deployx_edge.sources.onnx.canonical import CanonicalModel, canonical
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NAMED = 3
# Of all tensors in all runs that only measure how large values become.
_MEASURED_VALUES = 100_000_000
_NAMES_REMEDY = "`deployx-edge profile` and the bundle's .param file show the layers by name."


@dataclass(frozen=True, kw_only=True)
class Examined:
    """A model as the native converter reads it, and what becomes of it: files, or why none.

    ``is_batch``: axis 0 counts samples, and ``emitted`` is for one of them.
    """

    canonical: CanonicalModel
    emitted: Emitted
    is_batch: bool


class NativeConverter:
    """``Converter`` for ncnn by the native converter, which is ours."""

    runtime = "ncnn"
    keeps_names = True
    halves_fp32 = True
    precisions = STORED_PRECISIONS

    def __init__(self) -> None:
        # What the last source became: a conversion asks for it again and again.
        self._last: tuple[OnnxSource, CanonicalModel] | None = None

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The versions of ncnn, and of what the model is read and simplified with."""
        from importlib import metadata

        return (
            ("native converter", __version__),
            ("ncnn", ncnn_version()),
            ("onnx", metadata.version("onnx")),
        )

    def check(self, source: OnnxSource) -> None:
        """Raise ModelError for what ncnn has in no form (see ``Converter``)."""
        refuse_for_ncnn(source)

    def find_overflows(
        self, source: OnnxSource, inputs: Sequence[Mapping[str, NDArray[Any]]], precision: str
    ) -> HalfOverflows:
        """See ``Converter``; boards run fp32 files in half floats too, where that is wanted."""
        if precision == "bf16" or not inputs:
            return HalfOverflows()
        # Layers and blobs have the same names whether all samples run at once or one by one.
        for each in (source, for_one_sample(source)):
            graph = self._graph(each)
            layers, blobs = float_layers(graph)
            if layers:
                runs = [_blob_arrays(graph, blobs, each) for each in inputs[: _runs(graph)]]
                return half_overflows(layers, runs)
        return HalfOverflows()

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        """Write ``<stem>.param``, ``<stem>.bin``, of int8 ``<stem>.table`` (see ``Converter``)."""
        examined = self.examine(source, request)
        emitted, is_batch = examined.emitted, examined.is_batch
        if emitted.refusals:
            raise refused(source, emitted.refusals)
        refuse_unknown(request.keep_float, emitted.layers, remedy=_NAMES_REMEDY)
        stem = source.path.stem
        param, weights = request.folder / f"{stem}.param", request.folder / f"{stem}.bin"
        param.write_text(emitted.param, encoding="utf-8")
        weights.write_bytes(emitted.weights)
        files = [("param", param), ("bin", weights)]
        if emitted.table.strip():
            table = request.folder / f"{stem}.table"
            table.write_text(emitted.table, encoding="utf-8")
            files.append(("table", table))
        return ConvertedModel(
            runtime="ncnn",
            precision=request.precision,
            files=tuple(files),
            inputs=_specs(source, source.inputs, emitted.blobs, is_batch=is_batch),
            outputs=_specs(source, request.outputs, emitted.blobs, is_batch=is_batch),
            kept_float=emitted.kept_float,
            layers=emitted.stored,
            operators=emitted.operators,
        )

    def examine(self, source: OnnxSource, request: ConversionRequest) -> Examined:
        """Write the model for ncnn, without writing a file; whoever asks is told the same.

        Without ``request.outputs`` (where the source does not run) no samples are counted. Raises
        ModelError for a model in training mode.
        """
        # ncnn runs one sample at a time.
        if request.outputs and takes_batches(source, request.outputs):
            found = self._examine(for_one_sample(source), request, is_batch=True)
            if not found.emitted.refusals:
                return found
        return self._examine(source, request, is_batch=False)

    def _examine(
        self, source: OnnxSource, request: ConversionRequest, *, is_batch: bool
    ) -> Examined:
        emitted = self._emit(source, request)
        if not emitted.refusals:
            reason = _misfit(source, request, emitted.blobs, is_batch=is_batch)
            whole = Refusal(operator="", node="", reason=reason)
            emitted = replace(emitted, refusals=(whole,) if reason else ())
        return Examined(canonical=self._canonical(source), emitted=emitted, is_batch=is_batch)

    def _canonical(self, source: OnnxSource) -> CanonicalModel:
        if self._last is None or self._last[0] != source:
            self._last = source, canonical(source, NCNN_PASSES, NCNN_FUSIONS)
        return self._last[1]

    def _graph(self, source: OnnxSource) -> Graph:
        model = self._canonical(source)
        return read_graph(model.model, model.shapes)

    def _emit(self, source: OnnxSource, request: ConversionRequest) -> Emitted:
        wide = widened(self._canonical(source).model, request.wide)
        return emit(
            self._graph(source),
            request.precision,
            wide,
            request.scales,
            overflows=request.overflows,
            keep_float=request.keep_float,
        )

    def doubts(self, source: OnnxSource) -> tuple[str, ...]:
        """None: what is in doubt is refused."""
        return ()


def refused(source: OnnxSource, refusals: Sequence[Refusal]) -> ModelError:
    """The error for what ncnn cannot run, naming the first few nodes."""
    words = [
        f"'{item.operator}' (node '{item.node}'): {item.reason}" if item.operator else item.reason
        for item in refusals[:_NAMED]
    ]
    more = f"; and {len(refusals) - _NAMED} more" if len(refusals) > _NAMED else ""
    return ModelError(
        f"{source.path.name} cannot run in ncnn: {'; '.join(words)}{more}.",
        remedy="Rewrite it while exporting, or cut it off the model "
        "(docs/when-an-operator-is-missing.md).",
    )


def quantizable_layers(source: OnnxSource) -> tuple[QuantizableLayer, ...]:
    """The layers with weights that ncnn would run the model with; ModelError where it cannot."""
    model = canonical(source, NCNN_PASSES, NCNN_FUSIONS)
    layers, refusals = find_quantizable(read_graph(model.model, model.shapes))
    if refusals:
        raise refused(source, refusals)
    return layers


def _runs(graph: Graph) -> int:
    """How often a model may run for nothing but to be measured: a large one once."""
    values = sum(math.prod(shape) for shape in graph.shapes.values())
    return max(1, _MEASURED_VALUES // max(values, 1))


def _misfit(
    source: OnnxSource, request: ConversionRequest, blobs: Mapping[str, str], *, is_batch: bool
) -> str:
    """What of the model's inputs and outputs cannot be said in a bundle for ncnn; "" if nothing."""
    unread = [tensor.name for tensor in source.inputs if tensor.name not in blobs]
    if unread:
        return f"the input '{unread[0]}' decides on no output; export the model without it"
    try:
        for tensors in (source.inputs, request.outputs):
            _specs(source, tensors, blobs, is_batch=is_batch)
    except ModelError as error:
        return error.message.rstrip(".")
    return ""


def _blob_arrays(
    graph: Graph, blobs: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """The arrays as the graph's input blobs; of several samples those that it takes at once."""
    import numpy as np

    found = {}
    for tensor, blob in blobs.items():
        shape = graph.shape(tensor)
        values = arrays[tensor].reshape(-1)[: math.prod(shape)]
        found[blob] = np.ascontiguousarray(values.reshape(natural_dims(shape)), dtype=np.float32)
    return found


def _specs(
    source: OnnxSource, tensors: Sequence[SourceTensor], blobs: Mapping[str, str], *, is_batch: bool
) -> tuple[TensorSpec, ...]:
    return tuple(
        tensor_spec(
            source,
            tensor,
            blobs[tensor.name],
            0 if is_batch or (len(tensor.shape) > 1 and tensor.shape[0] == 1) else None,
        )
        for tensor in tensors
    )
