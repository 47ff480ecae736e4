"""ncnn on this computer, as what runs converted models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployx_edge.differences import WholeValues
from deployx_edge.errors import UsageError
from deployx_edge.model import TensorSpec, from_runtime_array, to_runtime_arrays
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.runtimes.ncnn.matching import match_by_weights
from deployx_edge.runtimes.ncnn.native.names import readable
from deployx_edge.runtimes.ncnn.native.quantized import RECURRENT
from deployx_edge.runtimes.ncnn.requantized import restored, rounded, scales_of_quantized
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, NcnnProcess, RuntimeArray, is_large
from deployx_edge.runtimes.runner import Arrays, Culprit, OpenModel, Producer, Take, take_nothing
from deployx_edge.sources.onnx.canonical import canonical
from deployx_edge.sources.onnx.file import OnnxSource

if TYPE_CHECKING:
    from deployx_edge.model import Array


class _OpenNcnnModel:
    def __init__(self, model: ConvertedModel, process: NcnnProcess) -> None:
        self._model = model
        self._process = process
        self._scales = scales_of_quantized(model)
        tops = [top for layer in read_param(model.path("param")) for top in layer.tops]
        self._places = {top: place for place, top in enumerate(tops)}
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        inner: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; a batch runs sample by sample, as on a board."""
        outputs = [spec.runtime_name for spec in self._model.outputs]
        ready = to_runtime_arrays(self._model.inputs, arrays)
        kept: list[dict[str, Array]] = []
        for sample in [ready] if inner else _samples(ready):
            kept.append({})
            wanted = self._in_order([*outputs, *inner])
            for name, values in self._process.run(sample, wanted, measure=measure):
                shown = values
                if name in outputs:
                    kept[-1][name] = values.whole()
                    shown = WholeValues(kept[-1][name])
                if name not in inner:
                    continue
                if name in self._scales:
                    shown = WholeValues(shown.whole() / self._scales[name])
                take(name, shown)
        if measure and self._model.layers:
            self.overflows = self._process.overflows
        return {
            spec.name: _restored(spec, [run[spec.runtime_name] for run in kept])
            for spec in self._model.outputs
        }

    def _in_order(self, inner: Sequence[str]) -> list[str]:
        return sorted(dict.fromkeys(inner), key=lambda name: self._places.get(name, -1))


class NcnnRunner:
    """ncnn's wheel, in a process of its own (see ``Runner``)."""

    step_quantized = RECURRENT

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        with NcnnProcess(_files(model)) as process:
            yield _OpenNcnnModel(model, process)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``; none where a converter renamed what goes in."""
        tensors = {readable(name): name for name in names}
        # A converter that renames may by chance give a tensor's name to another.
        if any(spec.runtime_name != readable(spec.name) for spec in model.inputs):
            return {}
        return {
            tensors[top]: Producer(layer=layer.name, type=layer.type, runtime_name=top)
            for layer in read_param(model.path("param"))
            for top in layer.tops
            if top in tensors and layer.type != "Input"
        }

    def matched(self, model: ConvertedModel, source: OnnxSource) -> Mapping[str, Producer]:
        """See ``Runner``; by the number of weights and their order."""
        return match_by_weights(read_param(model.path("param")), canonical(source).model)

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        layers = read_param(model.path("param"))
        return tuple(top for layer in layers if layer.type != "Input" for top in layer.tops)

    def name_of(self, tensor: str) -> str:
        """See ``Runner``."""
        return readable(tensor)

    def as_values(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """See ``Runner``."""
        return restored(scales_of_quantized(model), tensors)

    def as_handed_on(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """See ``Runner``."""
        return rounded(scales_of_quantized(model), tensors)

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``; nothing is known of ncnn."""
        return None


def _files(model: ConvertedModel) -> NcnnModel:
    return NcnnModel(
        param=model.path("param"),
        bin=model.path("bin"),
        precision=model.precision,
        is_large=is_large(sum(math.prod(spec.shape) for spec in model.inputs)),
        layers=model.layers,
    )


def _samples(arrays: Mapping[str, RuntimeArray]) -> list[dict[str, RuntimeArray]]:
    """The runs that a set of inputs takes: sample by sample, as the worker on a board does."""
    counts = {array.shape[0] for array, batched in arrays.values() if batched}
    if not counts:
        return [dict(arrays)]
    return [
        {blob: (array[i] if batched else array, False) for blob, (array, batched) in arrays.items()}
        for i in range(counts.pop())
    ]


def _restored(spec: TensorSpec, arrays: Sequence[Array]) -> Array:
    import numpy as np

    single = len(arrays) == 1
    try:
        return from_runtime_array(
            spec,
            arrays[0] if single else np.stack(arrays),
            batched=not single and spec.batch_axis is not None,
        )
    except (UsageError, ValueError):
        return arrays[0]  # the comparison names both shapes
