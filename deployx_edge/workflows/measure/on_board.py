"""Samples run on a board, whose outputs are looked through for what is not finite."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from deployx_edge.bundle import Bundle
from deployx_edge.config import load_config
from deployx_edge.progress import Progress
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.finiteness import NotFinite, broken_outputs, not_finite_sentence
from deployx_edge.workflows.measure.answers import (
    Arrays,
    RunAnswer,
    board_answers,
)
from deployx_edge.workflows.measure.requests import RunRequest

# For more samples than these nobody wants to know whether NaN is the model's own.
_MOST_BROKEN = 8


@contextmanager
def session_for(request: RunRequest, progress: Progress) -> Iterator[Session]:
    """A session with the request's device, for as long as the block lasts."""
    assert request.device is not None
    board = load_config().find_device(request.device)
    with open_session(
        board,
        purpose="run a model",
        wait=request.wait,
        verify=request.verify,
        progress=progress,
    ) as session:
        yield session


def on_board(
    session: Session, bundle: Bundle, samples: Iterable[Arrays], request: RunRequest
) -> Iterator[RunAnswer]:
    """The board's answers, with the options of the request."""
    return board_answers(
        session,
        bundle,
        samples,
        options=request.options,
        limits=request.limits,
        dump=request.dump,
    )


class Finiteness:
    """NaN and infinity that a device gives for samples and the bundle itself does not."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._sizes: dict[str, int] = {}
        self._broken: dict[str, int] = {}
        self._looked_at = 0

    def watched(
        self,
        samples: Iterable[Arrays],
        run: Callable[[Iterable[Arrays]], Iterator[RunAnswer]],
    ) -> Iterator[RunAnswer]:
        """The answers of ``run``, which takes the samples in their order."""
        waiting: deque[Arrays] = deque()

        def passed() -> Iterator[Arrays]:
            for sample in samples:
                waiting.append(sample)
                yield sample

        for answer in run(passed()):
            self._look(waiting.popleft(), answer.outputs)
            yield answer

    def _look(self, inputs: Arrays, outputs: Arrays) -> None:
        for name, array in outputs.items():
            self._sizes[name] = self._sizes.get(name, 0) + array.size
        if self._looked_at < _MOST_BROKEN:
            broken = broken_outputs(self._bundle, inputs, outputs)
            self._looked_at += bool(broken)
            for each in broken:
                self._broken[each.output] = self._broken.get(each.output, 0) + each.count

    def sentences(self, device: str) -> list[str]:
        """What was found, as a sentence; nothing where all is well."""
        found = [
            NotFinite(output=name, count=count, size=self._sizes[name])
            for name, count in self._broken.items()
        ]
        return [not_finite_sentence(found, device)] if found else []
