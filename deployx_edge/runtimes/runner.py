"""Converted models run on this computer, by the runtimes' own Python packages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.comparison import LIMITS, TensorComparison
from deployx_edge.differences import Values, WholeValues
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import TensorSpec, from_runtime_array, to_runtime_arrays
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.runtimes.ncnn.native.names import readable
from deployx_edge.runtimes.ncnn.requantized import code_scales
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, NcnnProcess, RuntimeArray, is_large

if TYPE_CHECKING:
    from deployx_edge.model import Array

Arrays = Mapping[str, "Array"]


@dataclass(frozen=True, kw_only=True)
class Maker:
    """The layer of a converted model that makes a tensor, and the runtime's name for that."""

    layer: str
    type: str
    blob: str


# Is given the runtime's name for a tensor and its values, in the runtime's own shape; they are
# taken before it returns.
Take = Callable[[str, Values], None]


def take_nothing(blob: str, values: Values) -> None:
    """Takes nothing."""


def take_into(found: dict[str, Array]) -> Take:
    """Puts the arrays there, by the runtime's names."""

    def take(blob: str, values: Values) -> None:
        found[blob] = values.whole()

    return take


class OpenModel(Protocol):
    """A converted model that is loaded in its runtime.

    ``overflows`` is what half floats could not hold in the runs that were to ``measure`` that,
    None where it is not looked at.
    """

    overflows: HalfOverflows | None

    def run(
        self,
        arrays: Arrays,
        blobs: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """The model's outputs by name; ``take`` gets the ``blobs`` in the order of the layers.

        Outputs have the source's shape where they fit it, else the runtime's own.
        """
        ...


class HostRuntime(Protocol):
    """One runtime on this computer."""

    def open(self, model: ConvertedModel) -> AbstractContextManager[OpenModel]:
        """Load the model; ModelError where the runtime refuses it."""
        ...

    def makers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Maker]:
        """Those of the source's tensors that the model makes too, in the order of its layers."""
        ...

    def blobs(self, model: ConvertedModel) -> tuple[str, ...]:
        """The names of all that the model's layers make."""
        ...


def run_converted(model: ConvertedModel, inputs: Sequence[Arrays]) -> tuple[dict[str, Array], ...]:
    """The converted model's outputs by name for each set of inputs (see ``OpenModel``)."""
    with open_converted(model) as opened:
        return tuple(opened.run(arrays) for arrays in inputs)


def open_converted(model: ConvertedModel) -> AbstractContextManager[OpenModel]:
    """The converted model, loaded on this computer."""
    return HOSTS[model.runtime].open(model)


