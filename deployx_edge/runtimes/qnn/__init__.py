"""Qualcomm QNN: int8 and half floats on a Snapdragon's HTP; its file is the canonical ONNX model.

ONNX Runtime's QNN provider makes the HTP's graph of it, here for Qualcomm's emulator, on a board
for the HTP itself. What it would leave to the processor is refused, here as there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import MissingToolError, ModelError, UsageError

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
    from deployx_edge.runtimes.qnn.provider import version as of_wheel

    return of_wheel()


def setup() -> Setup:
    """See ``Runtime``."""
    from deployx_edge.runtimes.setup import PackageSetup

    return PackageSetup(__name__.rpartition(".")[2])


def converters() -> Mapping[str, Callable[[], Converter]]:
    """See ``Runtime``."""
    from deployx_edge.runtimes.qnn.converter import QnnConverter

    return {"canonical": QnnConverter}


def make_runner() -> Runner:
    """See ``Runtime``."""
    from deployx_edge.runtimes.qnn.runner import QnnRunner

    return QnnRunner()


def make_quantizer() -> Quantizer:
    """See ``Runtime``."""
    from deployx_edge.runtimes.qnn.quantizer import QnnQuantizer

    return QnnQuantizer()


def inspect(source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
    """See ``Runtime``; Qualcomm's emulator says which nodes it leaves to the processor."""
    from deployx_edge.runtimes.converter import LeftNodesError
    from deployx_edge.runtimes.inspected import Inspected, RefusedOperator
    from deployx_edge.runtimes.qnn.converter import QnnConverter
    from deployx_edge.sources.onnx.canonical import canonical

    try:
        QnnConverter().check(source)
    except LeftNodesError as refusal:
        nodes = tuple(RefusedOperator(**vars(node)) for node in refusal.nodes)
        return Inspected(whole="", refused=nodes, canonical=canonical(source))
    except ModelError as error:
        return Inspected(whole=error.message)
    except MissingToolError as error:  # nobody can say; the other runtimes can
        return Inspected(whole=str(error))
    return Inspected(whole="")


def layer_works(
    model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
) -> Mapping[str, LayerWork]:
    """See ``Runtime``; parts of layers have the names of nodes, some with a number."""
    from deployx_edge.runtimes.qnn.layer_names import qnn_layer_works

    return qnn_layer_works(model, outputs)


def files_of(model: Path) -> tuple[Path, ...]:
    """See ``Runtime``; it reads ONNX."""
    raise UsageError(f"{model} is not a model in a form of QNN's own.")


def read_own(
    model: Path,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Mapping[str, tuple[int, ...]],
) -> ConvertedModel:
    """See ``files_of``."""
    raise UsageError(f"{model} is not a model in a form of QNN's own.")
