"""TensorRT's files: the canonical model, with what a board needs to build an engine of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.input_requests import at_sizes, format_shape
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.runtimes.converter import KeptFloat
from deployx_edge.runtimes.onnx_converter import OnnxConverter, fits_one_file
from deployx_edge.runtimes.tensorrt import parser, parser_place
from deployx_edge.runtimes.tensorrt.native import NATIVE, write_natively
from deployx_edge.runtimes.tensorrt.plugins import fill_gaps, plugin_of
from deployx_edge.runtimes.tensorrt.quantities import restore_wide
from deployx_edge.runtimes.tensorrt.ranges import ranges_text, without_nodes
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor

if TYPE_CHECKING:
    import onnx

# In the model's metadata, for the worker. A line for each input with open axes: its shape at
# their minimum, opt and maximum, and its name ("1x3x32x32 1x3x64x64 1x3x96x96 images").
PROFILE = "deployx.profile"
# What the model holds beside fp32, in words: TensorRT before version 10 wants to be told.
PRECISIONS = "deployx.precisions"
# Files of a quantized bundle beside the model: what the deep learning accelerator reads in its
# place, and the scales for that.
FLOAT_ROLE, RANGES_ROLE = "float", "ranges"


class TensorrtConverter(OnnxConverter):
    """``Converter`` for TensorRT."""

    native = NATIVE
    precisions = ("fp32", "fp16", "bf16")

    def __init__(self) -> None:
        super().__init__(__package__.rpartition(".")[2])

    def versions(self) -> tuple[tuple[str, str], ...]:
        """See ``Converter``; with the parser that took the model, where there is one."""
        place = parser_place
        own = ((place.PACKAGE, place.version()),) if place.is_installed() else ()
        return (*super().versions(), *own)

    def check(self, source: OnnxSource) -> None:
        """Raise ModelError for nodes that TensorRT's parser refuses, as far as can be told."""
        super().check(source)
        model = self.simplify(source)
        if fits_one_file(model):
            parser.check_model(source.path.name, model)

    def simplify(self, source: OnnxSource) -> onnx.ModelProto:
        """See ``OnnxConverter``."""
        return restore_wide(write_natively(simplified(source)))

    def operator_of(self, node: onnx.NodeProto) -> OperatorFacts | None:
        """See ``OnnxConverter``; ONNX's own operators that TensorRT lacks are plugins, too."""
        return plugin_of(node)

    def adapt(
        self, model: onnx.ModelProto, kept: Sequence[KeptFloat], inputs: Sequence[SourceTensor]
    ) -> None:
        """See ``OnnxConverter``; what was halved or quantized is shown to the parser again."""
        native = restore_wide(write_natively(model))
        if native is not model:
            model.CopyFrom(native)
        fill_gaps(model)
        parser.check_model("what was made of the model", model)
        lines = [_profile_line(tensor) for tensor in inputs if tensor.ranges]
        _tell(model, {PROFILE: "\n".join(lines), PRECISIONS: " ".join(_precisions(model))})

    def int8_files(
        self, path: Path, soc: str, *, allow_fallback: bool = False
    ) -> tuple[tuple[str, Path], ...]:
        """See ``OnnxConverter``; with what the deep learning accelerator reads in its place."""
        import onnx

        files = super().int8_files(path, soc)
        found = without_nodes(onnx.load(path))
        if found is None or not fits_one_file(found[0]):
            return files
        model, scales = found
        # Of what is not int8 the accelerator computes half floats.
        _tell(model, {PRECISIONS: "fp16 int8"})
        plain, ranges = path.with_name("float.onnx"), path.with_name("ranges.txt")
        onnx.save(model, plain)
        ranges.write_text(ranges_text(scales), encoding="utf-8")
        return (*files, (FLOAT_ROLE, plain), (RANGES_ROLE, ranges))


def _tell(model: onnx.ModelProto, told: Mapping[str, str]) -> None:
    """Write it into the metadata, in the place of what is there of these keys."""
    # A source that was made for a board before has words of its own.
    others = [entry for entry in model.metadata_props if entry.key not in told]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    for key, value in told.items():
        if value:
            model.metadata_props.add(key=key, value=value)


def _profile_line(tensor: SourceTensor) -> str:
    shapes = [at_sizes(tensor.shape, tensor.ranges, each) for each in ("minimum", "opt", "maximum")]
    return " ".join((*(format_shape(shape) for shape in shapes), tensor.name))


def _precisions(model: onnx.ModelProto) -> list[str]:
    from onnx import TensorProto

    types = {tensor.data_type for tensor in model.graph.initializer}
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    types |= {each.i for node in casts for each in node.attribute if each.name == "to"}
    found = [
        ("fp16", TensorProto.FLOAT16 in types),
        ("bf16", TensorProto.BFLOAT16 in types),
        ("int8", any(node.op_type == "DequantizeLinear" for node in model.graph.node)),
    ]
    return [word for word, there in found if there]
