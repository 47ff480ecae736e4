"""What a quantization did and cost: values, and the file in a bundle that keeps them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deployx_edge.errors import BundleError
from deployx_edge.files import LARGE, read_json
from deployx_edge.quantization.values import QuantizationSettings


@dataclass(frozen=True, kw_only=True)
class TensorCost:
    """How far a tensor of the int8 model is from the float model's, over the samples compared.

    ``snr_db``: 10·log10 of the float's energy over the difference's, None where nothing differs.
    """

    tensor: str
    snr_db: float | None
    cosine: float


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """A layer with weights: how it runs, and its output's cost (None where it has no name).

    ``mode`` is "calibrated", "run-time" (the scale of what goes in is found in each run) or
    "float", for the ``reason``. ``activation_scale`` is the value of one unit of int8.
    """

    layer: str
    type: str
    mode: str
    reason: str
    activation_scale: float | None
    cost: TensorCost | None


@dataclass(frozen=True, kw_only=True)
class CalibrationData:
    """What the scales come from: where it lies, one sha256 for all of it, and one a sample."""

    dataset: str
    kind: str
    samples: int
    skipped: int
    sha256: str
    sample_sha256: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ForeignNode:
    """A node that PPQ cannot compute, for the ``reason``.

    ONNX Runtime computed it while scales were found. It stays in float, unless the runtime finds
    its scales itself, and is not tuned through.
    """

    node: str
    type: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class QuantizationReport:
    """All that is told of a quantization.

    ``compared`` samples went into the costs; ``foreign`` are the nodes that PPQ cannot compute.
    ``own_calibration`` says, where the runtime's own tool found the scales, why PPQ did not.
    """

    runtime: str
    preset: str | None
    settings: QuantizationSettings
    calibration: CalibrationData
    layers: tuple[LayerReport, ...]
    outputs: tuple[TensorCost, ...]
    compared: int
    bytes_before: int
    bytes_after: int
    seconds: float
    peak_bytes: int
    foreign: tuple[ForeignNode, ...] = ()
    own_calibration: str = ""

    def worst(self, count: int) -> tuple[LayerReport, ...]:
        """The int8 layers whose outputs are furthest from the float model's."""
        known = [item for item in self.layers if item.mode != "float" and item.cost is not None]
        return tuple(sorted(known, key=_snr_of)[:count])


@dataclass(frozen=True, kw_only=True)
class LayerSensitivity:
    """What the model's outputs lose where this layer alone is int8.

    ``snr_db`` is of the output that loses most, None where none changes.
    """

    layer: str
    type: str
    snr_db: float | None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A choice of layers that stayed in float, and what was measured with it."""

    keep_float: tuple[str, ...]
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Layers from the most to the least harmful; the trials, and what they were measured by.

    ``keep_float`` is what came of the search, empty without a goal; ``notes`` are what the
    measurements told, for instance that calibration and evaluation share samples.
    """

    layers: tuple[LayerSensitivity, ...]
    keep_float: tuple[str, ...] = ()
    metric: str = ""
    place: str = ""
    reference: float | None = None
    allowed: float | None = None
    trials: tuple[Trial, ...] = ()
    notes: tuple[str, ...] = ()


def _snr_of(layer: LayerReport) -> float:
    assert layer.cost is not None
    return float("inf") if layer.cost.snr_db is None else layer.cost.snr_db


def report_document(report: QuantizationReport) -> dict[str, Any]:
    """All of it for JSON; decibels, bytes, seconds."""
    return {"kind": "quantization", **asdict(report)}


def write_report(report: QuantizationReport, path: Path) -> None:
    """Write the document to a file."""
    text = json.dumps(report_document(report), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def calibration_hashes(path: Path) -> frozenset[str]:
    """The sha256 of each sample that a bundle was calibrated on, from its report's file."""
    try:
        data = read_json(path, most=LARGE)
        return frozenset(str(entry) for entry in data["calibration"]["sample_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path} does not hold the report of a quantization: {error}.") from error


def too_few(place: Path, count: int, different: int, least: int) -> str | None:
    """Why what lies at ``place``, so many samples of which so many differ, cannot calibrate.

    None where it can."""
    if count < least:
        samples = "1 sample" if count == 1 else f"{count} samples"
        return f"{place} gives {samples} to calibrate on; at least {least} are needed."
    if different < least:
        return (
            f"Of the {count} samples of {place} to calibrate on only {different} differ; at least "
            f"{least} are needed."
        )
    return None
