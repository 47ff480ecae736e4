"""What makes an int8 model for a runtime, and what every one of them begins with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deployx_edge.bundle import Verification
from deployx_edge.errors import UsageError
from deployx_edge.evaluation.data.datasets import Dataset
from deployx_edge.progress import Progress, Share, Stage, silent
from deployx_edge.quantization.ppq import PpqResult
from deployx_edge.quantization.report import (
    CalibrationData,
    ForeignNode,
    QuantizationReport,
    TensorCost,
)
from deployx_edge.quantization.values import ACTIVATIONS, QuantizationSettings
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes.converter import ConvertedModel, refuse_unknown
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx

if TYPE_CHECKING:
    import onnx

# Tensors by name for a set of inputs.
Run = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_COMPARED = 32  # samples that a report's figures come from
_VERIFIED = 4  # of the calibration data, beside the inputs made up for it


@dataclass(frozen=True, kw_only=True)
class Material:
    """A model with what it is calibrated on; ``folder`` is for files, and deleted by the caller."""

    source: OnnxSource
    name: str
    data: Dataset
    calibration: CalibrationData
    outputs: tuple[SourceTensor, ...]
    made_up: tuple[Mapping[str, Any], ...]
    folder: Path

    def inputs(self) -> list[dict[str, Any]]:
        """Some of the calibration data, then inputs made up: what conversions are verified on.

        Those for which the model gives NaN or infinity are left out: nothing can be compared.
        """
        own = [dict(sample.inputs) for sample in islice(iter(self.data), _VERIFIED)]
        return [*own, *map(dict, self.made_up)]

    @property
    def verified_samples(self) -> int:
        """How many of ``inputs`` are the user's own."""
        return min(_VERIFIED, self.calibration.samples)

    @property
    def compared_samples(self) -> int:
        """How many samples a report's figures come from."""
        return min(_COMPARED, self.calibration.samples)


@dataclass(frozen=True)
class PpqTold:
    """Passes on how far PPQ is."""

    progress: Progress

    def phase(self, text: str) -> None:
        """A phase begins."""
        self.progress(Stage(text=f"PPQ: {text}"))

    def share(self, done: int, total: int) -> None:
        """So much of it is done."""
        self.progress(Share(done=done, total=total))


@dataclass(frozen=True, kw_only=True)
class Int8Options:
    """How an int8 model is made; ``preset`` is only told, ``keep_float`` names layers that stay.

    ``soc`` and ``allow_fallback`` as in ``ConversionRequest``.
    """

    settings: QuantizationSettings
    preset: str | None
    keep_float: tuple[str, ...]
    accept_unproven: bool
    soc: str = ""
    allow_fallback: bool = False


@dataclass(frozen=True, kw_only=True)
class QuantizedModel:
    """An int8 model, what its comparison found, and what int8 cost.

    ``tools`` are those whose versions decided.
    """

    model: ConvertedModel
    verification: Verification
    report: QuantizationReport
    tools: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class QuantizableNode:
    """A layer that can be int8, by the name and the type of its node."""

    node: str
    type: str


class Calibrated(Protocol):
    """A model with scales for all its layers, before it is decided which of them are used."""

    @property
    def material(self) -> Material:
        """What it was calibrated on."""
        ...

    @property
    def able(self) -> tuple[QuantizableNode, ...]:
        """The layers that can be int8."""
        ...

    def float_model(self, folder: Path) -> OnnxSource:
        """The model in floats, in the empty ``folder``."""
        ...

    def int8_in_floats(self, keep_float: Sequence[str], folder: Path) -> OnnxSource:
        """What the model with all layers but ``keep_float`` in int8 computes, as ONNX in floats."""
        ...

    def untested(self, keep_float: Sequence[str], folder: Path) -> ConvertedModel:
        """The int8 model of a choice of layers, to try it; nothing is compared."""
        ...

    def finish(self, options: Int8Options, *, progress: Progress = silent) -> QuantizedModel:
        """The int8 model with all layers but those that ``options`` keeps in float, compared.

        VerificationError where it does not compute what its scales say.
        """
        ...


