"""ncnn: float32 tensors of fixed shapes, its own files ``.param`` and ``.bin``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deployx_edge.runtimes.converter import ConvertedModel, Converter
    from deployx_edge.runtimes.inspected import Inspected
    from deployx_edge.runtimes.macs import LayerWork
    from deployx_edge.runtimes.quantizer import Quantizer
    from deployx_edge.runtimes.runner import Runner
    from deployx_edge.runtimes.setup import Setup
    from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor


def version() -> str:
    """See ``Runtime``."""
    from deployx_edge.runtimes.ncnn.wheel import version as of_wheel

    return of_wheel()


def setup() -> Setup:
    """See ``Runtime``."""
    from deployx_edge.runtimes.setup import PackageSetup

    return PackageSetup(__name__.rpartition(".")[2])


def converters() -> Mapping[str, Callable[[], Converter]]:
    """See ``Runtime``; pnnx is for what ours cannot do yet."""
    from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
    from deployx_edge.runtimes.ncnn.pnnx import PnnxConverter

    return {"native": NativeConverter, "pnnx": PnnxConverter}


def make_runner() -> Runner:
    """See ``Runtime``."""
    from deployx_edge.runtimes.ncnn.runner import NcnnRunner

    return NcnnRunner()


def make_quantizer() -> Quantizer:
    """See ``Runtime``."""
    from deployx_edge.runtimes.ncnn.quantizer import NcnnQuantizer

    return NcnnQuantizer()


def inspect(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime``."""
    from deployx_edge.runtimes.ncnn.inspection import inspect_for_ncnn

    return inspect_for_ncnn(source, outputs)


def layer_works(
    model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
) -> Mapping[str, LayerWork]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.ncnn.macs import ncnn_layer_works

    return ncnn_layer_works(model, outputs)


def files_of(model: Path) -> tuple[Path, ...]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.ncnn.own_files import find_bin

    return model, find_bin(model)


def read_own(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> ConvertedModel:
    """See ``Runtime``."""
    from deployx_edge.runtimes.ncnn.own_files import read_pair

    return read_pair(model, shapes)
