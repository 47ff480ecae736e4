"""OpenVINO: every element type and open axes; its file is the canonical ONNX model.

Its front end for ONNX reads the same file here and on the board, so that what was compared is what
runs, and tensors keep their names. An IR of its own would be one more form to be wrong in, and its
C interface gives no tensors inside of one.
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
    from deployx_edge.runtimes.openvino.wheel import version as of_wheel

    return of_wheel()


def setup() -> Setup:
    """See ``Runtime``."""
    from deployx_edge.runtimes.setup import PackageSetup

    return PackageSetup(__name__.rpartition(".")[2])


def converters() -> Mapping[str, Callable[[], Converter]]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.openvino.converter import OpenvinoConverter

    return {"canonical": OpenvinoConverter}


def make_runner() -> Runner:
    """See ``Runtime``."""
    from deployx_edge.runtimes.openvino.runner import OpenvinoRunner

    return OpenvinoRunner()


def make_quantizer() -> Quantizer:
    """See ``Runtime``."""
    from deployx_edge.runtimes.onnx_quantizer import OnnxQuantizer
    from deployx_edge.runtimes.openvino.converter import OpenvinoConverter

    return OnnxQuantizer(OpenvinoConverter())


def inspect(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime``; it refuses a model as a whole, and its reason names the operators."""
    from deployx_edge.runtimes.inspected import inspect_by_check
    from deployx_edge.runtimes.openvino.converter import OpenvinoConverter

    return inspect_by_check(OpenvinoConverter(), source)


def layer_works(
    model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
) -> Mapping[str, LayerWork]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.openvino.layer_names import openvino_layer_works

    return openvino_layer_works(model, outputs)


def files_of(model: Path) -> tuple[Path, ...]:
    """See ``Runtime``; it reads ONNX."""
    raise UsageError(f"{model} is not a model in a form of OpenVINO's own.")


def read_own(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> ConvertedModel:
    """See ``files_of``."""
    raise UsageError(f"{model} is not a model in a form of OpenVINO's own.")
