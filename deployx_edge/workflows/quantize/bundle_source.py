"""The model that a bundle was made of, where it can still be had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from deployx_edge.bundle import MANIFEST_NAME, Bundle, load_bundle, sha256_of
from deployx_edge.errors import UsageError
from deployx_edge.model import TensorSpec
from deployx_edge.processing.steps import step_texts
from deployx_edge.runtime import ONNX_ROLE, RUNTIMES
from deployx_edge.workflows.quantize.calibration import QuantizeOptions

_WHOLE = "fp32"  # the precision in which a file of ONNX is the model itself


def resolve(model: Path, options: QuantizeOptions) -> tuple[Path, QuantizeOptions]:
    """``model``, or the source of the bundle in that folder with what the bundle says besides.

    Shapes, values of inputs, pre- and post-processing are the bundle's where ``options`` say
    nothing. Raises UsageError where the source is not in the bundle, nor beside it, nor here.
    """
    if not (model / MANIFEST_NAME).is_file():
        return model, options
    bundle, chosen = load_bundle(model), options.bundle
    # A preset says it anew.
    steps = ((), ()) if chosen.like else (bundle.preprocessing, bundle.postprocessing)
    return _file(bundle), replace(
        options,
        bundle=replace(
            chosen,
            input_shapes=chosen.input_shapes or _requests(bundle),
            preprocess=chosen.preprocess or step_texts(steps[0]),
            postprocess=chosen.postprocess or step_texts(steps[1]),
            name=chosen.name or bundle.name,
        ),
    )


def _file(bundle: Bundle) -> Path:
    if RUNTIMES[bundle.runtime].reads_onnx and bundle.precision == _WHOLE:
        return bundle.path(ONNX_ROLE)
    name, digest = bundle.provenance.source_file, bundle.provenance.source_sha256
    for folder in dict.fromkeys([bundle.folder.resolve().parent, Path.cwd()]):
        path = folder / name
        if path.is_file() and sha256_of(path) == digest:
            return path
    raise UsageError(
        f"The bundle {bundle.folder} holds what its source became for {bundle.runtime}; the "
        f"source '{name}' (sha256 {digest[:12]}…) lies neither beside it nor here.",
        remedy="Name the source itself in place of the bundle.",
    )


def _requests(bundle: Bundle) -> tuple[str, ...]:
    """The inputs as ``--input`` takes them, as they were fixed for the bundle."""
    return (*_shapes(bundle.inputs), *bundle.provenance.fixed_inputs)


def _shapes(inputs: Sequence[TensorSpec]) -> list[str]:
    shaped = [spec for spec in inputs if spec.shape]
    return [f"{spec.name}:{'x'.join(map(str, spec.shape))}:{spec.dtype}" for spec in shaped]
