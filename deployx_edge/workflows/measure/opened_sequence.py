"""Bundles that run one after the other, ready to run samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy

from deployx_edge.bundle import Bundle, BundleSequence
from deployx_edge.errors import UsageError
from deployx_edge.progress import Progress, Stage
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.workflows.boards.left_nodes import check_parts, left_note, of_part
from deployx_edge.workflows.convert.conversion import (
    read_converted,
)
from deployx_edge.workflows.convert.presets import image_steps, output_steps
from deployx_edge.workflows.convert.samples import join_samples, split_samples
from deployx_edge.workflows.measure.answers import (
    Arrays,
    RunAnswer,
    bundle_answers,
)
from deployx_edge.workflows.measure.on_board import Finiteness, on_board, session_for
from deployx_edge.workflows.measure.requests import (
    OpenedRun,
    RunRequest,
    said_of_images,
    said_of_outputs,
)


def opened_sequence(request: RunRequest, sequence: BundleSequence, progress: Progress) -> OpenedRun:
    """Bundles one after the other, each for all samples."""
    check_parts(sequence.bundles, request.options.named)
    parts = tuple(zip(sequence.parts, sequence.bundles, strict=True))
    inputs = {
        feed.tensor: replace(spec, name=feed.tensor)
        for part, bundle in parts
        for feed in part.feeds
        for spec in bundle.inputs
        if feed.part is None and spec.name == feed.input
    }
    outputs = {
        result.output: replace(spec, name=result.output)
        for result in sequence.results
        for spec in sequence.bundles[result.part].outputs
        if spec.name == result.tensor
    }
    specs = tuple(inputs.values())
    own = tuple(step for bundle in sequence.bundles for step in bundle.preprocessing)
    said = said_of_outputs(request, tuple(outputs.values()))
    images = said_of_images(request, specs)
    if request.like:
        images = images or image_steps(request.like, specs, tuple(outputs.values()), progress)
        said = said or output_steps(request.like, specs, tuple(outputs.values()), progress)
    meanings = said or sequence.bundles[-1].postprocessing
    broken: list[str] = []
    emulated: list[bool] = []

    def split(arrays: Arrays) -> list[dict[str, numpy.ndarray]]:
        missing = [spec.name for spec in specs if spec.name not in arrays]
        if missing:
            raise UsageError(f"There is no array for the input '{missing[0]}'.")
        return split_samples(specs, arrays)

    def answers(samples: Iterable[Arrays]) -> Iterator[RunAnswer]:
        return _sequence_answers(request, sequence, samples, progress, (broken, emulated))

    return OpenedRun(
        inputs=specs,
        preprocessing=images or own,
        requests={},
        split=split,
        answers=answers,
        join=lambda name, parts: join_samples(outputs[name], parts),
        meanings=lambda *_: meanings,
        known=meanings,
        whole=True,
        not_finite=broken,
        emulated=emulated,
        notes=tuple(filter(None, [left_note(sequence.bundles)])),
    )


def _sequence_answers(
    request: RunRequest,
    sequence: BundleSequence,
    samples: Iterable[Arrays],
    progress: Progress,
    told: tuple[list[str], list[bool]],
) -> Iterator[RunAnswer]:
    """All samples through one part after the other, on this computer where the device has no
    worker for it; each part is loaded once."""
    given = list(samples)
    values: list[dict[tuple[int | None, str], numpy.ndarray]] = [
        {(None, name): array for name, array in sample.items()} for sample in given
    ]
    dumped: list[dict[str, numpy.ndarray]] = [{} for _ in given]
    times = [0] * len(given)
    with _places(request, progress, told) as run:
        for index, (part, bundle) in enumerate(zip(sequence.parts, sequence.bundles, strict=True)):
            inside = _inside(bundle, request.dump)
            fed = [
                {feed.input: held[feed.part, feed.tensor] for feed in part.feeds} for held in values
            ]
            for place, answer in enumerate(run(bundle, fed, inside)):
                dumped[place].update(answer.dumped)
                times[place] += answer.compute_ns
                values[place].update({(index, name): a for name, a in answer.outputs.items()})
    for held, found, time in zip(values, dumped, times, strict=True):
        outputs = {each.output: held[each.part, each.tensor] for each in sequence.results}
        yield RunAnswer(outputs=outputs, dumped=found, compute_ns=time)


def _inside(bundle: Bundle, dump: Sequence[str]) -> tuple[str, ...]:
    runner, model = load_runtime(bundle.runtime).make_runner(), read_converted(bundle)
    return tuple(name for name in dump if name in runner.tensors(model)) if dump else ()


_RunPart = Callable[[Bundle, Sequence[Arrays], tuple[str, ...]], Iterator[RunAnswer]]


@contextmanager
def _places(
    request: RunRequest, progress: Progress, told: tuple[list[str], list[bool]]
) -> Iterator[_RunPart]:
    """Where a bundle of a sequence runs: on the device where it has that runtime, else here."""

    def here(
        bundle: Bundle, samples: Sequence[Arrays], dump: tuple[str, ...]
    ) -> Iterator[RunAnswer]:
        progress(Stage(text=f"Running {bundle.name} in {bundle.runtime} on this computer"))
        emulated.append(find_runtime(bundle.runtime).simulated)
        return bundle_answers(bundle, samples, dump)

    broken, emulated = told
    if request.device is None:
        yield here
        return
    with session_for(request, progress) as session:

        def there(
            bundle: Bundle, samples: Sequence[Arrays], dump: tuple[str, ...]
        ) -> Iterator[RunAnswer]:
            if bundle.runtime not in session.target.runtimes:
                yield from here(bundle, samples, dump)
                return
            emulated.append(session.identity_for(bundle).board.emulated)
            found = Finiteness(bundle)
            each = replace(request, dump=dump, options=of_part(bundle, request.options))
            yield from found.watched(samples, lambda given: on_board(session, bundle, given, each))
            broken.extend(found.sentences(session.identity.name))

        yield there
