"""Where do a converted model and its source part ways? Tensor by tensor, by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deployx_edge.comparison import LIMITS, LayerCheck, compare_output, finite_inputs
from deployx_edge.errors import UsageError
from deployx_edge.model import to_runtime_arrays
from deployx_edge.ncnn_format import Layer, read_param
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.emitter.names import readable
from deployx_edge.runtimes.ncnn import NcnnModel, run_ncnn
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx_file import OnnxSource, tensor_names

if TYPE_CHECKING:
    from deployx_edge.model import Array


def compare_layers(
    model: ConvertedModel, source: OnnxSource, inputs: Sequence[Mapping[str, Array]]
) -> tuple[LayerCheck, ...]:
    """Compare every tensor that has the same name on both sides, in the order of the layers.

    The limits are those of outputs. Raises UsageError where no tensor but the inputs kept
    its name, or the model takes several samples at once.
    """
    if any(
        spec.batch_axis is not None and spec.shape[spec.batch_axis] > 1 for spec in model.inputs
    ):
        raise UsageError(
            "Layers can only be compared for a single sample: convert the model for 1."
        )
    makers = _makers(read_param(model.path("param")), tensor_names(source))
    # A converter that renames may by chance give a tensor's name to another.
    kept = all(spec.blob == readable(spec.name) for spec in model.inputs)
    if not makers or not kept:
        raise UsageError("No tensor of the source kept its name in the converted model.")
    reference = Reference(source, tensors=tuple(makers))
    expected = [reference.run(arrays) for arrays in inputs]
    usable = finite_inputs(expected) or range(len(expected))
    files = NcnnModel(param=model.path("param"), bin=model.path("bin"), precision=model.precision)
    runs = [to_runtime_arrays(model.inputs, inputs[index]) for index in usable]
    blobs = tuple(readable(tensor) for tensor in makers)
    found = run_ncnn(files, runs, outputs=blobs, keep_all=True).runs
    checks = []
    for tensor, layer in makers.items():
        wanted = [expected[index][tensor] for index in usable]
        got = [
            array.reshape(one.shape) if array.size == one.size else array
            for array, one in zip((run[readable(tensor)] for run in found), wanted, strict=True)
        ]
        check = compare_output(tensor, wanted, got, LIMITS[model.precision])
        checks.append(LayerCheck(layer=layer.name, type=layer.type, check=check))
    return tuple(checks)


def _makers(layers: Sequence[Layer], names: Sequence[str]) -> dict[str, Layer]:
    """The layer that makes each tensor of the source that has a blob of its name."""
    tensors = {readable(name): name for name in names}
    return {
        tensors[top]: layer
        for layer in layers
        for top in layer.tops
        if top in tensors and layer.type != "Input"
    }
