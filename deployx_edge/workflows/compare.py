"""A bundle beside its source, tensor by tensor on this computer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.bundle import load_bundle
from deployx_edge.comparison import LayerCheck, structured_inputs
from deployx_edge.errors import UsageError
from deployx_edge.model import format_shape
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.layerwise import compare_layers
from deployx_edge.sources.onnx_file import read_onnx
from deployx_edge.workflows.progress import Progress, Stage, silent


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, on how many inputs, and every tensor in the order of the layers."""

    source: str
    bundle: str
    precision: str
    inputs: int
    layers: tuple[LayerCheck, ...]


def compare(model: Path, folder: Path, *, progress: Progress = silent) -> Comparison:
    """Run the ``.onnx`` and the bundle on the same six inputs and compare what is between.

    Raises UsageError where they do not belong together or keep no common names,
    ModelError or BundleError where one cannot be read or run.
    """
    if model.suffix != ".onnx" or not model.is_file():
        raise UsageError(f"{model} is not an .onnx file.")
    bundle = load_bundle(folder)
    shapes = {spec.name: spec.shape for spec in bundle.inputs}
    source = read_onnx(model, shapes)
    _check_outputs(source.output_names, [spec.name for spec in bundle.outputs])
    inputs = structured_inputs(bundle.inputs, bundle.preprocessing)
    spelled = ", ".join(f"{name} {format_shape(shape)}" for name, shape in shapes.items())
    progress(Stage(text=f"Running both on {len(inputs)} inputs ({spelled})"))
    converted = ConvertedModel(
        runtime=bundle.runtime,
        precision=bundle.precision,
        files=tuple((file.role, bundle.path(file.role)) for file in bundle.files),
        inputs=bundle.inputs,
        outputs=bundle.outputs,
    )
    return Comparison(
        source=model.name,
        bundle=bundle.name,
        precision=bundle.precision,
        inputs=len(inputs),
        layers=compare_layers(converted, source, inputs),
    )


def _check_outputs(source: Sequence[str], bundle: Sequence[str]) -> None:
    if list(source) != list(bundle):
        raise UsageError(
            f"The bundle does not come from this model: its outputs are {', '.join(bundle)}, "
            f"the model's {', '.join(source)}."
        )
