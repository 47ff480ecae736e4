"""The files for QNN: the canonical ONNX model, checked by Qualcomm's emulator."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.bundle import LeftNode
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.runtime import ONNX_ROLE, SOC_KEY
from deployx_edge.runtimes.converter import (
    ConversionRequest,
    ConvertedModel,
    KeptFloat,
    LeftNodesError,
)
from deployx_edge.runtimes.onnx_converter import OnnxConverter
from deployx_edge.runtimes.qnn.provider import QnnProcess, RefusedError, is_lacking, version
from deployx_edge.runtimes.qnn.rewriting import rewrite
from deployx_edge.runtimes.qnn.socs import DEFAULT_SOC, find_soc
from deployx_edge.sources.onnx.canonical import simplified
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor

if TYPE_CHECKING:
    import onnx

# The role of a file with the HTP's graph of a model, ready to be loaded. Workers read it.
CONTEXT_ROLE = "context"
# In an ONNX file's metadata: the chip's number in Qualcomm's libraries. Workers read it.
_SOC_NUMBER_KEY = "deployx.soc_number"
_NAMED = 5  # of the layers with values beyond half floats


class QnnConverter(OnnxConverter):
    """``Converter`` for QNN, which computes all floats in half floats."""

    def __init__(self) -> None:
        super().__init__(__package__.rpartition(".")[2], halves_fp32=True)

    def check(self, source: OnnxSource) -> None:
        """Raise ModelError for an open axis, LeftNodesError for nodes that QNN leaves to the
        processor."""
        import onnx

        version()
        super().check(source)
        _refuse_open_axes(source)
        with tempfile.TemporaryDirectory(prefix="deployx-edge-qnn-") as folder:
            path = Path(folder) / f"{source.path.stem}.onnx"
            onnx.save(simplified(source), path)
            with QnnProcess(path, find_soc(DEFAULT_SOC)):
                pass

    def check_before_scales(self, source: OnnxSource) -> None:
        """See ``OnnxConverter``: nodes of operators that QNN has for no type of elements.

        Other nodes it refuses for their numbers or types, which are others in int8."""
        process = QnnProcess(source.path, find_soc(DEFAULT_SOC))
        try:
            with process:
                pass
        except LeftNodesError as error:
            own = {(node.name, node.operator) for node in source.nodes}
            lacking = [n for n in error.nodes if (n.node, n.operator) in own and is_lacking(n)]
            if lacking:
                raise process.refusal(tuple(lacking)) from None
        except RefusedError:
            pass  # as floats; what it says of int8 is told behind the scales

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        """See ``Converter``; ModelError where half floats cannot hold what is computed."""
        if request.keep_float:
            raise UsageError(
                f"QNN cannot keep {', '.join(request.keep_float)} in fp32: an HTP computes half "
                "floats and whole numbers.",
                remedy="Give these layers to another runtime with --partition.",
            )
        soc = find_soc(request.soc or DEFAULT_SOC)
        if not soc.floats and not any(node.operator == "QuantizeLinear" for node in source.nodes):
            raise UsageError(
                f"The NPU of {soc.name} (HTP V{soc.architecture}) has no floats: its models are "
                "int8.",
                remedy=f"deployx-edge quantize … --runtime {self.runtime} --soc {soc.name}",
            )
        made = super().convert(source, request)
        if made.kept_float:
            names = [f"'{item.layer}'" for item in made.kept_float]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            raise ModelError(
                f"{source.path.name} has values beyond what half floats hold at "
                f"{', '.join(names[:_NAMED])}{more}, and an HTP computes no other floats.",
                remedy="Quantize it (deployx-edge quantize), scale these values down, or give "
                "these layers to another runtime with --partition.",
            )
        path = made.path(ONNX_ROLE)
        files = self.int8_files(path, request.soc, allow_fallback=request.allow_fallback)
        left = self.left_nodes(path, request.soc) if request.allow_fallback else ()
        return replace(made, files=files, soc=request.soc, left=left)

    def int8_files(
        self, path: Path, soc: str, *, allow_fallback: bool = False
    ) -> tuple[tuple[str, Path], ...]:
        """See ``OnnxConverter``; for a chip that is named with its HTP's graph (a context binary),
        so that no board has to make it."""
        _mark(path, soc)
        files = super().int8_files(path, soc)
        if not soc:
            return files
        return (*files, (CONTEXT_ROLE, _write_context(path, soc, allow_fallback)))

    def left_nodes(self, path: Path, soc: str) -> tuple[LeftNode, ...]:
        """See ``OnnxConverter``."""
        with QnnProcess(path, find_soc(soc or DEFAULT_SOC), allow_fallback=True) as process:
            return process.left

    def adapt(
        self, model: onnx.ModelProto, kept: Sequence[KeptFloat], inputs: Sequence[SourceTensor]
    ) -> None:
        """See ``OnnxConverter``."""
        rewrite(model)


def _write_context(path: Path, soc: str, allow_fallback: bool) -> Path:
    """The graph of the model at ``path`` for the HTP of that chip, in a file beside it."""
    context = path.with_name(f"{path.stem}-context.onnx")
    context.unlink(missing_ok=True)  # the provider writes over none
    with QnnProcess(path, find_soc(soc), context, allow_fallback=allow_fallback):
        pass
    _mark(context, soc)
    return context


def _mark(path: Path, soc: str) -> None:
    """Write into the file which chip it is for: its number, and its name unless it is the usual."""
    import onnx

    model = onnx.load(path)
    number = str(find_soc(soc or DEFAULT_SOC).number)
    model.metadata_props.add(key=_SOC_NUMBER_KEY, value=number)
    if soc:
        model.metadata_props.add(key=SOC_KEY, value=soc)
    onnx.save(model, path)


def _refuse_open_axes(source: OnnxSource) -> None:
    for tensor in source.inputs:
        if tensor.ranges:
            raise ModelError(
                f"The input '{tensor.name}' of {source.path.name} has an open axis; shapes in QNN "
                "are fixed.",
                remedy=f"Give it one size: --input {tensor.name}:"
                + "x".join(map(str, tensor.shape))
                + ".",
            )
