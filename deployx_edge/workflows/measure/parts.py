"""The parts of a sequence, loaded where each can run: a sample goes through one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import numpy

from deployx_edge.bundle import Bundle, BundleSequence
from deployx_edge.measurement.values import RunOptions, WorkerLimits
from deployx_edge.progress import Progress, Stage, silent
from deployx_edge.runtimes.runner import open_converted
from deployx_edge.workflows.boards.left_nodes import allowing, of_part
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.convert.conversion import read_converted

Arrays = Mapping[str, numpy.ndarray]
# Tensors by the part that gives them (None: an input of the whole) and their names.
Values = dict[tuple[int | None, str], numpy.ndarray]


def whole_of(sequence: BundleSequence) -> Bundle:
    """The sequence as if it were one bundle: its inputs, outputs and steps. It has no files of
    its own, and the parts' are named for its digest alone."""
    first, last = sequence.bundles[0], sequence.bundles[-1]
    inputs = {
        feed.tensor: replace(spec, name=feed.tensor)
        for part, bundle in zip(sequence.parts, sequence.bundles, strict=True)
        for feed in part.feeds
        for spec in bundle.inputs
        if feed.part is None and spec.name == feed.input
    }
    outputs = [
        replace(spec, name=result.output)
        for result in sequence.results
        for spec in sequence.bundles[result.part].outputs
        if spec.name == result.tensor
    ]
    return replace(
        last,
        folder=first.folder.parent,
        name=sequence.name,
        files=tuple(
            replace(file, role="part", path=f"{part.folder}/{file.path}")
            for part, bundle in zip(sequence.parts, sequence.bundles, strict=True)
            for file in bundle.files
        ),
        inputs=tuple(inputs.values()),
        outputs=tuple(outputs),
        preprocessing=tuple(step for bundle in sequence.bundles for step in bundle.preprocessing),
    )


def results_of(sequence: BundleSequence, values: Values) -> dict[str, numpy.ndarray]:
    """The outputs of the whole among what its parts gave."""
    return {result.output: values[result.part, result.tensor] for result in sequence.results}


@contextmanager
def open_parts(
    sequence: BundleSequence,
    session: Session | None,
    options: RunOptions | None = None,
    limits: WorkerLimits | None = None,
    progress: Progress = silent,
) -> Iterator[Callable[[Arrays], Values]]:
    """All parts loaded for as long as the block lasts: on the board where that has a worker for
    one, else on this computer. A call runs one sample through them."""
    with ExitStack() as stack:
        calls: list[Callable[[Arrays], Arrays]] = []
        for bundle in sequence.bundles:
            if session is not None and session.runs(bundle.runtime):
                # Who takes numbers of them has asked before (``check_parts``).
                own = allowing(bundle, of_part(bundle, options or RunOptions()))
                loaded = session.loaded(bundle, options=own, limits=limits)
                calls.append(stack.enter_context(loaded))
                continue
            progress(Stage(text=f"{bundle.name} runs in {bundle.runtime} on this computer"))
            calls.append(stack.enter_context(open_converted(read_converted(bundle))).run)

        def run(arrays: Arrays) -> Values:
            values: Values = {(None, name): array for name, array in arrays.items()}
            for index, (part, call) in enumerate(zip(sequence.parts, calls, strict=True)):
                given = {feed.input: values[feed.part, feed.tensor] for feed in part.feeds}
                values.update({(index, name): array for name, array in call(given).items()})
            return values

        yield run
