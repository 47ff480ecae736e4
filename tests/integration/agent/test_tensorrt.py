"""TensorRT's worker under a real agent, with libraries that stand in for TensorRT's and CUDA's.

What becomes of a preparation: kept, made again, ended, refused. Nothing here was seen on a GPU.
"""

from __future__ import annotations

import itertools

import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.stand_in import STAND_INS, TENSORRT, loaded, refused
from tests.integration.processes import children, wait_until

MADE = [pb.PHASE_SPAWN, pb.PHASE_PREPARE, pb.PHASE_LOAD]
FOUND = [pb.PHASE_SPAWN, pb.PHASE_LOAD]


@pytest.fixture
def board(start):
    """Starts an agent on a board whose libraries behave as these words say."""

    def start_one(words=""):
        environment = {"LD_LIBRARY_PATH": str(STAND_INS), "DX_STAND_IN": words}
        session = start(environment=environment)
        session.shake()
        return session

    return start_one


def phases_of(events):
    return [event.phase for event in events if event.HasField("phase")]


def engines(session):
    """Their names are a key and a hash."""
    return [path for path in (session.work / "prepared").glob("*") if len(path.name) == 129]


def unprepared(session, request):
    """Why a load failed, of which nothing is left on the board."""
    failure = refused(session, request)
    assert not list((session.work / "sessions").glob("*/prepared-*"))
    return failure


def test_an_engine_is_built_once_for_a_model_a_version_a_gpu_and_options(board):
    is_built_once(board, TENSORRT)


def is_built_once(board, row):
    """``board`` starts an agent on a board whose libraries behave as its words say."""
    session = board("steps=20")
    events = list(session.call("Load", row.request(session)))
    assert phases_of(events) == MADE
    told = [event.progress for event in events if event.HasField("progress")]
    assert "parsing the model" in [each.text for each in told]
    assert max(each.fraction for each in told) > 0
    assert events[-1].loaded.runtime_version == "10.3.0"
    assert phases_of(session.call("Load", row.request(session))) == FOUND
    options = pb.RunOptions(named={"optimization_level": "1"})
    assert phases_of(session.call("Load", row.request(session, options=options))) == MADE
    # An engine does not depend on what only its runs know, nor on who says what holds anyway.
    named = ({"streams": "4"}, {"cuda_graph": "on"}, {"streams": "1", "timing_cache": "on"})
    same = [pb.RunOptions(named=each) for each in named]
    for options in (*same, pb.RunOptions(accelerator="gpu")):
        assert phases_of(session.call("Load", row.request(session, options=options))) == FOUND
    for words in ("version=100700", "gpu=72"):
        session = board(words)
        assert phases_of(session.call("Load", row.request(session))) == MADE
    session = board()
    assert phases_of(session.call("Load", row.request(session))) == FOUND
    assert phases_of(session.call("Load", row.request(session, rebuild=True))) == MADE
    assert (session.work / "prepared" / "timings-tensorrt-10.3.0-sm_87").is_file()


def test_each_stream_has_memory_of_its_own_which_is_told(board):
    session = board()
    told = [
        loaded(session, TENSORRT.request(session, options=options)).accelerator_bytes
        for options in (pb.RunOptions(), pb.RunOptions(named={"streams": "4"}))
    ]
    assert told[1] - told[0] == 3 * 65536


WRONG = {
    "refuse=Conv": "operator 'Conv' (node '",
    "no-gpu": "no CUDA-capable device",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_build_that_goes_wrong_is_told_and_leaves_nothing(board, words):
    session = board(words)
    failure = unprepared(session, TENSORRT.request(session))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert WRONG[words] in failure.message
    assert failure.phase == pb.PHASE_PREPARE
    assert not engines(session)


def test_a_build_that_is_cancelled_ends_at_once_and_leaves_nothing(board):
    is_cancelled(board, TENSORRT)


def is_cancelled(board, row):
    session = board("steps=1000000")
    call = session.call("Load", row.request(session))
    list(itertools.takewhile(lambda event: not event.HasField("progress"), call))
    call.cancel()
    wait_until(lambda: not children(session.pid), "the end of the worker")
    wait_until(
        lambda: not list((session.work / "sessions").glob("*/prepared-*")),
        "the end of what was half made",
    )
    assert not engines(session)


def test_a_damaged_engine_is_built_again(board):
    session = board()
    list(session.call("Load", TENSORRT.request(session)))
    (kept,) = engines(session)
    kept.write_bytes(kept.read_bytes()[:-1])
    assert phases_of(session.call("Load", TENSORRT.request(session))) == MADE
    assert phases_of(session.call("Load", TENSORRT.request(session))) == FOUND
