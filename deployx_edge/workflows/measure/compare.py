"""Two forms of one model beside each other, tensor by tensor, here or with one on a board."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.bundle import Bundle, is_sequence, load_bundle, load_sequence
from deployx_edge.comparison import TOLERANCES, LayerCheck, coarser, structured_inputs
from deployx_edge.config import load_config
from deployx_edge.differences import WholeValues
from deployx_edge.errors import UsageError
from deployx_edge.measurement.fallback import fallback_warnings, precision_that_ran
from deployx_edge.measurement.values import (
    BenchPlan,
    PrecisionCount,
    RunOptions,
    WorkerLimits,
)
from deployx_edge.model import format_shape
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtime import find_runtime, precision_meant
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.layerwise import (
    ReferenceSide,
    compare_layers,
    source_side,
)
from deployx_edge.runtimes.runner import (
    Arrays,
    OpenModel,
    Take,
    open_converted,
    take_into,
    take_nothing,
)
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.worker_facts import check_options
from deployx_edge.workflows.boards.left_nodes import allowing, left_note
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.convert.finiteness import broken_outputs, not_finite_sentence
from deployx_edge.workflows.convert.models import TorchOptions, open_source_model
from deployx_edge.workflows.convert.options import BundleOptions
from deployx_edge.workflows.convert.samples import read_samples
from deployx_edge.workflows.measure.bench import load_model, random_inputs
from deployx_edge.workflows.measure.compare_parts import compare_parts
from deployx_edge.workflows.measure.run import run

if TYPE_CHECKING:
    from deployx_edge.model import Array


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, on how many inputs, and every tensor in the order of the layers.

    ``device`` is where the second ran, None for this computer, and ``ran`` in which precisions, as
    a board told; ``precision`` is the one whose limits hold. ``warning`` says where it did not run
    as it was asked to, ``not_finite`` where its outputs there hold NaN or infinity and here none.
    """

    source: str
    bundle: str
    precision: str
    device: str | None
    inputs: int
    layers: tuple[LayerCheck, ...]
    ran: str | None = None
    warning: str | None = None
    not_finite: tuple[str, ...] = ()


def compare(
    first: Path,
    second: Path | None,
    *,
    device: str | None = None,
    runtime: str | None = None,
    options: RunOptions | None = None,
    samples: Sequence[Path] = (),
    torch: TorchOptions | None = None,
    wait: bool = True,
    verify: bool = False,
    progress: Progress = silent,
) -> Comparison:
    """Run a model and a bundle made of it on the same inputs, and compare what is between.

    ``first`` is an ``.onnx``, one of PyTorch's models, or another bundle; ``second`` a bundle,
    or a sequence of them, which runs on ``device`` with ``options``, or here; None for one that is
    made of the first, for ``runtime``. With ``verify`` all that lies on the
    device is hashed first. Raises UsageError where they do not belong together or have no
    tensors in common, ModelError or BundleError where one cannot be read or run.
    """
    chosen = options or RunOptions()
    if second is not None and is_sequence(second):
        return _compare_sequence(
            first,
            second,
            device=device,
            options=chosen,
            samples=samples,
            torch=torch or TorchOptions(),
            wait=wait,
            verify=verify,
            progress=progress,
        )
    bundle = _bundle(first, second, runtime, torch or TorchOptions(), progress)
    check_options(bundle.runtime, chosen.named)
    chosen = allowing(bundle, chosen)  # it is told, and no number of an accelerator's is taken
    model = read_converted(bundle)
    with _reference(first, bundle, torch or TorchOptions(), progress) as reference:
        own = read_samples(samples, bundle.inputs, bundle.preprocessing, progress)
        inputs = (*own, *structured_inputs(bundle.inputs, bundle.preprocessing))
        shapes = ", ".join(f"{spec.name} {format_shape(spec.shape)}" for spec in bundle.inputs)
        progress(Stage(text=f"Running both on {len(inputs)} inputs ({shapes})"))
        with _place(bundle, device, chosen, wait, verify, progress) as place:
            layers = compare_layers(
                model,
                reference,
                inputs,
                opened=place.model,
                precision=place.precision,
                inside=device is None or not find_runtime(bundle.runtime).whole_on_boards,
            )
    return Comparison(
        source=first.name,
        bundle=bundle.name,
        precision=place.precision,
        device=device,
        inputs=len(inputs),
        layers=layers,
        ran=place.ran,
        warning=place.warning,
        not_finite=tuple(place.broken[:1]),
    )


def _compare_sequence(
    first: Path,
    second: Path,
    *,
    device: str | None,
    options: RunOptions,
    samples: Sequence[Path],
    torch: TorchOptions,
    wait: bool,
    verify: bool,
    progress: Progress,
) -> Comparison:
    """The parts' outputs are its layers: a part runs undivided."""
    sequence = load_sequence(second)
    found = compare_parts(
        first,
        sequence,
        device=device,
        options=options,
        samples=samples,
        torch=torch,
        wait=wait,
        verify=verify,
        progress=progress,
    )
    return Comparison(
        source=first.name,
        bundle=sequence.name,
        precision=found.precision,
        device=device,
        inputs=found.inputs,
        layers=found.layers,
    )