class _OpenNcnnModel:
    def __init__(self, model: ConvertedModel, process: NcnnProcess) -> None:
        self._model = model
        self._process = process
        self._scales = code_scales(model)
        tops = [top for layer in read_param(model.path("param")) for top in layer.tops]
        self._places = {top: place for place, top in enumerate(tops)}
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        blobs: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; a batch runs sample by sample, as on a board."""
        outputs = [spec.blob for spec in self._model.outputs]
        ready = to_runtime_arrays(self._model.inputs, arrays)
        kept: list[dict[str, Array]] = []
        for sample in [ready] if blobs else _samples(ready):
            kept.append({})
            wanted = self._in_order([*outputs, *blobs])
            for blob, values in self._process.run(sample, wanted, measure=measure):
                shown = values
                if blob in outputs:
                    kept[-1][blob] = values.whole()
                    shown = WholeValues(kept[-1][blob])
                if blob not in blobs:
                    continue
                if blob in self._scales:
                    shown = WholeValues(shown.whole() / self._scales[blob])
                take(blob, shown)
        if measure and self._model.layers:
            self.overflows = self._process.overflows
        return {
            spec.name: _restored(spec, [run[spec.blob] for run in kept])
            for spec in self._model.outputs
        }

    def _in_order(self, blobs: Sequence[str]) -> list[str]:
        return sorted(dict.fromkeys(blobs), key=lambda blob: self._places.get(blob, -1))


class NcnnHost:
    """ncnn's wheel, in a process of its own."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``HostRuntime``."""
        with NcnnProcess(_files(model)) as process:
            yield _OpenNcnnModel(model, process)

    def makers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Maker]:
        """See ``HostRuntime``; none where a converter renamed what goes in."""
        tensors = {readable(name): name for name in names}
        # A converter that renames may by chance give a tensor's name to another.
        if any(spec.blob != readable(spec.name) for spec in model.inputs):
            return {}
        return {
            tensors[top]: Maker(layer=layer.name, type=layer.type, blob=top)
            for layer in read_param(model.path("param"))
            for top in layer.tops
            if top in tensors and layer.type != "Input"
        }

    def blobs(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``HostRuntime``."""
        layers = read_param(model.path("param"))
        return tuple(top for layer in layers if layer.type != "Input" for top in layer.tops)


class _OpenOnnxModel:
    def __init__(self, model: ConvertedModel) -> None:
        self._model = model
        self._path = model.path("onnx")
        self._sessions: dict[tuple[str, ...], Any] = {}
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        blobs: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; half floats are given as float32.

        Outputs come from a session of their own: who asks for what is inside stops ONNX Runtime
        from joining nodes, and it is to run as it does on a board.
        """
        check_arrays(self._model.inputs, [arrays])
        outputs = self._tensors(arrays, [spec.name for spec in self._model.outputs])
        if blobs:
            for blob, array in self._tensors(arrays, blobs).items():
                take(blob, WholeValues(array))
        return outputs

    def _tensors(self, arrays: Arrays, blobs: Sequence[str]) -> dict[str, Array]:
        import numpy as np

        names = list(dict.fromkeys(blobs))
        try:
            results = self._session(tuple(names)).run(names, dict(arrays))
        except Exception as error:  # its exceptions share no other base
            raise ModelError(f"{self._path.name} does not run in ONNX Runtime: {error}.") from error
        return {
            name: array.astype(np.float32) if array.dtype == np.float16 else array
            for name, array in zip(names, results, strict=True)
        }

    def _session(self, names: tuple[str, ...]) -> Any:
        from deployx_edge.graph.onnx_runtime import open_with_outputs

        if names not in self._sessions:
            self._sessions[names] = open_with_outputs(self._path, names)
        return self._sessions[names]


class OnnxRuntimeHost:
    """ONNX Runtime on the CPU, in this process."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``HostRuntime``."""
        yield _OpenOnnxModel(model)

    def makers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Maker]:
        """See ``HostRuntime``."""
        import onnx

        graph = onnx.load(model.path("onnx"), load_external_data=False).graph
        wanted = set(names)
        return {
            name: Maker(layer=node.name or name, type=node.op_type, blob=name)
            for node in graph.node
            for name in node.output
            if name in wanted
        }

    def blobs(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``HostRuntime``."""
        import onnx

        graph = onnx.load(model.path("onnx"), load_external_data=False).graph
        return tuple(name for node in graph.node for name in node.output if name)


HOSTS: dict[str, HostRuntime] = {"ncnn": NcnnHost(), "onnxruntime": OnnxRuntimeHost()}


def is_changed_by_optimisations(model: ConvertedModel, inputs: Sequence[Arrays]) -> bool:
    """Whether ONNX Runtime's optimisations of the graph change what the model computes.

    Beyond the limits of its precision; False for other runtimes.
    """
    if model.runtime != "onnxruntime":
        return False
    from deployx_edge.graph.onnx_runtime import open_model

    names = [spec.name for spec in model.outputs]
    plain = open_model(str(model.path("onnx")))
    comparisons = [TensorComparison(name) for name in names]
    with open_converted(model) as opened:
        for arrays in inputs:
            wanted, found = plain.run(names, dict(arrays)), opened.run(arrays)
            for comparison, array in zip(comparisons, wanted, strict=True):
                comparison.add(array, found[comparison.name])
    limits = LIMITS[model.precision]
    return any(each.check(limits).verdict == "differs" for each in comparisons)


def check_arrays(specs: Sequence[TensorSpec], inputs: Sequence[Mapping[str, Any]]) -> None:
    """UsageError where an array is missing, or has not the type or the bounds of its input."""
    for arrays in inputs:
        for spec in specs:
            if spec.name not in arrays:
                given = ", ".join(arrays) or "none"
                raise UsageError(f"There is no array for the input '{spec.name}', only {given}.")
            spec.check(arrays[spec.name])


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
