"""SNPE's files: what the SDK's own converter and quantizer make of the canonical model."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge import __version__
from deployx_edge.distributions import installed_version
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.model import TensorSpec, format_shape
from deployx_edge.qairt import find_sdk
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    HalfOverflows,
    input_specs,
    output_specs,
)
from deployx_edge.runtimes.onnx_converter import OnnxConverter, fits_one_file
from deployx_edge.runtimes.snpe.dlc import DlcTensor, check_archive, read_info
from deployx_edge.runtimes.snpe.encodings import split_quantized
from deployx_edge.runtimes.snpe.environment import NAME, require_tools
from deployx_edge.runtimes.snpe.tools import Asked, first_tool, run_tool
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

DLC_ROLE = "dlc"
_NEW, _OLD = "qairt-converter", "snpe-onnx-to-dlc"
_QUANTIZERS = ("qairt-quantizer", "snpe-dlc-quant", "snpe-dlc-quantize")
_NEWEST_IR = 10  # of ONNX files; the SDK's own onnx refuses newer ones


class SnpeConverter(OnnxConverter):
    """``Converter`` for SNPE; ``calibration`` is the SDK's list of inputs for what has no range."""

    precisions = ("fp32", "fp16")

    def __init__(self, calibration: Path | None = None) -> None:
        super().__init__(NAME)
        self._calibration = calibration

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The versions of what simplifies the model and makes files of it."""
        return (
            ("deployx-edge", __version__),
            ("onnx", installed_version("onnx")),
            (NAME, find_sdk().version),
        )

    def check(self, source: OnnxSource) -> None:
        """Raise MissingToolError without the SDK, ModelError for unknown operators, open axes."""
        require_tools()
        super().check(source)
        for tensor in source.inputs:
            if tensor.ranges:
                raise ModelError(
                    f"The input '{tensor.name}' of {source.path.name} has an open axis; shapes in "
                    "a DLC are fixed.",
                    remedy=f"Give it one size: --input {tensor.name}:"
                    + "x".join(map(str, tensor.shape))
                    + ".",
                )

    def find_overflows(
        self, source: OnnxSource, inputs: Sequence[Mapping[str, NDArray[Any]]], precision: str
    ) -> HalfOverflows:
        """See ``Converter``; nothing could stay fp32, so the comparison has to find it."""
        return HalfOverflows()

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        """Write ``<stem>.dlc`` (see ``Converter``)."""
        if request.keep_float:
            raise UsageError("The SDK's converter keeps no layers of a 16-bit file in fp32.")
        model = simplified(source)
        made = _to_dlc(model, request.folder, source.path.stem, request.precision, None)
        info = read_info(made)
        return ConvertedModel(
            runtime=self.runtime,
            precision=request.precision,
            files=((DLC_ROLE, made),),
            inputs=_as_in_dlc(input_specs(source), info.inputs, made.name),
            outputs=_as_in_dlc(
                output_specs(request.outputs, source.channels_last), info.outputs, made.name
            ),
        )

    def int8_files(
        self, path: Path, soc: str, *, allow_fallback: bool = False
    ) -> tuple[tuple[str, Path], ...]:
        """See ``OnnxConverter``; PPQ's ranges hold, and the SDK finds those of other tensors."""
        import onnx

        floats, ranges = split_quantized(onnx.load(path))
        folder = path.parent / "for-snpe"
        folder.mkdir(exist_ok=True)
        overrides = folder / "ranges.json"
        overrides.write_text(json.dumps(ranges, indent=1), encoding="utf-8")
        made = _to_dlc(floats, folder, path.stem, "fp32", overrides)
        quantized = folder / "int8" / made.name
        quantized.parent.mkdir(exist_ok=True)
        tool = first_tool(*_QUANTIZERS)
        words: list[str | Path] = ["--input_dlc", made, "--output_dlc", quantized]
        if self._calibration is not None:
            words += ["--input_list", self._calibration]
        if tool != _QUANTIZERS[0]:
            words.append("--override_params")
        where = self._calibration.parent if self._calibration else folder
        run_tool(tool, words, _asked(made.name, floats), where)
        _require_written(tool, quantized)
        return ((DLC_ROLE, quantized),)


class ConverterCheck:
    """``Checker`` that has the SDK convert the model."""

    def check(self, source: OnnxSource) -> None:
        """See ``Checker``; MissingToolError where there is no SDK to ask."""
        SnpeConverter().check(source)
        with tempfile.TemporaryDirectory(prefix="deployx-edge-snpe-") as folder:
            _to_dlc(simplified(source), Path(folder), source.path.stem, "fp32", None)


def _to_dlc(
    model: onnx.ModelProto, folder: Path, stem: str, precision: str, overrides: Path | None
) -> Path:
    """What the SDK's converter makes of the model; the newer converter where it has both."""
    import onnx

    if not fits_one_file(model):
        raise ModelError(f"{stem} is larger than one ONNX file may be (2 GB).")
    model.ir_version = min(model.ir_version, _NEWEST_IR)
    path, made = folder / f"{stem}.onnx", folder / f"{stem}.dlc"
    onnx.save(model, path)
    tool = first_tool(_NEW, _OLD)
    words: list[str | Path] = ["--input_network", path, "--output_path", made]
    if overrides is not None:
        words += ["--quantization_overrides", overrides]
    if precision == "fp16":
        if tool == _OLD:
            raise UsageError(
                f"This SDK ({find_sdk().version}) has no {_NEW}, which alone writes half floats.",
                remedy="Leave --precision out; the option runtime=gpu_fp16 computes an fp32 file "
                "in half floats.",
            )
        words += ["--float_bitwidth", "16"]
    # Inputs and outputs stay as the model has them; by itself a converter moves their axes.
    words.append("--preserve_io_datatype" if tool == _NEW else "--preserve_io")
    run_tool(tool, words, _asked(path.name, model), folder)
    path.unlink()
    _require_written(tool, made)
    return made


def _require_written(tool: str, path: Path) -> None:
    if not path.is_file():
        raise ModelError(f"{tool} ended without a word, and without {path.name}.")
    check_archive(path)


def _asked(name: str, model: onnx.ModelProto) -> Asked:
    return Asked(name=name, nodes={node.name: node.op_type for node in model.graph.node})


def _as_in_dlc(
    specs: Sequence[TensorSpec], tensors: Sequence[DlcTensor], name: str
) -> tuple[TensorSpec, ...]:
    """The source's inputs or outputs with their names in the DLC; ModelError where others came."""
    by_name = {tensor.name: tensor for tensor in tensors}
    found = []
    for spec in specs:
        tensor = by_name.get(spec.name) or by_name.get(re.sub(r"\W", "_", spec.name))
        if tensor is None:
            raise ModelError(f"{name} has no '{spec.name}', only {', '.join(by_name)}.")
        if tensor.shape != spec.shape or tensor.dtype != spec.dtype:
            raise ModelError(
                f"'{spec.name}' is {spec.dtype} {format_shape(spec.shape)} in the source and "
                f"{tensor.dtype} {format_shape(tensor.shape)} in {name}: the SDK's converter "
                "changed it."
            )
        found.append(replace(spec, runtime_name=tensor.name))
    return tuple(found)
