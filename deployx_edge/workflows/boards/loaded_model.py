"""A model that stays loaded on a board: a call costs its way there and back, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import TYPE_CHECKING

from deployx_edge.agent.client import AgentClient, Inference, InputTensor
from deployx_edge.agent.messages import FedTensor
from deployx_edge.bundle import Bundle
from deployx_edge.bundle.tensors import from_board_array, to_board_arrays
from deployx_edge.errors import DeployxError, UsageError
from deployx_edge.feed_back import FeedBack, check_feed_back, check_growth, omitted, parse_feed_back
from deployx_edge.measurement.values import RunOptions, WorkerLimits
from deployx_edge.model import TensorSpec, at_sizes
from deployx_edge.workflows.boards.fed_tensors import board_tensors, fed_tensors
from deployx_edge.workflows.convert.samples import Arrays, join_samples, split_samples

if TYPE_CHECKING:
    import numpy

    from deployx_edge.workflows.boards.session import Session


class LoadedModel:
    """Runs one model in its worker on a board, call after call over one stream.

    With outputs that are fed back each call is a step. The first one takes the state that it is
    given, or zeros; a later one needs what changes alone, and starts the state anew where it names
    it. Calls come from one thread. ``compute_ns`` is what each run of the last call took, timed on
    the board around the runtime's own call.
    """

    def __init__(
        self, client: AgentClient, bundle: Bundle, model_id: str, feeds: tuple[FeedBack, ...] = ()
    ) -> None:
        self._client = client
        self._bundle = bundle
        self._model_id = model_id
        self._feeds = feeds
        self._fed = _fed(bundle, feeds)
        self._stays = {feed.output for feed in self._fed if feed.omitted}
        self._requests: SimpleQueue[Sequence[InputTensor] | None] | None = None
        self._replies: Iterator[Inference] = iter(())
        self._has_state = False
        self._has_failed = False
        self._starts: dict[str, tuple[int, ...]] = {}
        self._steps = 0
        self.compute_ns: tuple[int, ...] = ()

    def __call__(self, inputs: Mapping[str, numpy.ndarray]) -> Arrays:
        """The outputs for ``inputs``, both named and shaped like the source model's.

        The batch axis may hold any number of samples, unless outputs are fed back; of these only
        the others are given, unless there are none. Raises UsageError for inputs that do not fit.
        """
        if self._feeds:
            return self._step(inputs)
        to_board_arrays(self._bundle, inputs)  # everything is checked before a board is asked
        samples = split_samples(self._bundle.inputs, inputs)
        found = self._ask([board_tensors(self._bundle, sample) for sample in samples])
        return {
            spec.name: join_samples(spec, [each[spec.name] for each in found])
            for spec in self._bundle.outputs
        }

    def reset(self) -> None:
        """The next call is a first step again."""
        self._has_state = self._has_failed = False

    def close(self) -> None:
        """Ends the stream; the worker goes on. May be called twice."""
        if self._requests is None:
            return
        self._requests.put(None)
        self._requests = None
        for _ in self._replies:
            pass

    def _step(self, inputs: Mapping[str, numpy.ndarray]) -> Arrays:
        if self._has_failed:
            raise UsageError(
                "An earlier step failed, and with it went the state that it had.",
                remedy="Call reset(), and give the state to go on from.",
            )
        known = {spec.name: spec for spec in self._bundle.inputs}
        given = {name: array for name, array in inputs.items() if name in known}
        if not self._has_state:
            for feed in self._feeds:
                given.setdefault(feed.input, _zeros(known[feed.input]))
            to_board_arrays(self._bundle, given)
        self._check_growth(given)
        tensors = board_tensors(self._bundle, given)
        self._has_failed = True
        (found,) = self._ask([tensors])
        self._has_state, self._has_failed = True, False
        return found

    def _check_growth(self, given: Arrays) -> None:
        """UsageError for a step for which the state has become too large."""
        starts = {f.input: given[f.input].shape for f in self._feeds if f.input in given}
        if starts:
            self._starts, self._steps = starts, 0
        bundle = self._bundle
        check_growth(self._feeds, bundle.inputs, bundle.outputs, self._steps + 1, self._starts)
        self._steps += 1

    def _ask(self, requests: Sequence[Sequence[InputTensor]]) -> list[Arrays]:
        """The answers to ``requests``, which are all on their way before the first of them."""
        if self._requests is None:
            self._requests = SimpleQueue()
            self._replies = self._client.infer(
                self._model_id, iter(self._requests.get, None), lambda sequence: self._fed
            )
        for request in requests:
            self._requests.put(request)
        try:
            replies = [next(self._replies) for _ in requests]
        except BaseException:
            # What was asked further is not answered any more: the next call takes a new stream.
            self._requests.put(None)
            self._requests = None
            raise
        self.compute_ns = tuple(reply.compute_ns for reply in replies)
        return [self._arrays(reply) for reply in replies]

    def _arrays(self, reply: Inference) -> Arrays:
        return {
            spec.name: from_board_array(self._bundle, spec, reply.outputs[spec.runtime_name])
            for spec in self._bundle.outputs
            if spec.runtime_name not in self._stays
        }


@contextmanager
def load_for_calls(
    session: Session,
    bundle: Bundle,
    feed_back: Sequence[str],
    options: RunOptions,
    limits: WorkerLimits,
) -> Iterator[LoadedModel]:
    """The model of ``Session.loaded``."""
    feeds = parse_feed_back(feed_back)
    check_feed_back(feeds, bundle.inputs, bundle.outputs)
    session.push(bundle)
    load = session.load(bundle, options, limits)
    model = LoadedModel(session.client, bundle, load.model_id, feeds)
    try:
        yield model
    except BaseException:
        # The error inside is the news; the worker ends with the session at the latest.
        with suppress(DeployxError):
            model.close()
        raise
    else:
        model.close()
        session.client.unload(load.model_id)


def _fed(bundle: Bundle, feeds: tuple[FeedBack, ...]) -> tuple[FedTensor, ...]:
    staying = omitted(feeds, [spec.name for spec in bundle.outputs], ())
    names = {spec.runtime_name for spec in bundle.outputs if spec.name in staying}
    return tuple(replace(each, omitted=each.output in names) for each in fed_tensors(bundle, feeds))


def _zeros(spec: TensorSpec) -> numpy.ndarray:
    import numpy

    return numpy.zeros(at_sizes(spec.shape, spec.ranges, "minimum"), dtype=spec.dtype)
