"""int8 bundles that nobody named a folder for: made once for a model, its data and its options."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from deployx_edge.bundle import Bundle, load_bundle, sha256_of
from deployx_edge.distributions import installed_version
from deployx_edge.errors import BundleError
from deployx_edge.model import parse_inputs
from deployx_edge.processing.steps import step_texts
from deployx_edge.progress import Phase, Progress, silent
from deployx_edge.resources import cache_folder
from deployx_edge.workflows.convert.bundle_key import NO_PART_OF_CONVERSIONS, PACKAGE, bundle_key
from deployx_edge.workflows.convert.models import open_source_model
from deployx_edge.workflows.locking import locked
from deployx_edge.workflows.quantize.calibration import QuantizeOptions
from deployx_edge.workflows.quantize.quantize import quantize

_QUANTIZER = "esp-ppq"


def quantize_once(
    model: Path,
    calibration: Path,
    output: Path,
    options: QuantizeOptions,
    *,
    progress: Progress = silent,
) -> Bundle:
    """The int8 bundle from the tool's cache, made now where it is not there; see ``quantize``.

    What a list or a bundle leads to is not looked through: it is made each time, in ``output``.
    """
    if model.is_dir() or options.images is not None or not _is_whole(calibration):
        return quantize(model, calibration, output, options, progress=progress).bundle
    progress(Phase(text="Looking for the bundle"))
    folder = cache_folder() / "bundles" / _key(model, calibration, options, progress)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(folder.name + ".lock")):
        if folder.exists():
            try:
                return load_bundle(folder)
            except BundleError:  # our own copy, damaged: made again
                shutil.rmtree(folder, ignore_errors=True)
        return quantize(model, calibration, folder, options, progress=progress).bundle


def _is_whole(calibration: Path) -> bool:
    """Whether all of the data is in the file, or below the folder."""
    return calibration.is_dir() or calibration.suffix == ".npz"


def _key(model: Path, calibration: Path, options: QuantizeOptions, progress: Progress) -> str:
    # What YAML files say decides, not what they are called.
    said = replace(
        options.bundle,
        preprocess=step_texts(options.bundle.preprocess),
        postprocess=step_texts(options.bundle.postprocess),
    )
    requests = parse_inputs(said.input_shapes)
    with open_source_model(
        model, said.torch, requests, runtime=said.chosen_runtime, progress=progress
    ) as opened:
        of_model = bundle_key(opened, said)
    parts = {
        "model": of_model,
        "options": asdict(replace(options, bundle=said)),
        "data": [(name, sha256_of(file)) for name, file in _files(calibration)],
        "quantizer": [_QUANTIZER, installed_version(_QUANTIZER)],
        "code": _code_digest(),
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _files(calibration: Path) -> Iterator[tuple[str, Path]]:
    if calibration.is_file():
        yield "", calibration
    for file in sorted(calibration.rglob("*")) if calibration.is_dir() else ():
        if file.is_file():
            yield file.relative_to(calibration).as_posix(), file


def _code_digest() -> str:
    """Of the code that no conversion imports, some of which takes part here."""
    digest = hashlib.sha256()
    for part in NO_PART_OF_CONVERSIONS:
        for file in sorted((PACKAGE / part).rglob("*.py")):
            digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()
