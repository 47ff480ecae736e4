"""A sequence of bundles beside its source: what each part gives, and the outputs of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.bundle import BundleSequence
from deployx_edge.comparison import (
    TOLERANCES,
    LayerCheck,
    TensorComparison,
    coarser,
    structured_inputs,
)
from deployx_edge.config import load_config
from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.progress import Progress, Stage
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.models import TorchOptions, open_source_model
from deployx_edge.workflows.convert.samples import read_samples
from deployx_edge.workflows.measure.parts import open_parts, whole_of


@dataclass(frozen=True, kw_only=True)
class PartsComparison:
    """What each part gives, in their order, by the limits of ``precision``, on so many inputs."""

    precision: str
    inputs: int
    layers: tuple[LayerCheck, ...]


def compare_parts(
    first: Path,
    sequence: BundleSequence,
    *,
    device: str | None,
    options: RunOptions,
    samples: Sequence[Path],
    torch: TorchOptions,
    wait: bool,
    verify: bool,
    progress: Progress,
) -> PartsComparison:
    """Run source and parts on the same inputs, and compare every tensor that a part gives.

    Raises UsageError where the sequence does not come from the source.
    """
    whole = whole_of(sequence)
    requests = whole.input_requests()
    with open_source_model(first, torch, requests, progress=progress) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{first} is not an .onnx file, or one of PyTorch's models.")
        source = read_onnx(opened.path, requests)
        if list(source.output_names) != [spec.name for spec in whole.outputs]:
            raise UsageError(
                f"The sequence {sequence.name} does not come from this model: its outputs are "
                f"{', '.join(spec.name for spec in whole.outputs)}, the model's "
                f"{', '.join(source.output_names)}."
            )
        given = [
            (index, spec.name)
            for index, bundle in enumerate(sequence.bundles)
            for spec in bundle.outputs
        ]
        reference = Reference(source, tensors=tuple(dict.fromkeys(name for _, name in given)))
        own = read_samples(samples, whole.inputs, whole.preprocessing, progress)
        inputs = (*own, *structured_inputs(whole.inputs, whole.preprocessing))
        progress(Stage(text=f"Running both on {len(inputs)} inputs"))
        found = {key: TensorComparison(key[1]) for key in given}
        with (
            _board(device, sequence, wait, verify, progress) as session,
            open_parts(sequence, session, options, progress=progress) as run,
        ):
            for arrays in inputs:
                wanted, values = reference.run(arrays), run(arrays)
                for key, comparison in found.items():
                    comparison.add(wanted[key[1]], values[key])
    stored = [bundle.precision for bundle in sequence.bundles]
    asked = [options.precision] if device is not None else []
    precision = coarser(*stored, *asked)
    return PartsComparison(
        precision=precision,
        inputs=len(inputs),
        layers=tuple(
            LayerCheck(
                layer=sequence.parts[index].folder,
                type=sequence.bundles[index].runtime,
                check=comparison.check(TOLERANCES[precision]),
            )
            for (index, _), comparison in found.items()
        ),
    )


@contextmanager
def _board(
    device: str | None, sequence: BundleSequence, wait: bool, verify: bool, progress: Progress
) -> Iterator[Session | None]:
    if device is None:
        yield None
        return
    board, purpose = load_config().find_device(device), f"compare {sequence.name}"
    with open_session(
        board, purpose=purpose, wait=wait, verify=verify, progress=progress
    ) as session:
        yield session
