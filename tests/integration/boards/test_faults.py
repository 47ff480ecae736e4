"""What breaks on a board breaks alone, is named, and leaves nothing behind."""

import os
import signal
import threading
from pathlib import Path

import pytest

from deployx_edge.device import Device
from deployx_edge.errors import (
    AgentError,
    LinkLostError,
    RuntimeRefusedError,
    WorkerCrashError,
    WorkerMemoryError,
    WorkerTimeoutError,
)
from deployx_edge.measurement.values import BenchPlan, RunOptions, WorkerLimits
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.measure.bench import bench, load_model, random_inputs
from tests.integration.boards.strikes import Flow, during_runs
from tests.integration.processes import children, is_alive, stop, wait_until, with_words

FOREVER = BenchPlan(warmup=0, iterations=0, seconds=3600)
QUICK = BenchPlan(warmup=1, iterations=20)


@pytest.fixture(params=["local:", "virtual:linux-arm64"])
def board(request, tmp_path):
    return Device(name="board", uri=request.param, work_folder=str(tmp_path / "work folder é"))


def agents_of(board):
    return with_words("serve", board.work_folder)


def during_bench(session, digits, act, **limits):
    """Start an endless bench and call ``act`` once samples flow."""
    with during_runs(act, session.progress):
        bench(session, digits, plan=FOREVER, limits=WorkerLimits(**limits))


def worker_of(board):
    (agent,) = agents_of(board)
    (worker,) = children(agent)
    return worker


def test_a_worker_that_dies_in_a_run_is_named_and_the_agent_serves_on(board, digits):
    with open_session(board, progress=Flow()) as session:
        with pytest.raises(WorkerCrashError, match=r"SIGSEGV.*in a run"):
            during_bench(session, digits, lambda: os.kill(worker_of(board), signal.SIGSEGV))
        (result,) = bench(session, digits, plan=QUICK)
        assert len(result.bench.samples_ns) == 20


def test_a_worker_that_hangs_is_ended_by_the_watchdog(board, digits):
    with open_session(board, progress=Flow()) as session:
        with pytest.raises(WorkerTimeoutError):
            during_bench(
                session,
                digits,
                lambda: stop(worker_of(board)),
                watchdog_seconds=2.0,
            )
        (result,) = bench(session, digits, plan=QUICK)
        assert len(result.bench.samples_ns) == 20


def test_a_worker_past_its_memory_limit_is_ended_by_name(board, digits):
    with open_session(board) as session:
        with pytest.raises(WorkerMemoryError):
            bench(session, digits, plan=FOREVER, limits=WorkerLimits(memory_bytes=1 << 20))
        (result,) = bench(session, digits, plan=QUICK)
        assert len(result.bench.samples_ns) == 20


def test_an_agent_that_is_killed_leaves_no_worker(board, digits):
    pids = []

    def strike():
        worker = worker_of(board)
        (agent,) = agents_of(board)
        pids.extend([agent, worker])
        os.kill(agent, signal.SIGKILL)

    with pytest.raises(LinkLostError), open_session(board, progress=Flow()) as session:
        during_bench(session, digits, strike)
    agent, worker = pids
    wait_until(lambda: not is_alive(worker) and not is_alive(agent), "the end of the worker")


def test_a_session_ends_without_processes_or_session_files(board, digits):
    with open_session(board) as session:
        bench(session, digits, plan=QUICK)
    wait_until(lambda: not agents_of(board), "the end of the agent")
    assert list((Path(board.work_folder) / "sessions").iterdir()) == []


def test_leftovers_of_a_killed_session_are_gone_after_the_next(board, digits):
    with pytest.raises(LinkLostError), open_session(board, progress=Flow()) as session:
        during_bench(session, digits, lambda: os.kill(agents_of(board)[0], signal.SIGKILL))
    assert len(list((Path(board.work_folder) / "sessions").iterdir())) == 1
    with open_session(board):
        pass
    wait_until(lambda: list((Path(board.work_folder) / "sessions").iterdir()) == [], "the clean-up")


def test_an_accelerator_that_the_build_lacks_is_refused_by_name(board, digits):
    with open_session(board) as session:
        session.push(digits)
        with pytest.raises(RuntimeRefusedError, match="vulkan"):
            session.load(digits, RunOptions(accelerator="vulkan"), WorkerLimits())


def test_a_model_that_was_unloaded_is_unknown(board, digits):
    with open_session(board) as session:
        session.push(digits)
        with load_model(session, digits, RunOptions(), WorkerLimits()) as load:
            pass
        with pytest.raises(AgentError, match=load.model_id):
            session.client.bench(load.model_id, random_inputs(digits), QUICK)


def test_fifty_sessions_at_once(digits, tmp_path):
    board = Device(name="board", uri="local:", work_folder=str(tmp_path))
    counts, failures = [], []

    def one():
        try:
            with open_session(board) as session:
                (result,) = bench(session, digits, options=[RunOptions(threads=1)], plan=QUICK)
            counts.append(len(result.bench.samples_ns))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert counts == [20] * 50
    wait_until(lambda: not agents_of(board), "the end of all agents")
    assert list((tmp_path / "sessions").iterdir()) == []
