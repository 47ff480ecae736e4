"""What the link to a board costs, apart from what the model takes there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median
from threading import Semaphore

from deployx_edge.agent.client import InputTensor
from deployx_edge.measurement.values import InferenceCost, TransportCost
from deployx_edge.progress import Stage
from deployx_edge.workflows.boards.session import Session

# Each of the two parts takes no longer, but for the one call that it may have begun.
_SECONDS = 0.3
_CALLS = 20


def measure_transport(
    session: Session, model_id: str, inputs: Sequence[InputTensor], run_ns: float
) -> TransportCost:
    """Empty messages, and single inferences where one of them, of ``run_ns``, is soon done.

    One call at a time, so that nothing overlaps; after a short while no more are made.
    """
    session.progress(Stage(text="Measuring the link"))
    deadline = time.monotonic() + _SECONDS
    empty = [session.client.ping()]
    while len(empty) < _CALLS and time.monotonic() < deadline:
        empty.append(session.client.ping())
    few = run_ns > _SECONDS * 1e9
    return TransportCost(
        empty_calls=len(empty),
        empty_ns=median(empty),
        inference=None if few else measure_inferences(session, model_id, inputs),
    )


def measure_inferences(
    session: Session, model_id: str, inputs: Sequence[InputTensor]
) -> InferenceCost:
    """Single inferences over the link, one at a time."""
    sent_at: list[int] = []
    answered = Semaphore(1)
    deadline = time.monotonic() + _SECONDS

    def requests() -> Iterator[Sequence[InputTensor]]:
        for call in range(_CALLS):
            answered.acquire()
            if call and time.monotonic() > deadline:
                return
            sent_at.append(time.perf_counter_ns())
            yield inputs

    round_trips, compute, worker = [], [], []
    for reply in session.client.infer(model_id, requests()):
        round_trips.append(time.perf_counter_ns() - sent_at[reply.sequence])
        compute.append(reply.compute_ns)
        worker.append(reply.worker_ns)
        answered.release()
    round_trip, in_worker, computing = median(round_trips), median(worker), median(compute)
    return InferenceCost(
        calls=len(round_trips),
        round_trip_ns=round_trip,
        compute_ns=computing,
        serialisation_ns=max(0.0, in_worker - computing),
        link_ns=max(0.0, round_trip - in_worker),
    )
