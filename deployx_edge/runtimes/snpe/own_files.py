"""A ``.dlc`` taken as it is: what goes in and out of it, as somebody says.

The SDK's ``snpe-dlc-info`` says it where there is an SDK; else what it once wrote beside the file
(``snpe-dlc-info -i model.dlc -s model.csv``); else the user, for each input and output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.files import SMALL, read_text
from deployx_edge.input_requests import format_shape
from deployx_edge.model import TensorSpec, too_large
from deployx_edge.qairt import GET_IT, configured_sdk
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.snpe.converter import DLC_ROLE
from deployx_edge.runtimes.snpe.dlc import (
    DlcInfo,
    DlcTensor,
    check_archive,
    parse_info,
    read_info,
)
from deployx_edge.runtimes.snpe.environment import NAME

_QUANTIZED = ("fxp_8", "fxp_16")

Shapes = Mapping[str, tuple[int, ...]]


def beside(dlc: Path) -> tuple[Path, ...]:
    """What ``snpe-dlc-info`` wrote of it, where that lies beside it."""
    saved = dlc.with_suffix(".csv")
    return (saved,) if saved.is_file() else ()


def read_dlc(dlc: Path, shapes: Shapes, outputs: Shapes) -> ConvertedModel:
    """The DLC with what goes in and out of it; see ``Runtime.read_own``.

    Raises ModelError where it is damaged, UsageError where nobody says what goes in and out, or
    what the user says is not so.
    """
    check_archive(dlc)
    info = _told(dlc)
    if info is None:
        info = _said(dlc, shapes, outputs)
    else:
        _compare(dlc, "input", info.inputs, shapes)
        _compare(dlc, "output", info.outputs, outputs)
    return ConvertedModel(
        runtime=NAME,
        precision=_precision(info),
        files=((DLC_ROLE, dlc),),
        inputs=_specs(info.inputs, dlc),
        outputs=_specs(info.outputs, dlc),
    )


def _told(dlc: Path) -> DlcInfo | None:
    for saved in beside(dlc):
        try:
            return parse_info(read_text(saved, most=SMALL), dlc.name)
        except (OSError, ValueError) as error:
            raise ModelError(f"{saved} cannot be read: {error}.") from error
    if configured_sdk() is None:
        return None
    return read_info(dlc)


def _said(dlc: Path, shapes: Shapes, outputs: Shapes) -> DlcInfo:
    if not shapes or not outputs:
        raise UsageError(
            f"What goes in and out of {dlc.name} is told by Qualcomm's SDK only, which is not "
            "configured.",
            remedy="Say it: --input NAME:1x3x224x224 and --output-shape NAME:1x1000 for each; or "
            f"put beside it what the SDK says (snpe-dlc-info -i {dlc.name} -s "
            f"{dlc.with_suffix('.csv').name}); or: {GET_IT}.",
        )

    def tensors(said: Shapes) -> tuple[DlcTensor, ...]:
        for name, shape in said.items():
            if too_large(shape):
                raise UsageError(f"'{name}' of {format_shape(shape)} is too large.")
        return tuple(
            DlcTensor(name=name, shape=shape, dtype="float32", stored="")
            for name, shape in said.items()
        )

    return DlcInfo(inputs=tensors(shapes), outputs=tensors(outputs))


def _compare(dlc: Path, what: str, tensors: Sequence[DlcTensor], said: Shapes) -> None:
    known = {tensor.name: tensor.shape for tensor in tensors}
    for name, shape in said.items():
        if name not in known:
            raise UsageError(f"{dlc.name} has no {what} '{name}'; it has {', '.join(known)}.")
        if shape and shape != known[name]:
            raise UsageError(
                f"The {what} '{name}' of {dlc.name} is {format_shape(known[name])}, not "
                f"{format_shape(shape)}; shapes in a DLC are fixed."
            )


def _precision(info: DlcInfo) -> str:
    """As far as inputs and outputs tell; weights only the SDK reads."""
    stored = {tensor.stored.lower() for tensor in (*info.inputs, *info.outputs)}
    if any(each.endswith(_QUANTIZED) for each in stored):
        return "int8"
    return "fp16" if "float_16" in stored else "fp32"


def _specs(tensors: Sequence[DlcTensor], dlc: Path) -> tuple[TensorSpec, ...]:
    for tensor in tensors:
        if tensor.dtype not in ("float32", "float16"):
            raise ModelError(
                f"'{tensor.name}' of {dlc.name} is {tensor.dtype}; a DLC's inputs and outputs have "
                "to be floats here, or quantized floats."
            )
    return tuple(
        TensorSpec(
            name=tensor.name,
            runtime_name=tensor.name,
            dtype="float32",
            shape=tensor.shape,
            layout="",
            batch_axis=0 if len(tensor.shape) > 1 and tensor.shape[0] == 1 else None,
        )
        for tensor in tensors
    )