class LayerQuantizer(Protocol):
    """One for which scales are found once, whichever layers are int8 in the end."""

    def calibrate(
        self, material: Material, options: Int8Options, *, progress: Progress = silent
    ) -> Calibrated:
        """Find the scales of all layers; ModelError where runtime or PPQ cannot have the model."""
        ...

    def tools(self) -> tuple[tuple[str, str], ...]:
        """The tools whose versions decide what comes out."""
        ...


class Quantizer(Protocol):
    """Makes int8 models for a runtime."""

    @property
    def by_layer(self) -> LayerQuantizer | None:
        """The same layer by layer, where the runtime has that."""
        ...

    def quantize(
        self, material: Material, options: Int8Options, *, progress: Progress = silent
    ) -> QuantizedModel:
        """The int8 model; ModelError where runtime or PPQ cannot have the model.

        VerificationError where it does not compute what its scales say.
        """
        ...


def check_layers(names: Sequence[str], known: Sequence[str]) -> None:
    """UsageError for a name that is not a layer's, with the nearest that are."""
    remedy = "`deployx-edge quantize` lists the layers by name."
    refuse_unknown(names, known, remedy=remedy)


def check_activations(settings: QuantizationSettings, runtime: str, widest: int) -> None:
    """UsageError where the runtime's kernels take no values of so many bits between layers."""
    if ACTIVATIONS[settings.activations] <= widest:
        return
    raise UsageError(
        f"Between the layers of {find_runtime(runtime).title} values have {widest} bits, not "
        f"{ACTIVATIONS[settings.activations]}.",
        remedy="Leave --activations out, or keep the layers that lose most in float "
        "(--keep-float).",
    )


def tensor_costs(
    plain: OnnxSource,
    int8: OnnxSource,
    names: Sequence[str],
    data: Dataset,
    progress: Progress = silent,
) -> dict[str, TensorCost]:
    """How far tensors of the one are from the other's, as ``run_costs``."""
    first, second = Reference(plain, tensors=names), Reference(int8, tensors=names)
    return run_costs(first.run, second.run, names, data, progress)


def run_costs(
    first: Run, second: Run, names: Sequence[str], data: Dataset, progress: Progress = silent
) -> dict[str, TensorCost]:
    """How far what the one gives is from the other's, over the first samples of ``data``.

    Values that are NaN or infinite in one of them do not count.
    """
    import numpy as np

    sums = {name: np.zeros(4) for name in names}
    total = min(_COMPARED, len(data))
    for index, sample in enumerate(islice(iter(data), _COMPARED)):
        progress(Share(done=index, total=total, of="samples"))
        wanted, got = first(sample.inputs), second(sample.inputs)
        for name in names:
            a, b = (array[name].astype(np.float64).reshape(-1) for array in (wanted, got))
            usable = np.isfinite(a) & np.isfinite(b)
            a, b = a[usable], b[usable]
            sums[name] += (a @ a, b @ b, a @ b, (a - b) @ (a - b))
    return {name: _cost(name, *values) for name, values in sums.items()}


def _cost(name: str, first: float, second: float, product: float, error: float) -> TensorCost:
    import math

    norm = math.sqrt(first * second)
    return TensorCost(
        tensor=name,
        snr_db=10.0 * math.log10(max(first, 1e-30) / error) if error > 0 else None,
        cosine=float(product / norm) if norm > 0 else 1.0,
    )


def foreign_nodes(model: onnx.ModelProto, result: PpqResult) -> tuple[ForeignNode, ...]:
    """What a report says of the nodes that PPQ cannot compute."""
    return tuple(
        ForeignNode(node=node.name, type=node.op_type, reason=result.foreign[node.name])
        for node in model.graph.node
        if node.name in result.foreign
    )


def save_source(model: onnx.ModelProto, folder: Path, name: str) -> OnnxSource:
    """The model as a file, read like any other. Every node has a name of its own."""
    import onnx

    taken: set[str] = set()
    for index, node in enumerate(model.graph.node):
        name_of_node = node.name or next(iter(node.output), "node")
        node.name = f"{name_of_node}_{index}" if name_of_node in taken else name_of_node
        taken.add(node.name)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return read_onnx(path, {})


def make_folder(folder: Path, name: str) -> Path:
    """An empty folder of that name inside."""
    path = folder / name
    path.mkdir()
    return path
