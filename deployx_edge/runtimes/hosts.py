"""Converted models run on this computer, by the runtimes' own Python packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import TensorSpec, from_runtime_array, to_runtime_arrays
from deployx_edge.ncnn_format import read_param
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.emitter.names import readable
from deployx_edge.runtimes.ncnn import NcnnModel, run_ncnn
from deployx_edge.runtimes.requantized import code_scales, restored

if TYPE_CHECKING:
    from deployx_edge.model import Array

# An array and whether its first axis counts samples, as ``to_runtime_array`` gives them.
RuntimeArray = tuple["Array", bool]
Arrays = Mapping[str, "Array"]


@dataclass(frozen=True, kw_only=True)
class Maker:
    """The layer of a converted model that makes a tensor, and the runtime's name for that."""

    layer: str
    type: str
    blob: str


class HostRuntime(Protocol):
    """One runtime on this computer."""

    def run(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> tuple[dict[str, Array], ...]:
        """The model's outputs by name for each set of inputs.

        They have the source's shape where they fit it, else the runtime's own.
        """
        ...

    def makers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Maker]:
        """Those of the source's tensors that the model makes too, in the order of its layers."""
        ...

    def blobs(self, model: ConvertedModel) -> tuple[str, ...]:
        """The names of all that the model's layers make."""
        ...

    def tensors(
        self, model: ConvertedModel, inputs: Sequence[Arrays], blobs: Sequence[str]
    ) -> tuple[dict[str, Array], ...]:
        """Any blobs, by their names, for each set of inputs; in the runtime's own shapes."""
        ...


def run_converted(model: ConvertedModel, inputs: Sequence[Arrays]) -> tuple[dict[str, Array], ...]:
    """The converted model's outputs by name for each set of inputs (see ``HostRuntime``)."""
    return HOSTS[model.runtime].run(model, inputs)


class NcnnHost:
    """ncnn's wheel, in a process of its own."""

    def run(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> tuple[dict[str, Array], ...]:
        """See ``HostRuntime``; a batch runs sample by sample, as on a board."""
        sets = [_samples(to_runtime_arrays(model.inputs, arrays)) for arrays in inputs]
        runs = [sample for samples in sets for sample in samples]
        blobs = [spec.blob for spec in model.outputs]
        done = iter(run_ncnn(_files(model), runs, outputs=blobs).runs)
        results = []
        for samples in sets:
            found = [next(done) for _ in samples]
            results.append(
                {
                    spec.name: _restored(spec, [run[spec.blob] for run in found])
                    for spec in model.outputs
                }
            )
        return tuple(results)

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

    def tensors(
        self, model: ConvertedModel, inputs: Sequence[Arrays], blobs: Sequence[str]
    ) -> tuple[dict[str, Array], ...]:
        """See ``HostRuntime``."""
        runs = [to_runtime_arrays(model.inputs, arrays) for arrays in inputs]
        found = run_ncnn(_files(model), runs, outputs=blobs, keep_all=True).runs
        scales = code_scales(model)
        return tuple(restored(scales, run) for run in found)


class OnnxRuntimeHost:
    """ONNX Runtime on the CPU, in this process."""

    def run(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> tuple[dict[str, Array], ...]:
        """See ``HostRuntime``."""
        return self.tensors(model, inputs, [spec.name for spec in model.outputs])

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

    def tensors(
        self, model: ConvertedModel, inputs: Sequence[Arrays], blobs: Sequence[str]
    ) -> tuple[dict[str, Array], ...]:
        """See ``HostRuntime``; half floats are given as float32."""
        import numpy as np

        from deployx_edge.sources.onnx_runtime import open_with_outputs

        check_arrays(model.inputs, inputs)
        path = model.path("onnx")
        try:
            session = open_with_outputs(path, blobs)
            results = [session.run(list(blobs), dict(arrays)) for arrays in inputs]
        except Exception as error:  # its exceptions share no other base
            raise ModelError(f"{path.name} does not run in ONNX Runtime: {error}.") from error
        return tuple(
            {
                name: array.astype(np.float32) if array.dtype == np.float16 else array
                for name, array in zip(blobs, arrays, strict=True)
            }
            for arrays in results
        )


HOSTS: dict[str, HostRuntime] = {"ncnn": NcnnHost(), "onnxruntime": OnnxRuntimeHost()}


def check_arrays(specs: Sequence[TensorSpec], inputs: Sequence[Mapping[str, Any]]) -> None:
    """UsageError where an array is missing, or has not the type or the bounds of its input."""
    for arrays in inputs:
        for spec in specs:
            if spec.name not in arrays:
                given = ", ".join(arrays) or "none"
                raise UsageError(f"There is no array for the input '{spec.name}', only {given}.")
            spec.check(arrays[spec.name])


def _files(model: ConvertedModel) -> NcnnModel:
    return NcnnModel(param=model.path("param"), bin=model.path("bin"), precision=model.precision)


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
