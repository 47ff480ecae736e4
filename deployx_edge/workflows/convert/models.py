"""Models as people name them become files that can be converted."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployx_edge.bundle import sha256_of
from deployx_edge.errors import UsageError
from deployx_edge.files import parse_json
from deployx_edge.model import InputRequest
from deployx_edge.progress import Progress, silent
from deployx_edge.resources import cache_folder
from deployx_edge.runtime import DEFAULT_RUNTIME
from deployx_edge.scratch import beside
from deployx_edge.sources.torch.source import EXPORTER_KEY, EXPORTERS, TorchSource, is_torch
from deployx_edge.workflows.convert.bundle_key import code_digest, tool_versions
from deployx_edge.workflows.locking import locked

# What was told aloud while a model was exported travels in the ONNX file's metadata.
NOTES_KEY = "deployx-edge.notes"
EXPORT_KEYS = (EXPORTER_KEY, NOTES_KEY)


@dataclass(frozen=True, kw_only=True)
class TorchOptions:
    """How a model comes out of PyTorch.

    ``checkpoint`` and ``factory_arguments`` (a JSON object) are for ``package.module:factory``.
    ``exporter``: "dynamo", "torchscript", or "auto" for the first that can do it.
    ``rewriters``: modules or ``.py`` files that register rewriters; ``settings`` (a JSON object)
    is what these find in ``context.config``. ``accept_frozen``: a trace may keep one value of
    what depends on the inputs; the bundle's notes name each.
    """

    checkpoint: Path | None = None
    factory_arguments: str = "{}"
    exporter: str = "auto"
    rewriters: tuple[str, ...] = ()
    settings: str = "{}"
    accept_frozen: bool = False


@dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """A file to convert, what it is called, and the sha256 of what the user named.

    ``fixed_inputs`` are the words that give inputs of it a value.
    """

    path: Path
    name: str
    source_file: str
    source_sha256: str
    fixed_inputs: tuple[str, ...] = ()


@contextmanager
def open_source_model(
    model: Path,
    options: TorchOptions,
    inputs: Mapping[str, InputRequest],
    *,
    runtime: str = DEFAULT_RUNTIME,
    progress: Progress = silent,
) -> Iterator[OpenedModel]:
    """The file itself, or the ONNX that one of PyTorch's models is exported to.

    Exports of files are kept in the cache by the hash of what went in; what Python code makes
    is exported anew, as nobody knows what that code depends on. Raises UsageError, ModelError
    or MissingToolError.
    """
    reference = str(model)
    if not is_torch(reference):
        if options != TorchOptions():
            raise UsageError(
                f"{model} does not come from PyTorch; the options for that cannot be used.",
            )
        digest = _digest_of(model)
        stem = model.name.removesuffix(model.suffix)
        yield OpenedModel(
            path=model,
            name=stem,
            source_file=model.name,
            source_sha256=digest,
            fixed_inputs=_fixed(inputs),
        )
        return
    source = TorchSource(
        reference=reference,
        checkpoint=options.checkpoint,
        arguments=json_object(options.factory_arguments, "--factory-args"),
        accept_frozen=options.accept_frozen,
    )
    if options.exporter not in ("auto", *EXPORTERS):
        raise UsageError(f"The exporter is auto, {' or '.join(EXPORTERS)}, not {options.exporter}.")
    if source.is_factory or options.rewriters:
        from deployx_edge.workflows.convert.exports import export

        with tempfile.TemporaryDirectory(prefix="deployx-edge-export-") as folder:
            path = Path(folder) / f"{source.name}.onnx"
            export(source, options, inputs, runtime, path, progress)
            yield _opened(source, path, inputs)
        return
    yield _opened(source, _kept_export(source, options, inputs, runtime, progress), inputs)


def notes_in(metadata_of_model: Mapping[str, str]) -> tuple[str, ...]:
    """What was told aloud when the model was exported."""
    return tuple(json.loads(metadata_of_model.get(NOTES_KEY, "[]")))


def _fixed(inputs: Mapping[str, InputRequest]) -> tuple[str, ...]:
    return tuple(request.word for request in inputs.values() if request.values)


def exported_by(metadata_of_model: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The exporter, as a tool with its version; nothing for a file that came as ONNX."""
    found = metadata_of_model.get(EXPORTER_KEY)
    return (("torch", found),) if found else ()


def _opened(source: TorchSource, path: Path, inputs: Mapping[str, InputRequest]) -> OpenedModel:
    from_file = not source.is_factory
    return OpenedModel(
        path=path,
        name=source.name,
        source_file=Path(source.reference).name if from_file else source.reference,
        source_sha256=sha256_of(Path(source.reference) if from_file else path),
        fixed_inputs=_fixed(inputs),
    )


def _kept_export(
    source: TorchSource,
    options: TorchOptions,
    inputs: Mapping[str, InputRequest],
    runtime: str,
    progress: Progress,
) -> Path:
    path = Path(source.reference)
    parts = [_digest_of(path), repr(inputs), repr(options), repr(tool_versions()), code_digest()]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
    folder = cache_folder() / "exports" / key
    kept = folder / f"{source.name}.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):
        if not kept.is_file():
            # What exports takes long to import, and an export that is kept needs none of it.
            from deployx_edge.workflows.convert.exports import export

            with beside(folder / "export") as work:
                work.mkdir()
                export(source, options, inputs, runtime, work / kept.name, progress)
                for file in sorted(work.iterdir(), reverse=True):
                    file.replace(folder / file.name)
    return kept


def _digest_of(model: Path) -> str:
    """The sha256 of a model's file; UsageError where there is none."""
    try:
        return sha256_of(model)
    except FileNotFoundError as error:
        raise UsageError(f"The model {model} does not exist.") from error
    except OSError as error:
        raise UsageError(f"The model {model} cannot be read: {error.strerror}.") from error


def json_object(text: str, option: str) -> dict[str, Any]:
    """What an option says as JSON; UsageError where that is not an object."""
    try:
        found = parse_json(text)
    except ValueError as error:
        raise UsageError(
            f"{option} is not JSON: {error}.", remedy="Write it like '{\"width\": 32}'."
        ) from error
    if not isinstance(found, dict):
        raise UsageError(
            f"{option} is not a JSON object.", remedy="Write it like '{\"width\": 32}'."
        )
    return found
