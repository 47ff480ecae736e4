"""Rockchip's files: what the toolkit makes of the canonical model, and that model beside it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge import __version__
from deployx_edge.distributions import installed_version
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.links import opset_of
from deployx_edge.runtime import ONNX_ROLE, SOC_KEY
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    HalfOverflows,
    input_specs,
    output_specs,
)
from deployx_edge.runtimes.onnx_converter import OnnxConverter
from deployx_edge.runtimes.rknn import toolkit
from deployx_edge.runtimes.rknn.socs import INT8_ONLY, PLATFORMS
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

RKNN_ROLE = "rknn"
_ONE_FILE = 2**31 - 2**20  # of protobuf
_NEWEST_IR = 10  # of ONNX files; the toolkit's own onnx refuses newer ones
_NEWEST_OPSET = 19
_LONGEST_REASON = 200


class RknnConverter(OnnxConverter):
    """``Converter`` for Rockchip's NPUs, which compute floats in 16 bits throughout."""

    precisions = ("fp16",)

    def __init__(self) -> None:
        super().__init__(toolkit.NAME)

    def versions(self) -> tuple[tuple[str, str], ...]:
        """The versions of what simplifies the model and makes files of it."""
        return (
            ("deployx-edge", __version__),
            ("onnx", installed_version("onnx")),
            (toolkit.PACKAGE, toolkit.version()),
        )

    def find_overflows(
        self, source: OnnxSource, inputs: Sequence[Mapping[str, NDArray[Any]]], precision: str
    ) -> HalfOverflows:
        """See ``Converter``; nothing could stay fp32, so the comparison has to find it."""
        return HalfOverflows()

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        """Write ``<stem>.onnx`` and ``<stem>.rknn`` (see ``Converter``)."""
        if request.keep_float:
            raise UsageError(
                "Layers of a model for Rockchip's NPUs cannot stay fp32: floats have 16 bits there."
            )
        if request.soc in INT8_ONLY:
            raise UsageError(
                f"The NPU of {request.soc} has no half floats: its models are int8.",
                remedy=f"deployx-edge quantize … --runtime {self.runtime} --soc {request.soc}",
            )
        files = _write_files(simplified(source), request.soc, request.folder, source.path.stem)
        return ConvertedModel(
            runtime=self.runtime,
            precision=request.precision,
            files=files,
            inputs=input_specs(source),
            outputs=output_specs(request.outputs, source.channels_last),
            soc=request.soc,
        )

    def int8_files(
        self, path: Path, soc: str, *, allow_fallback: bool = False
    ) -> tuple[tuple[str, Path], ...]:
        """See ``OnnxConverter``; the toolkit takes scales and quantized weights as they are."""
        import onnx

        return _write_files(onnx.load(path), soc, path.parent / "for-npu", path.stem)


class BuildCheck:
    """``Checker`` that has the toolkit build the model for its usual chip."""

    def check(self, source: OnnxSource) -> None:
        """See ``Checker``; MissingToolError where there is no toolkit to ask."""
        toolkit.version()
        RknnConverter().check(source)
        with tempfile.TemporaryDirectory(prefix="deployx-edge-rknn-") as folder:
            _write_files(simplified(source), "", Path(folder), source.path.stem)


def _write_files(
    model: onnx.ModelProto, soc: str, folder: Path, stem: str
) -> tuple[tuple[str, Path], ...]:
    """The model with the chip's name in it, and what the toolkit makes of it; by role."""
    chip, path = write_onnx(model, soc, folder, stem)
    made = path.with_suffix(f".{RKNN_ROLE}")
    toolkit.convert(path, PLATFORMS[chip], made)
    return ((RKNN_ROLE, made), (ONNX_ROLE, path))


def write_onnx(model: onnx.ModelProto, soc: str, folder: Path, stem: str) -> tuple[str, Path]:
    """The chip that ``soc`` means, and the model as the toolkit takes it, with its name in it."""
    import onnx

    if model.ByteSize() > _ONE_FILE:
        raise ModelError(f"{stem} is larger than one ONNX file may be (2 GB).")
    model = _lowered(model, stem)
    chip = soc or next(iter(PLATFORMS))
    model.metadata_props.add(key=SOC_KEY, value=chip)
    model.ir_version = min(model.ir_version, _NEWEST_IR)
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}.onnx"
    onnx.save(model, path)
    return chip, path


def _lowered(model: onnx.ModelProto, stem: str) -> onnx.ModelProto:
    """The model in an opset that the toolkit takes; whether it stayed the same is proven later."""
    import onnx.version_converter

    opset = opset_of(model)
    if opset <= _NEWEST_OPSET:
        return model
    try:
        lowered: onnx.ModelProto = onnx.version_converter.convert_version(model, _NEWEST_OPSET)
    except Exception as error:  # the converter's errors share no base
        said = " ".join(str(error).split())[:_LONGEST_REASON]
        raise ModelError(
            f"{stem} is of opset {opset}, and {toolkit.PACKAGE} takes up to {_NEWEST_OPSET}; it "
            f"cannot be lowered: {said}.",
            remedy=f"Export it again with opset {_NEWEST_OPSET}.",
        ) from error
    return lowered
