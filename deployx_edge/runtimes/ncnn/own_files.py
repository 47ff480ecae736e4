"""ncnn's own files, ``.param`` and ``.bin``, taken as they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import MAX_RUNTIME_DIMS, TensorSpec, format_shape, too_large
from deployx_edge.operator_facts import operator_of_layer
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.ncnn.files import Layer, read_param, stored_precision
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, run_ncnn, unknown_layers
from deployx_edge.sources.placeholders import refuse_placeholder

# The ids of the Input layer's sizes, slowest axis first: channels, depth, height, width.
_INPUT_SIZES = (2, 11, 1, 0)


def find_bin(param: Path) -> Path:
    """The ``.bin`` file beside a ``.param`` file; ModelError where there is none."""
    beside = param.with_suffix(".bin")
    if not beside.is_file():
        raise ModelError(
            f"{param} has no weights beside it: {beside.name} is missing.",
            remedy="Put the .bin file into the same folder, under the same name.",
        )
    return beside


def read_pair(param: Path, shapes: Mapping[str, tuple[int, ...]]) -> ConvertedModel:
    """The model as its files describe it; it is loaded and run once, so that it can be.

    Names are those of ncnn's blobs, shapes ncnn's dimensions, slowest first, without a batch
    axis. ``shapes`` gives those that the file leaves open. Raises ModelError where the
    files cannot be run, UsageError where ``shapes`` names no input or misses one.
    """
    bin_file = find_bin(param)
    refuse_placeholder(param)
    refuse_placeholder(bin_file, may_be_empty=True)  # layers may need no weights
    layers = read_param(param)
    unknown = unknown_layers(layers)
    if unknown:
        raise ModelError(
            f"{param.name} holds the layer '{unknown[0].name}' of the type '{unknown[0].type}', "
            "which this ncnn does not have."
        )
    inputs = tuple(_input(param, layer, shapes) for layer in layers if layer.type == "Input")
    names = [spec.name for spec in inputs]
    stray = [name for name in shapes if name not in names]
    if stray:
        raise UsageError(f"{param.name} has no input '{stray[0]}'; it has {', '.join(names)}.")
    if not inputs:
        raise ModelError(f"{param.name} has no Input layer.")
    precision = stored_precision(bin_file)
    model = NcnnModel(param=param, bin=bin_file, precision=precision)
    values = structured_inputs(inputs)[0]
    run = run_ncnn(model, [{spec.runtime_name: (values[spec.name], False) for spec in inputs}])
    return ConvertedModel(
        runtime="ncnn",
        precision=precision,
        files=(("param", param), ("bin", bin_file)),
        inputs=inputs,
        outputs=tuple(_spec(blob, array.shape) for blob, array in run.runs[0].items()),
        operators=tuple(sorted({operator_of_layer(layer.type) for layer in layers} - {""})),
    )


def _input(param: Path, layer: Layer, shapes: Mapping[str, tuple[int, ...]]) -> TensorSpec:
    if len(layer.tops) != 1:
        raise ModelError(f"The Input layer '{layer.name}' of {param.name} has not one output.")
    blob = layer.tops[0]
    said = dict(layer.params)
    try:
        sizes = tuple(int(said.get(key, "0")) for key in _INPUT_SIZES)
    except ValueError as error:
        raise ModelError(f"The sizes of the input '{blob}' of {param.name}: {error}.") from error
    shape = shapes.get(blob) or tuple(size for size in sizes if size > 0)
    if not shape:
        raise UsageError(
            f"{param.name} does not say the shape of its input '{blob}'.",
            remedy=f"Give it without a batch axis: --input {blob}:3x224x224.",
        )
    if too_large(shape):
        raise ModelError(f"The input '{blob}' of {param.name} is {format_shape(shape)}: too large.")
    if len(shape) > MAX_RUNTIME_DIMS:
        raise UsageError(
            f"The input '{blob}' of {param.name} has at most {MAX_RUNTIME_DIMS} axes in ncnn; "
            f"{format_shape(shape)} was given.",
            remedy="Leave the batch axis out.",
        )
    return _spec(blob, shape)


def _spec(blob: str, shape: tuple[int, ...]) -> TensorSpec:
    return TensorSpec(
        name=blob, runtime_name=blob, dtype="float32", shape=shape, layout="", batch_axis=None
    )