def _bundle(
    first: Path, second: Path | None, runtime: str | None, torch: TorchOptions, progress: Progress
) -> Bundle:
    if second is None:
        wanted = BundleOptions(runtime=runtime, torch=torch)
        return make_bundle(first, options=wanted, progress=progress)
    if not second.is_dir():
        raise UsageError(f"{second} is not a bundle.", remedy="Leave it out to have one made.")
    return make_bundle(second, options=BundleOptions(runtime=runtime), progress=progress)


@contextmanager
def _reference(
    path: Path, bundle: Bundle, torch: TorchOptions, progress: Progress
) -> Iterator[ReferenceSide]:
    if path.is_dir():
        other = load_bundle(path)
        _check_outputs([spec.name for spec in other.outputs], bundle)
        model = read_converted(other)
        with open_converted(model) as runner:
            yield _bundle_side(model, runner)
        return
    requests = bundle.input_requests()
    with open_source_model(
        path, torch, requests, runtime=bundle.runtime, progress=progress
    ) as opened:
        if opened.path.suffix != ".onnx":
            raise UsageError(f"{path} is not an .onnx file, one of PyTorch's models, or a bundle.")
        source = read_onnx(opened.path, requests)
        _check_outputs(source.output_names, bundle)
        yield source_side(source)


def _bundle_side(model: ConvertedModel, opened: OpenModel) -> ReferenceSide:
    """Another bundle on this computer; names are those that its runtime has."""
    names = load_runtime(model.runtime).make_runner().tensors(model)

    def tensors(arrays: Arrays) -> Iterator[Mapping[str, Array]]:
        found: dict[str, Array] = {}
        opened.run(arrays, names, take_into(found))
        yield found

    return ReferenceSide(names=names, tensors=tensors, matched=lambda _: {})


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the bundle is loaded (None: on this computer yet to be), and whose limits hold."""

    model: OpenModel | None
    precision: str
    ran: str | None = None
    warning: str | None = None
    # Told while it runs.
    broken: list[str] = field(default_factory=list)


@contextmanager
def _place(
    bundle: Bundle,
    device: str | None,
    options: RunOptions,
    wait: bool,
    verify: bool,
    progress: Progress,
) -> Iterator[_Place]:
    if device is None:
        precision = read_converted(bundle).rounds_to
        yield _Place(model=None, precision=precision, warning=left_note([bundle]))
        return
    board, purpose = load_config().find_device(device), f"compare {bundle.name}"
    with open_session(
        board, purpose=purpose, wait=wait, verify=verify, progress=progress
    ) as session:
        there = _BoardModel(session, bundle, options, board.name)
        session.push(bundle)
        one = BenchPlan(warmup=0, iterations=1)
        with load_model(session, bundle, options, WorkerLimits()) as load:
            once = session.client.bench(load.model_id, random_inputs(bundle), one)
        ran = once.precisions
        warnings = fallback_warnings(
            precision_meant(bundle.runtime, options.precision),
            bundle.precision,
            ran,
            once.fell_back,
            once.units,
        )
        yield _Place(
            model=there,
            precision=coarsest(read_converted(bundle).rounds_to, options.precision, ran),
            ran=precision_that_ran(ran),
            warning=" ".join(warnings) or None,
            broken=there.broken,
        )


class _BoardModel:
    """A bundle on a board, as ``OpenModel``."""

    def __init__(self, session: Session, bundle: Bundle, options: RunOptions, board: str) -> None:
        self._session = session
        self._bundle = bundle
        self._options = options
        self._board = board
        self.broken: list[str] = []
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        inner: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``."""
        found = run(self._session, self._bundle, arrays, options=self._options, dump=inner)
        missed = broken_outputs(self._bundle, arrays, found)
        if missed:
            self.broken.append(not_finite_sentence(missed, self._board))
        for name in inner:
            take(name, WholeValues(found[name]))
        return {spec.name: found[spec.name] for spec in self._bundle.outputs}


def coarsest(stored: str, asked: str, ran: Sequence[PrecisionCount]) -> str:
    """The precision whose limits hold: of stored weights, of what layers ran in, the coarsest.

    What was ``asked`` for counts as well: a processor without half floats computes in fp32, and
    ncnn still rounds weights to them there (an output of the digits was off by 1.3e-4).
    """
    there = [count.precision for count in ran if count.layers and count.precision in TOLERANCES]
    return coarser(stored, asked, *there)


def _check_outputs(names: Sequence[str], bundle: Bundle) -> None:
    own = [spec.name for spec in bundle.outputs]
    if list(names) != own:
        raise UsageError(
            f"The bundle does not come from this model: its outputs are {', '.join(own)}, "
            f"the model's {', '.join(names)}."
        )
