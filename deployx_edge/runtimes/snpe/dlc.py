"""What can be read of a ``.dlc``: that it is whole, who made it, and what goes in and out.

A DLC is a zip archive. Its ``dlc.metadata`` are lines of ``key=value``; what the model's graph
holds is the SDK's own, and told by its ``snpe-dlc-info``.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import ModelError
from deployx_edge.files import SMALL
from deployx_edge.model import format_shape, too_large
from deployx_edge.qairt import MAJOR
from deployx_edge.runtimes.snpe.tools import Asked, first_tool, run_tool
from deployx_edge.sources.placeholders import refuse_placeholder

_METADATA = "dlc.metadata"
_MODEL = "model"
_AGAIN = "Copy it again, or convert it again from its source."
# What a table of that tool begins with; dims as 1,3,8,8.
_HEADS = {"inputs": "Input Name", "outputs": "Output Name"}
_DIMS = re.compile(r"\d+(,\d+)*")
# The words that it has for element types; quantized ones are handed over as floats.
_TYPES = {"float_32": "float32", "ufxp_8": "float32", "sfxp_8": "float32", "ufxp_16": "float32"}
_TYPES |= {"float_16": "float16", "int_32": "int32", "uint_32": "uint32", "int_64": "int64"}
_TYPES |= {"int_8": "int8", "uint_8": "uint8", "int_16": "int16", "uint_16": "uint16"}
_TYPES |= {"bool_8": "bool", "sfxp_16": "float32"}


@dataclass(frozen=True, kw_only=True)
class DlcTensor:
    """An input or output: ``stored`` is the SDK's word for its element type."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    stored: str


@dataclass(frozen=True, kw_only=True)
class DlcInfo:
    """What goes in and out of a DLC."""

    inputs: tuple[DlcTensor, ...]
    outputs: tuple[DlcTensor, ...]


def check_archive(path: Path) -> dict[str, str]:
    """The DLC's metadata; ModelError where it is no DLC, is damaged, or of another SNPE."""
    refuse_placeholder(path)
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            names = archive.namelist()
            metadata = _metadata(archive) if _METADATA in names and not broken else {}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise ModelError(
            f"{path} cannot be read as a DLC, which is a zip archive: {error}.", remedy=_AGAIN
        ) from error
    if broken:
        raise ModelError(f"{path} is damaged: its part '{broken}' has other bytes.", remedy=_AGAIN)
    if _MODEL not in names:
        held = ", ".join(names[:3]) or "nothing"
        raise ModelError(
            f"{path} is a zip archive without a model, and no DLC: it holds {held}.",
            remedy="Give the .dlc that Qualcomm's converter wrote.",
        )
    made_by = metadata.get("converter-version", "")
    if re.match(r"\d+\.", made_by) and made_by.partition(".")[0] != MAJOR:
        raise ModelError(
            f"{path} was made by SNPE {made_by}; SNPE {MAJOR} does not read it.",
            remedy="Convert it again from its source.",
        )
    return metadata


def _metadata(archive: zipfile.ZipFile) -> dict[str, str]:
    with archive.open(_METADATA) as file:
        lines = file.read(SMALL).decode(errors="replace").splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def read_info(path: Path) -> DlcInfo:
    """What the SDK's own tool says of it; MissingToolError without the SDK."""
    tool = first_tool("snpe-dlc-info", "qairt-dlc-info")
    with tempfile.TemporaryDirectory(prefix="deployx-edge-snpe-") as folder:
        asked = Asked(name=path.name, nodes={})
        run_tool(tool, ["-i", path.absolute(), "-s", "info.csv"], asked, Path(folder))
        saved = Path(folder) / "info.csv"
        if not saved.is_file():
            raise ModelError(f"{tool} ended without a word on {path.name}.")
        return parse_info(saved.read_text(encoding="utf-8", errors="replace"), path.name)


def parse_info(text: str, name: str) -> DlcInfo:
    """Of what ``snpe-dlc-info -s FILE`` wrote; ModelError where it lacks inputs or outputs."""
    rows = list(csv.reader(io.StringIO(text)))
    found = {key: _table(rows, head, name) for key, head in _HEADS.items()}
    for key, tensors in found.items():
        if not tensors:
            raise ModelError(f"What snpe-dlc-info says of {name} names no {key}.")
    return DlcInfo(**found)


def _table(rows: Sequence[Sequence[str]], head: str, name: str) -> tuple[DlcTensor, ...]:
    """The rows below the one that begins with ``head``, until one that is none of them."""
    begin = next((place for place, row in enumerate(rows) if row and row[0].strip() == head), None)
    tensors = []
    for row in rows[begin + 1 :] if begin is not None else ():
        if len(row) < 3 or not _DIMS.fullmatch(row[1].replace(" ", "")):
            break
        shape = tuple(int(size) for size in row[1].split(","))
        stored = row[2].strip()
        dtype = _TYPES.get(stored.lower(), "")
        if not dtype:
            raise ModelError(f"'{row[0]}' of {name} has the element type {stored}, unknown here.")
        if 0 in shape or too_large(shape):
            raise ModelError(f"'{row[0]}' of {name} is {format_shape(shape)}: empty or too large.")
        tensors.append(DlcTensor(name=row[0].strip(), shape=shape, dtype=dtype, stored=stored))
    return tuple(tensors)
