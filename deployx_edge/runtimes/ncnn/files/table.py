"""The text file ``.table``: the scales of a network's int8 layers, as ``ncnn2int8`` reads them.

A line for the weights of each layer, ``NAME_param_0 SCALE …`` with one scale an output (or
group), then a line for what goes into each, ``NAME SCALE``. A quantized value is the value times
this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import ModelError
from deployx_edge.files import LARGE, read_text

_WEIGHTS = "_param_0"


@dataclass(frozen=True, kw_only=True)
class TableEntry:
    """The scales of one layer: of what goes in, and of its weights."""

    activation: float
    weights: tuple[float, ...]


def format_table(entries: Mapping[str, TableEntry]) -> str:
    """The text of a ``.table`` file; scales so that they read as the same float32."""
    lines = [
        " ".join([f"{name}{_WEIGHTS}", *(f"{scale:.9g}" for scale in entry.weights)])
        for name, entry in entries.items()
    ]
    lines += [f"{name} {entry.activation:.9g}" for name, entry in entries.items()]
    return "\n".join(lines) + "\n"


def read_table(path: Path) -> dict[str, TableEntry]:
    """The entries of a ``.table`` file by layer; ModelError where it is not one."""
    try:
        rows = [line.split() for line in read_text(path, most=LARGE).splitlines()]
        scales = {row[0]: tuple(float(word) for word in row[1:]) for row in rows if row}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not an ncnn .table file: {error}.") from error
    names = dict.fromkeys(name.removesuffix(_WEIGHTS) for name in scales)
    return {name: _entry(path, name, scales) for name in names}


def _entry(path: Path, name: str, scales: Mapping[str, Sequence[float]]) -> TableEntry:
    weights, activation = scales.get(f"{name}{_WEIGHTS}", ()), scales.get(name, ())
    if len(activation) != 1 or not weights:
        raise ModelError(f"{path} does not hold the scales of the layer '{name}' as a pair.")
    return TableEntry(activation=activation[0], weights=tuple(weights))
