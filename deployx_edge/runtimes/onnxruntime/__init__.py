"""ONNX Runtime: every element type and open axes; its file is the canonical ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from deployx_edge.runtimes.converter import ConvertedModel, Converter
    from deployx_edge.runtimes.inspected import Inspected
    from deployx_edge.runtimes.macs import LayerWork
    from deployx_edge.runtimes.onnx_converter import OnnxConverter
    from deployx_edge.runtimes.quantizer import Quantizer
    from deployx_edge.runtimes.runner import Runner
    from deployx_edge.runtimes.setup import Setup
    from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor


def version() -> str:
    """See ``Runtime``."""
    from deployx_edge.graph.onnx_runtime import version as of_package

    return of_package()


def setup() -> Setup:
    """See ``Runtime``."""
    from deployx_edge.runtimes.setup import PackageSetup

    return PackageSetup(__name__.rpartition(".")[2])


def converters() -> Mapping[str, Callable[[], Converter]]:
    """See ``Runtime``."""
    return {"canonical": _converter}


def make_runner() -> Runner:
    """See ``Runtime``."""
    from deployx_edge.runtimes.onnx_runner import OnnxFileRunner

    return OnnxFileRunner()


def make_quantizer() -> Quantizer:
    """See ``Runtime``."""
    from deployx_edge.runtimes.onnx_quantizer import OnnxQuantizer

    return OnnxQuantizer(_converter())


def inspect(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime``; it refuses a model as a whole, and its reason names the node."""
    from deployx_edge.runtimes.inspected import inspect_by_check

    return inspect_by_check(_converter(), source)


def layer_works(
    model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
) -> Mapping[str, LayerWork]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.onnxruntime.layer_names import onnxruntime_layer_works

    return onnxruntime_layer_works(model, outputs)


def files_of(model: Path) -> tuple[Path, ...]:
    """See ``Runtime``; ONNX is what all runtimes are made from, so it has no form of its own."""
    raise UsageError(f"{model} is not a model in a form of ONNX Runtime's own.")


def read_own(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> ConvertedModel:
    """See ``files_of``."""
    raise UsageError(f"{model} is not a model in a form of ONNX Runtime's own.")


def _converter() -> OnnxConverter:
    from deployx_edge.runtimes.onnx_converter import OnnxConverter

    return OnnxConverter(__name__.rpartition(".")[2])
