"""TensorRT: its file is the canonical ONNX model, of which each board builds an engine of its own.

TensorRT itself does not run on this computer. What its file says is computed here by ONNX Runtime
and held against the source; whether TensorRT takes it, its parser for desktop cards says where
that is installed, else a table of operators; what it computes is seen on the board.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import UsageError

if TYPE_CHECKING:
    from deployx_edge.runtimes.converter import ConvertedModel, Converter
    from deployx_edge.runtimes.inspected import Inspected
    from deployx_edge.runtimes.macs import LayerWork
    from deployx_edge.runtimes.quantizer import Quantizer
    from deployx_edge.runtimes.runner import Runner
    from deployx_edge.runtimes.setup import Setup
    from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor


def version() -> str:
    """See ``Runtime``; of what stands in for it, as TensorRT's own is the board's."""
    from deployx_edge.graph.onnx_runtime import version as of_package

    return of_package()


def setup() -> Setup:
    """See ``Runtime``."""
    from deployx_edge.runtimes.tensorrt.wished import TensorrtSetup

    return TensorrtSetup(__name__.rpartition(".")[2])


def converters() -> Mapping[str, Callable[[], Converter]]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.tensorrt.converter import TensorrtConverter

    return {"canonical": TensorrtConverter}


def make_runner() -> Runner:
    """See ``Runtime``; ONNX Runtime, for proofs only (``RuntimeFacts.runs_here``)."""
    from deployx_edge.runtimes.tensorrt.runner import TensorrtRunner

    return TensorrtRunner()


def make_quantizer() -> Quantizer:
    """See ``Runtime``."""
    from deployx_edge.runtimes.onnx_quantizer import OnnxQuantizer
    from deployx_edge.runtimes.tensorrt.converter import TensorrtConverter

    return OnnxQuantizer(TensorrtConverter())


def inspect(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime``; it refuses a model as a whole, and its reason names every such node."""
    from deployx_edge.runtimes.inspected import inspect_by_check
    from deployx_edge.runtimes.tensorrt.converter import TensorrtConverter

    return inspect_by_check(TensorrtConverter(), source)


def layer_works(
    model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
) -> Mapping[str, LayerWork]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.tensorrt.layer_names import tensorrt_layer_works

    return tensorrt_layer_works(model, outputs)


def files_of(model: Path) -> tuple[Path, ...]:
    """See ``Runtime``; an engine fits one board only, so that ONNX is what is taken."""
    raise UsageError(f"{model} is not a model in a form of TensorRT's own.")


def read_own(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> ConvertedModel:
    """See ``files_of``."""
    raise UsageError(f"{model} is not a model in a form of TensorRT's own.")
