"""Rockchip's NPUs: half floats and int8 by rknn-toolkit2, which also simulates them here.

Its files are an .rknn for one family of chips and the ONNX model that it was made of: the toolkit
simulates what it builds, and cannot read an .rknn back. It lies in an environment of its own.
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
    """See ``Runtime``."""
    from deployx_edge.runtimes.rknn.toolkit import version as of_toolkit

    return of_toolkit()


def setup() -> Setup:
    """See ``Runtime``."""
    from deployx_edge.runtimes.rknn.toolkit import ToolkitSetup

    return ToolkitSetup()


def converters() -> Mapping[str, Callable[[], Converter]]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.rknn.converter import RknnConverter

    return {"toolkit": RknnConverter}


def make_runner() -> Runner:
    """See ``Runtime``."""
    from deployx_edge.runtimes.rknn.runner import RknnRunner

    return RknnRunner()


def make_quantizer() -> Quantizer:
    """See ``Runtime``."""
    from deployx_edge.runtimes.rknn.quantizer import RknnQuantizer

    version()  # before scales are looked for, which takes long
    return RknnQuantizer()


def inspect(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime``; the toolkit builds the model and refuses it as a whole, in its own words."""
    from deployx_edge.runtimes.inspected import inspect_by_check
    from deployx_edge.runtimes.rknn.converter import BuildCheck

    return inspect_by_check(BuildCheck(), source)


def layer_works(
    model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
) -> Mapping[str, LayerWork]:
    """See ``Runtime``; the runtime calls layers after nodes, as far as it joins none."""
    from deployx_edge.runtimes.macs import onnx_graph, onnx_node_works

    works = onnx_node_works(model, onnx_graph(model))
    return {layer: works[layer] for layer in outputs if layer in works}


def files_of(model: Path) -> tuple[Path, ...]:
    """See ``Runtime``; what an .rknn computes cannot be seen here."""
    raise UsageError(f"{model} cannot be used as it is: an .rknn cannot be read back or simulated.")


def read_own(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> ConvertedModel:
    """See ``files_of``."""
    raise UsageError(f"{model} cannot be used as it is: an .rknn cannot be read back or simulated.")
