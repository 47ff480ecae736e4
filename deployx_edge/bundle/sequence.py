"""Bundles that run one after the other: a folder with their folders and ``sequence.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from deployx_edge.bundle.folder import SEQUENCE_NAME, load_bundle
from deployx_edge.bundle.reading import ObjectReader, read_object
from deployx_edge.bundle.values import Bundle
from deployx_edge.errors import BundleError
from deployx_edge.files import SMALL, read_json

_SCHEMA = 1
_MANY = 64
_TENSOR = r"[^\x00-\x1f\x7f]{1,1024}"


@dataclass(frozen=True, kw_only=True)
class SequenceFeed:
    """An input of a part: output ``tensor`` of the earlier ``part``, or an input of the whole.

    ``part`` is None for the latter.
    """

    input: str
    part: int | None
    tensor: str


@dataclass(frozen=True, kw_only=True)
class SequencePart:
    """A bundle's folder beside ``sequence.json``, and what feeds its inputs."""

    folder: str
    feeds: tuple[SequenceFeed, ...]


@dataclass(frozen=True, kw_only=True)
class SequenceResult:
    """An output of the whole: the output ``tensor`` of a ``part``."""

    output: str
    part: int
    tensor: str


@dataclass(frozen=True, kw_only=True)
class BundleSequence:
    """What one model was cut into; ``bundles`` are those of ``parts``."""

    name: str
    parts: tuple[SequencePart, ...]
    results: tuple[SequenceResult, ...]
    bundles: tuple[Bundle, ...]


def is_sequence(folder: Path) -> bool:
    """Whether the folder says that it holds a sequence."""
    return (folder / SEQUENCE_NAME).is_file()


def load_sequence(folder: Path) -> BundleSequence:
    """The sequence in ``folder``, with all its bundles checked; BundleError where it is broken."""
    path = folder / SEQUENCE_NAME
    try:
        data = read_json(path, most=SMALL)
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read: {error}.") from error
    found = read_object(data, SEQUENCE_NAME, lambda reader: _read(reader, folder))
    for index, (part, bundle) in enumerate(zip(found.parts, found.bundles, strict=True)):
        fed = [feed.input for feed in part.feeds]
        if sorted(fed) != sorted(spec.name for spec in bundle.inputs):
            raise BundleError(f"{path} does not feed each input of {part.folder} once.")
        for feed in part.feeds:
            if feed.part is not None:
                _check_output(path, found, feed.part, feed.tensor, before=index)
    for result in found.results:
        _check_output(path, found, result.part, result.tensor, before=len(found.parts))
    return found


def write_sequence_file(sequence: BundleSequence, folder: Path) -> None:
    """Write ``sequence.json`` into a folder that holds the bundles' folders."""
    document = {
        "schema": _SCHEMA,
        "name": sequence.name,
        "parts": [asdict(part) for part in sequence.parts],
        "results": [asdict(result) for result in sequence.results],
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    (folder / SEQUENCE_NAME).write_text(text, encoding="utf-8")


def _check_output(
    path: Path, sequence: BundleSequence, part: int, tensor: str, *, before: int
) -> None:
    if part >= before or tensor not in [spec.name for spec in sequence.bundles[part].outputs]:
        raise BundleError(f"{path} names '{tensor}' of part {part}, which gives no such output.")


def _read(reader: ObjectReader, folder: Path) -> BundleSequence:
    reader.integer("schema", _SCHEMA, _SCHEMA)
    name = reader.text("name", pattern=_TENSOR, meaning="a name")
    parts = reader.objects("parts", _MANY, _read_part)
    return BundleSequence(
        name=name,
        parts=parts,
        results=reader.objects("results", _MANY, _read_result),
        bundles=tuple(load_bundle(folder / part.folder) for part in parts),
    )


def _read_part(reader: ObjectReader) -> SequencePart:
    return SequencePart(
        folder=reader.text(
            "folder", pattern=r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}", meaning="a folder"
        ),
        feeds=reader.objects("feeds", _MANY, _read_feed),
    )


def _read_feed(reader: ObjectReader) -> SequenceFeed:
    return SequenceFeed(
        input=reader.text("input", pattern=_TENSOR, meaning="an input's name"),
        part=reader.optional_integer("part", 0, _MANY),
        tensor=reader.text("tensor", pattern=_TENSOR, meaning="a tensor's name"),
    )


def _read_result(reader: ObjectReader) -> SequenceResult:
    return SequenceResult(
        output=reader.text("output", pattern=_TENSOR, meaning="an output's name"),
        part=reader.integer("part", 0, _MANY),
        tensor=reader.text("tensor", pattern=_TENSOR, meaning="a tensor's name"),
    )
