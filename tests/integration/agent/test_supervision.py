"""Workers that go wrong are named with signal, phase and log; the agent serves on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import grpc
import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.session import failure_of, tensor
from tests.integration.processes import children, wait_until

PHASES = {"load": pb.PHASE_LOAD, "first-run": pb.PHASE_FIRST_RUN, "run": pb.PHASE_RUN}


def by_infer(session, model):
    session.infer(model, 30)


def by_lock_step(session, model):
    calls = session.lock_step(model)
    try:
        # The host owes its next request while the agent has to report: no deadlock.
        calls.run()
        calls.run()
    finally:
        calls.end()


def by_bench(session, model):
    session.bench(model, iterations=10)


def by_profile(session, model):
    session.profile(model)


USES = [by_infer, by_lock_step, by_bench, by_profile]


def failure_in(session, words, use, **limits):
    """How loading and using a worker that obeys these words fails; the agent must serve on."""
    with pytest.raises(grpc.RpcError) as caught:
        use(session, session.load(words, **limits))
    wait_until(lambda: not children(session.pid), "the end of the worker")
    session.call("Heartbeat", pb.HeartbeatRequest())
    return failure_of(caught.value)


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("when", PHASES)
def test_a_crash_is_named_with_its_signal_and_phase(session, when, use):
    words = f"{when} log 3\n{when} crash {signal.SIGSEGV}\n"
    failure = failure_in(session, words, use)
    assert failure.code == pb.FAILURE_WORKER_CRASHED
    assert failure.signal == signal.SIGSEGV
    assert failure.phase == PHASES[when]
    assert "test worker line 2 ?" in failure.log_tail
    by_infer(session, session.load())


def test_requests_go_ahead_of_a_run_and_a_crash_costs_only_what_was_not_answered(session):
    """The next ones wait in the worker while it computes; what it answered has arrived."""
    model = session.load(f"first-run sleep 1500\nrun crash {signal.SIGSEGV}\n")
    given = []

    def requests():
        for sequence in range(30):
            given.append(sequence)
            large = [tensor(bytes(1 << 20))]
            yield pb.InferRequest(model_id=model, sequence=sequence, inputs=large)

    call = session.call("Infer", requests())
    assert next(call).sequence == 0
    # Those that the worker owes an answer to; more than a host gets rid of without them.
    assert 8 <= len(given) < 30
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    failure = failure_of(caught.value)
    assert failure.code == pb.FAILURE_WORKER_CRASHED
    assert (failure.signal, failure.phase) == (signal.SIGSEGV, pb.PHASE_RUN)
    by_infer(session, session.load())


@pytest.mark.parametrize("use", USES)
def test_a_model_that_died_is_unknown_with_the_reason(session, use):
    model = session.load(f"run crash {signal.SIGABRT}\n")
    with pytest.raises(grpc.RpcError):
        by_infer(session, model)
    with pytest.raises(grpc.RpcError) as caught:
        use(session, model)
    failure = failure_of(caught.value)
    assert failure.code == pb.FAILURE_UNKNOWN_MODEL
    assert "SIGABRT in a run" in failure.message


def test_a_worker_that_dies_unasked_is_reaped_and_remembered(session):
    model = session.load()
    (worker,) = children(session.pid)
    os.kill(worker, signal.SIGILL)
    wait_until(lambda: not Path(f"/proc/{worker}").exists(), "the burial")
    with pytest.raises(grpc.RpcError) as caught:
        by_bench(session, model)
    assert "SIGILL" in failure_of(caught.value).message


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("when", PHASES)
def test_an_exit_is_named_with_its_code(session, when, use):
    failure = failure_in(session, f"{when} exit 3\n", use)
    assert failure.code == pb.FAILURE_WORKER_EXITED
    assert "exit code 3" in failure.message
    assert failure.phase == PHASES[when]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("when", PHASES)
def test_a_worker_that_hangs_is_ended_by_the_watchdog(session, when, use):
    failure = failure_in(session, f"{when} hang\n", use, watchdog_ms=1500)
    assert failure.code == pb.FAILURE_WATCHDOG
    assert failure.phase == PHASES[when]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("when", PHASES)
def test_a_worker_that_grows_is_ended_by_its_memory_limit(session, when, use):
    failure = failure_in(session, f"{when} eat\n", use, memory_limit_bytes=300 << 20)
    assert failure.code == pb.FAILURE_MEMORY_LIMIT
    assert failure.phase == PHASES[when]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("when", PHASES)
def test_a_worker_that_babbles_is_ended(session, when, use):
    failure = failure_in(session, f"{when} garbage\n", use)
    assert failure.code == pb.FAILURE_WORKER_EXITED
    assert "protocol" in failure.message


@pytest.mark.parametrize("use", USES)
def test_a_run_that_fails_leaves_the_model_loaded(session, use):
    model = session.load("run fail\n")
    # A bench calls its own first run so, also where the worker has run before.
    for phases in ({pb.PHASE_RUN}, {pb.PHASE_RUN, pb.PHASE_FIRST_RUN}):
        with pytest.raises(grpc.RpcError) as caught:
            use(session, model)
        failure = failure_of(caught.value)
        assert failure.code == pb.FAILURE_RUNTIME_REFUSED
        assert failure.phase in phases
    assert len(children(session.pid)) == 1


def test_a_cancel_that_is_not_obeyed_ends_the_worker(session):
    model = session.load("run log 1\nrun hang\n", watchdog_ms=2000)
    requests = (pb.InferRequest(model_id=model, inputs=[tensor()]) for _ in range(5))
    call = session.call("Infer", requests)
    next(call)
    # Before the second request has reached it there is nothing that it could disobey.
    (log,) = (session.work / "sessions").glob("*/*.log")
    wait_until(lambda: b"line 0" in log.read_bytes(), "a run that hangs")
    call.cancel()
    wait_until(lambda: not children(session.pid), "the end of the worker")
    session.load()


def test_a_long_log_is_cut_to_what_a_status_can_carry(session):
    failure = failure_in(session, "run log 5000\nrun exit 1\n", by_infer)
    assert failure.log_tail.endswith("test worker line 4999 ?\n")
    assert len(failure.log_tail) <= 2400
