"""The story of a bundle: a model comes in, checked files with a manifest come out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.bundle import (
    Bundle,
    Provenance,
    check_output,
    describe_file,
    load_bundle,
    safe_name,
    write_bundle,
)
from deployx_edge.errors import BundleError, UsageError
from deployx_edge.model import parse_inputs
from deployx_edge.processing.steps import step_texts
from deployx_edge.progress import Phase, Progress, silent
from deployx_edge.resources import cache_folder
from deployx_edge.runtime import DEFAULT_RUNTIME, RUNTIMES, find_runtime, own_form_words, owner_of
from deployx_edge.workflows.convert.bundle_key import bundle_key
from deployx_edge.workflows.convert.models import OpenedModel, TorchOptions, open_source_model
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.locking import locked

if TYPE_CHECKING:
    from deployx_edge.workflows.convert.conversion import Made

_LONGEST_NOTE = 4096

__all__ = ["BundleOptions", "TorchOptions", "make_bundle"]

# What is converted as it lies; other models are exported first.
_FILES = (".onnx", *(row.own_suffix for row in RUNTIMES.values() if row.own_suffix))


def make_bundle(
    model: Path,
    output: Path | None = None,
    options: BundleOptions | None = None,
    *,
    input_shapes: Sequence[str] = (),
    progress: Progress = silent,
) -> Bundle:
    """The bundle of ``model``.

    That is an ``.onnx``, one of PyTorch's (``.pt``, ``.pt2``, ``package.module:factory``), an
    ncnn ``.param`` with its ``.bin``, or a bundle. Written to the folder ``output``; None for
    the tool's own cache, where the bundle of
    the same model, options and tools is reused while it is intact, and for a bundle as it
    lies. ``input_shapes`` adds to those of ``options``. Nothing is left behind on failure.
    Raises UsageError, ModelError, BundleError or VerificationError.
    """
    chosen = options or BundleOptions()
    chosen = replace(
        chosen,
        input_shapes=(*chosen.input_shapes, *input_shapes),
        # What YAML files say decides what a bundle in the cache is, not what they are called.
        preprocess=step_texts(chosen.preprocess),
        postprocess=step_texts(chosen.postprocess),
    )
    if output is not None or model.suffix not in _FILES:
        _check(chosen)
    if output is not None:
        check_output(output.absolute())
    if model.is_dir():
        return _from_bundle(model, output, chosen)
    requests = parse_inputs(chosen.input_shapes)
    with open_source_model(
        model, chosen.torch, requests, runtime=chosen.chosen_runtime, progress=progress
    ) as opened:
        if opened.path.suffix not in _FILES:
            raise UsageError(
                f"{model} is not a model: expected an .onnx file, one of PyTorch's (.pt, .pt2, "
                f"package.module:factory), {own_form_words()}, or a bundle folder."
            )
        if chosen.like:
            from deployx_edge.workflows.convert.presets import open_shapes

            shapes = open_shapes(chosen.like, opened.path, chosen.input_shapes, progress)
            chosen = replace(chosen, input_shapes=(*chosen.input_shapes, *shapes))
        own = owner_of(opened.path)
        runtime = find_runtime(chosen.runtime or (own.name if own else DEFAULT_RUNTIME))
        allowed = chosen.allow_fallback and runtime.leaves_nodes
        # Who names the chip that is meant anyway gets the same bundle.
        soc = None if chosen.soc == runtime.soc_meant("") else chosen.soc
        chosen = replace(chosen, runtime=runtime.name, allow_fallback=allowed, soc=soc)
        if output is not None:
            return _write(opened, output, chosen, progress)
        return _cached(opened, chosen, progress)


def _from_bundle(folder: Path, output: Path | None, options: BundleOptions) -> Bundle:
    bundle = load_bundle(folder)
    if options.runtime not in (None, bundle.runtime):
        raise UsageError(
            f"{folder} is a bundle for {bundle.runtime}, not for {options.runtime}.",
            remedy=f"Give its source model with --runtime {options.runtime}.",
        )
    given = replace(
        options,
        precision=None,
        runtime=None,
        verify=True,
        accept_unproven=False,
        allow_fallback=False,
    )
    if given != BundleOptions() or options.precision not in (None, bundle.precision):
        raise UsageError(
            f"{folder} is a bundle already ({bundle.precision}); options that would change it "
            "cannot be used.",
            remedy="Make it again from its source model.",
        )
    if output is None:
        return bundle
    sources = {file.path: bundle.folder / file.path for file in bundle.files}
    return write_bundle(bundle, sources, output)


def _cached(model: OpenedModel, options: BundleOptions, progress: Progress) -> Bundle:
    progress(Phase(text="Looking for the bundle"))
    folder = cache_folder() / "bundles" / bundle_key(model, options)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.with_name(folder.name + ".lock")):
        if folder.exists():
            try:
                bundle = load_bundle(folder)
                if options.like:
                    from deployx_edge.workflows.convert.presets import show_steps

                    show_steps(options.like, bundle.preprocessing, progress)
                    show_steps(options.like, bundle.postprocessing, progress)
                return bundle
            except BundleError:  # our own copy, damaged: made again
                shutil.rmtree(folder, ignore_errors=True)
        _check(options)
        return _write(model, folder, options, progress)


def _check(options: BundleOptions) -> None:
    # Converters take most of a second to import, and a bundle that is in the cache needs none.
    from deployx_edge.workflows.convert.conversion import check_options

    check_options(options)


def _write(model: OpenedModel, output: Path, options: BundleOptions, progress: Progress) -> Bundle:
    from deployx_edge.workflows.convert.conversion import from_onnx, from_own

    with tempfile.TemporaryDirectory(prefix="deployx-edge-bundle-") as work:
        if model.path.suffix == ".onnx":
            made = from_onnx(model.path, options, Path(work), progress)
        else:
            made = from_own(model.path, options, progress)
        return write_made(made, model, output, options.name)


def write_made(made: Made, model: OpenedModel, output: Path, name: str | None) -> Bundle:
    """What became of a model, as a bundle in the folder ``output``; ``name`` None: the model's."""
    stem = safe_name(name or model.name)
    files = [(role, path, _file_name(stem, role, path)) for role, path in made.model.files]
    bundle = Bundle(
        folder=output,
        name=stem,
        runtime=made.model.runtime,
        precision=made.model.precision,
        files=tuple(describe_file(*file) for file in files),
        inputs=made.model.inputs,
        outputs=made.model.outputs,
        preprocessing=made.preprocessing,
        postprocessing=made.postprocessing,
        provenance=Provenance(
            tools=made.tools,
            source_file=_on_one_line(model.source_file),
            source_sha256=model.source_sha256,
            notes=tuple(_on_one_line(note) for note in made.notes),
            verification=made.verification,
            fixed_inputs=model.fixed_inputs,
        ),
        operators=made.model.operators,
        soc=find_runtime(made.model.runtime).soc_meant(made.model.soc),
        left=made.model.left,
    )
    return write_bundle(bundle, {named: path for _, path, named in files}, output)


def _on_one_line(text: str) -> str:
    """As the manifest takes it: no line breaks nor other control characters, not too long."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_LONGEST_NOTE]


def _file_name(stem: str, role: str, path: Path) -> str:
    """``digits.param``; with the file's own suffix where that is not the role's name."""
    return f"{stem}.{role}" if path.suffix in ("", f".{role}") else f"{stem}.{role}{path.suffix}"
