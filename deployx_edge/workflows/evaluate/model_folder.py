"""A folder that holds a model beside the data that it is measured and calibrated on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deployx_edge.bundle import MANIFEST_NAME, is_sequence
from deployx_edge.errors import UsageError

_MODEL, _DATASET, _CALIBRATION = "*.onnx", "*_test.npz", "*_calibration.npz"


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """What lies in the folder; ``calibration`` is None where it has no such data."""

    model: Path
    dataset: Path
    calibration: Path | None


def read_model_folder(folder: Path) -> ModelFolder:
    """The model and its data by their names; UsageError where they are not one of each."""
    if not folder.is_dir() or (folder / MANIFEST_NAME).is_file() or is_sequence(folder):
        raise UsageError(
            f"{folder} is measured on data, and none was named.",
            remedy="Add --dataset FOLDER|FILE.",
        )
    return ModelFolder(
        model=_only(folder, _MODEL, "Name the model itself, and add --dataset FOLDER|FILE."),
        dataset=_only(folder, _DATASET, "Add --dataset FOLDER|FILE, and name the model itself."),
        calibration=next(iter(sorted(folder.glob(_CALIBRATION))), None),
    )


def _only(folder: Path, pattern: str, remedy: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) == 1:
        return found[0]
    there = ", ".join(path.name for path in found) or "none"
    raise UsageError(
        f"Expected one file {pattern} in {folder}, as no dataset was named; found {there}.",
        remedy=remedy,
    )
