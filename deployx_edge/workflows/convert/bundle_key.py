"""One word for all that decides what a bundle in the cache holds.

A bundle of yesterday's must not hide what was mended today, nor one made from other inputs.
Nothing heavy is imported here: where the bundle is there already, it is not needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.bundle import SCHEMA, sha256_of
from deployx_edge.distributions import installed_version
from deployx_edge.model import parse_inputs
from deployx_edge.operator_facts import all_operators
from deployx_edge.resources import cache_folder
from deployx_edge.runtime import RUNTIMES, find_runtime, owner_of
from deployx_edge.runtimes import load_runtime

if TYPE_CHECKING:
    from deployx_edge.workflows.convert.models import OpenedModel
    from deployx_edge.workflows.convert.options import BundleOptions

OPERATOR_SUFFIXES = (".cpp", ".h", ".py", ".toml")
PACKAGE = Path(__file__).resolve().parents[2]
# The parts of this package that no conversion imports; whatever else there is, counts.
NO_PART_OF_CONVERSIONS = ("agent", "cli", "crossbuild", "evaluation", "quantization", "transport")
# The distributions that conversions import or run.
TOOLS = (
    *("deployx-edge", "ml_dtypes", "numpy", "onnx", "onnx_ir", "onnxscript", "packaging"),
    *("pillow", "pnnx", "protobuf", "pyyaml", "tomli", "torch"),
    *(name for row in RUNTIMES.values() for name in (row.package, row.checker) if name),
)


def bundle_key(model: OpenedModel, options: BundleOptions) -> str:
    """The name of the model's bundle in the cache; ModelError for a model that is broken."""
    parts = {
        "schema": SCHEMA,
        "model": [model.name, model.source_file, model.source_sha256],
        "files": [sha256_of(file) for file in _source_files(model, options)],
        "options": asdict(options),
        "samples": [(str(file), sha256_of(file)) for file in _sample_files(options.samples)],
        "tools": tool_versions(),
        "needs": _own_needs(options.chosen_runtime),
        "code": code_digest(),
        "operators": operators_digest(),
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def tool_versions() -> list[tuple[str, str]]:
    """Of the distributions that decide what comes out; "" for one that is not installed."""
    return [(name, installed_version(name)) for name in TOOLS]


def _own_needs(runtime: str) -> list[tuple[str, str]]:
    """What a runtime found here that is no distribution beside ours: an SDK of the user's, or who
    checks models in an environment of its own."""
    facts = find_runtime(runtime)
    if facts.package and not facts.checker:
        return []
    return [(need.name, need.found) for need in load_runtime(runtime).setup().needs()]


@cache
def code_digest(package: Path = PACKAGE) -> str:
    """Of the code that may take part in a conversion, as it was when this was first asked."""
    digest = hashlib.sha256()
    # Of the packages in environments of their own, lists of versions say which they are.
    for file in sorted([*package.rglob("*.py"), *package.rglob("requirements.txt")]):
        name = file.relative_to(package)
        if name.parts[0] not in NO_PART_OF_CONVERSIONS:
            digest.update(f"{name.as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def operators_digest() -> str:
    """Of the operators of our own: what models with some become, and what runs them here."""
    digest = hashlib.sha256()
    for facts in all_operators().values():
        for file in sorted(facts.folder.iterdir()):
            if file.suffix in OPERATOR_SUFFIXES and not file.name.startswith("test_"):
                digest.update(f"{facts.name}/{file.name}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def _source_files(model: OpenedModel, options: BundleOptions) -> Sequence[Path]:
    """The file and those beside it that belong to it.

    To name an ONNX file's external data its whole graph has to be read, so that is done once for
    each content and place.
    """
    own = owner_of(model.path)
    if own is not None:
        return load_runtime(own.name).files_of(model.path)
    words = f"{sha256_of(model.path)} {model.path.absolute()} {code_digest()}"
    name = f"{hashlib.sha256(words.encode()).hexdigest()[:32]}.json"
    known = cache_folder() / "bundles" / "external-data" / name
    with suppress(OSError, ValueError):
        files = [Path(file) for file in json.loads(known.read_text(encoding="utf-8"))]
        if all(file.is_file() for file in files):
            return model.path, *files
    from deployx_edge.sources.onnx.file import read_onnx

    files = list(read_onnx(model.path, parse_inputs(options.input_shapes)).data_files)
    known.parent.mkdir(parents=True, exist_ok=True)
    # Others may be at it as well; what they write is the same.
    temporary = known.with_name(f".{known.name}.{os.getpid()}-{threading.get_ident()}")
    temporary.write_text(json.dumps([str(file.absolute()) for file in files]), encoding="utf-8")
    temporary.replace(known)
    return model.path, *files


def _sample_files(samples: Sequence[Path]) -> Iterator[Path]:
    for path in samples:
        if path.is_dir():
            yield from (file for file in sorted(path.rglob("*")) if file.is_file())
        elif path.is_file():
            yield path
