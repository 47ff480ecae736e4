"""Bundle folders: written whole or not at all, and checked file by file when read."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from deployx_edge.bundle.manifest import MANIFEST_NAME, manifest_text, parse_manifest
from deployx_edge.bundle.values import Bundle, BundleFile
from deployx_edge.errors import BundleError, DeployxError, UsageError
from deployx_edge.files import open_regular, read_bytes
from deployx_edge.scratch import beside, put_in_place

# A manifest says a few kilobytes; what is larger than this is none.
_LARGEST_MANIFEST = 16 * 1024 * 1024
_BLOCK = 1024 * 1024
# What a folder holds instead that holds several bundles (``bundle.sequence``).
SEQUENCE_NAME = "sequence.json"


def sha256_of(path: Path) -> str:
    """The sha256 (hex) of a file's content."""
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def describe_file(role: str, path: Path, name: str) -> BundleFile:
    """The entry for the file at ``path``, which will lie in the bundle as ``name``."""
    return BundleFile(role=role, path=name, size=path.stat().st_size, sha256=sha256_of(path))


def safe_name(text: str) -> str:
    """``text`` as a bundle's name: 1 to 128 characters of A-Z a-z 0-9 . _ - ."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:128]
    return cleaned if cleaned.strip("._") else "model"


def load_bundle(folder: Path) -> Bundle:
    """The bundle in ``folder``, with the size and sha256 of every file checked.

    Raises BundleError where the manifest is not of the schema or names a file that is
    missing, altered, or outside the folder.
    """
    folder = folder.absolute()
    bundle = _read_manifest(folder)
    for file in bundle.files:
        _check_file(folder, file)
    return bundle


def write_bundle(bundle: Bundle, sources: Mapping[str, Path], output: Path) -> Bundle:
    """Write the bundle to the folder ``output`` and return it as it lies there.

    ``sources`` says for each path of ``bundle.files`` where its content lies now. All is
    written to a temporary folder beside ``output``, which then takes its place by
    renaming. An earlier bundle there is replaced; a folder that holds anything else is
    refused and left as it is. Raises UsageError for that, BundleError where a source is
    not what ``bundle.files`` says, DeployxError where the disk refuses.
    """
    with folder_for(output) as fresh:
        _fill(replace(bundle, folder=fresh), sources)
    return replace(bundle, folder=output.absolute())


def _read_manifest(folder: Path) -> Bundle:
    path = folder / MANIFEST_NAME
    try:
        text = read_bytes(path, most=_LARGEST_MANIFEST)
    except OSError as error:
        if (folder / SEQUENCE_NAME).is_file():
            raise BundleError(
                f"{folder} is a sequence of bundles: run, bench, evaluate and compare take it as a "
                "whole, and nothing else does.",
                remedy="Name one of the folders in it.",
            ) from error
        raise BundleError(
            f"{folder} is not a bundle: {MANIFEST_NAME} cannot be read ({error.strerror}).",
            remedy="Make one with `deployx-edge convert MODEL -o FOLDER`.",
        ) from error
    return parse_manifest(text, folder)


def _check_file(folder: Path, file: BundleFile) -> None:
    path = folder / _safe_path(file.path)
    remedy = "Make the bundle again with `deployx-edge convert`."
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        state = path.stat()
    except (OSError, RuntimeError) as error:
        raise BundleError(
            f"The bundle {folder} lacks its file '{file.path}'.", remedy=remedy
        ) from error
    if not inside or not stat.S_ISREG(state.st_mode):
        raise BundleError(f"'{file.path}' in the bundle {folder} is not a file inside it.")
    if state.st_size != file.size:
        raise BundleError(
            f"'{file.path}' in the bundle {folder} has {state.st_size} bytes, "
            f"its manifest says {file.size}.",
            remedy=remedy,
        )
    try:
        found = sha256_of(path)
    except OSError as error:
        raise BundleError(f"'{path}' cannot be read: {error.strerror}.") from error
    if found != file.sha256:
        raise BundleError(
            f"'{file.path}' in the bundle {folder} was altered: its sha256 is {found[:12]}…, "
            f"the manifest says {file.sha256[:12]}….",
            remedy=remedy,
        )


def _safe_path(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    unsafe = (
        path.is_absolute()
        or ".." in path.parts
        or not path.parts
        or str(path) != text
        or "\\" in text
        or ":" in text
        or path.parts[0] == MANIFEST_NAME
        or any(len(part.encode()) > 255 for part in path.parts)
    )
    if unsafe:
        raise BundleError(f"The path {text!a} in {MANIFEST_NAME} leads out of the bundle.")
    return path


def check_output(output: Path) -> None:
    """UsageError unless ``output`` may be replaced: absent, empty, or nothing but a bundle."""
    if not output.exists() and not output.is_symlink():
        return
    remedy = "Name another folder with -o, or move that one away."
    if output.is_symlink() or not output.is_dir():
        raise UsageError(f"{output} exists and is not a folder.", remedy=remedy)
    found = {path.relative_to(output).as_posix() for path in output.rglob("*") if not path.is_dir()}
    if not found:
        return
    if SEQUENCE_NAME in found:
        _check_sequence(output, found, remedy)
        return
    if MANIFEST_NAME not in found:
        raise UsageError(f"{output} exists and is not a bundle.", remedy=remedy)
    try:
        known = {file.path for file in _read_manifest(output).files}
    except BundleError as error:
        raise UsageError(
            f"{output} exists and its {MANIFEST_NAME} cannot be read.", remedy=remedy
        ) from error
    foreign = sorted(found - known - {MANIFEST_NAME})
    if foreign:
        raise UsageError(
            f"{output} holds '{foreign[0]}', which is not part of the bundle there.", remedy=remedy
        )


def _fill(bundle: Bundle, sources: Mapping[str, Path]) -> None:
    for file in bundle.files:
        target = bundle.folder / _safe_path(file.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources[file.path], target)
        _flush(target)
        _check_file(bundle.folder, file)
    manifest = bundle.folder / MANIFEST_NAME
    text = manifest_text(bundle)
    parse_manifest(text.encode(), bundle.folder)  # what is written can be read
    manifest.write_text(text, encoding="utf-8")
    _flush(manifest)


def _check_sequence(output: Path, found: set[str], remedy: str) -> None:
    """UsageError where the folder of a sequence holds more than bundles."""
    for name in sorted({path.partition("/")[0] for path in found} - {SEQUENCE_NAME}):
        if not (output / name / MANIFEST_NAME).is_file():
            raise UsageError(
                f"{output} holds '{name}', which is not part of the sequence there.", remedy=remedy
            )
        check_output(output / name)


@contextmanager
def folder_for(output: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``output`` when the block ends without error.

    Raises UsageError where ``output`` holds what may not be replaced.
    """
    output = output.absolute()
    check_output(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with beside(output) as fresh:
            fresh.mkdir()
            yield fresh
            put_in_place(fresh, output)
    except OSError as error:
        raise DeployxError(f"The bundle cannot be written to {output}: {error}.") from error


def _flush(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
