"""The text file ``.param``: a magic number, two counts, and a line for every layer.

The format is described by ncnn's ``param-and-model-file-structure`` page and defined by
``Net::load_param`` and ``ParamDict::load_param``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import ModelError
from deployx_edge.files import read_text

_MAGIC = "7767517"
_LARGEST_PARAM = 64 * 1024 * 1024
# An array's id is written as -23300 - id, its value as the count and the elements.
_ARRAY_IDS = -23300


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One line of a ``.param`` file; ``params`` are its ``id=value`` words."""

    type: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    params: tuple[tuple[int, str], ...]


def read_param(path: Path) -> tuple[Layer, ...]:
    """The layers of a ``.param`` file, in order; ModelError where it is not one."""
    try:
        lines = read_text(path, most=_LARGEST_PARAM).splitlines()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not an ncnn .param file: it is not text.") from error
    lines = [line for line in lines if line.strip()]
    if not lines or lines[0].strip() != _MAGIC:
        raise ModelError(f"{path} is not an ncnn .param file: its first line is not {_MAGIC}.")
    try:
        count = int(lines[1].split()[0])
        layers = tuple(_read_layer(line.split()) for line in lines[2:])
    except (ValueError, IndexError) as error:
        raise ModelError(f"{path} is not a whole ncnn .param file: {error}.") from error
    if len(layers) != count:
        raise ModelError(f"{path} announces {count} layers and holds {len(layers)}.")
    return layers


def format_param(layers: Sequence[Layer]) -> str:
    """The text of a ``.param`` file with these layers."""
    blobs = {blob for layer in layers for blob in layer.tops}
    lines = [_MAGIC, f"{len(layers)} {len(blobs)}"]
    for layer in layers:
        words = [layer.type, layer.name, str(len(layer.bottoms)), str(len(layer.tops))]
        words += [*layer.bottoms, *layer.tops]
        words += [f"{key}={value}" for key, value in layer.params]
        lines.append(" ".join(words))
    return "\n".join(lines) + "\n"


def format_float(value: float) -> str:
    """A float so that ncnn's reader takes it for one, and for the same float32.

    A number without a point or an exponent would be read as an integer's bits.
    """
    return f"{value:.9e}"


def integer_list(key: int, values: Sequence[int]) -> tuple[int, str]:
    """The parameter ``key`` as an array of integers."""
    return _ARRAY_IDS - key, ",".join(str(value) for value in (len(values), *values))


def float_list(key: int, values: Sequence[float]) -> tuple[int, str]:
    """The parameter ``key`` as an array of floats."""
    words = [str(len(values)), *(format_float(value) for value in values)]
    return _ARRAY_IDS - key, ",".join(words)


def _read_layer(words: list[str]) -> Layer:
    bottoms, tops = int(words[2]), int(words[3])
    names, params = words[4 : 4 + bottoms + tops], words[4 + bottoms + tops :]
    if bottoms < 0 or tops < 0 or len(names) != bottoms + tops:
        raise ValueError(f"the line of layer '{words[1]}' is cut off")
    pairs = [word.partition("=") for word in params]
    return Layer(
        type=words[0],
        name=words[1],
        bottoms=tuple(names[:bottoms]),
        tops=tuple(names[bottoms:]),
        params=tuple((int(key), value) for key, _, value in pairs),
    )
