"""Qualcomm SNPE: a Snapdragon's processor, GPU and DSP by Qualcomm's own SDK, which each user gets.

Its file is a DLC, which the SDK's converter makes of the canonical ONNX model in an environment of
its own. Here the SDK's ``snpe-net-run`` computes it on the processor. A ``.dlc`` is taken as it is.
"""

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
    """See ``Runtime``; the SDK's."""
    from deployx_edge.qairt import find_sdk

    return find_sdk().version


def setup() -> Setup:
    """See ``Runtime``."""
    from deployx_edge.runtimes.snpe.environment import SdkSetup

    return SdkSetup()


def converters() -> Mapping[str, Callable[[], Converter]]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.snpe.converter import SnpeConverter

    return {"sdk": SnpeConverter}


def make_runner() -> Runner:
    """See ``Runtime``."""
    from deployx_edge.runtimes.snpe.runner import SnpeRunner

    return SnpeRunner()


def make_quantizer() -> Quantizer:
    """See ``Runtime``."""
    from deployx_edge.runtimes.snpe.environment import require_tools
    from deployx_edge.runtimes.snpe.quantizer import SnpeQuantizer

    require_tools()  # before scales are looked for, which takes long
    return SnpeQuantizer()


def inspect(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime``; the SDK's converter refuses a model as a whole, in its own words."""
    from deployx_edge.runtimes.inspected import inspect_by_check
    from deployx_edge.runtimes.snpe.converter import ConverterCheck

    return inspect_by_check(ConverterCheck(), source)


def layer_works(
    model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
) -> Mapping[str, LayerWork]:
    """See ``Runtime``; a DLC does not tell which nodes of its source its layers were."""
    return {}


def files_of(model: Path) -> tuple[Path, ...]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.snpe.own_files import beside

    return model, *beside(model)


def read_own(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> ConvertedModel:
    """See ``Runtime``."""
    from deployx_edge.runtimes.snpe.own_files import read_dlc

    return read_dlc(model, shapes, outputs)
