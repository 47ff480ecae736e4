"""TensorRT's worker under a real agent, with libraries that stand in for TensorRT's and CUDA's.

What becomes of a preparation: kept, made again, ended, refused. Nothing here was seen on a GPU.
"""

from __future__ import annotations

import itertools
import signal

import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.stand_in import (
    DIGITS,
    STAND_INS,
    build_worker,
    refused,
)
from tests.integration.processes import children, wait_until

MADE = [pb.PHASE_SPAWN, pb.PHASE_PREPARE, pb.PHASE_LOAD]
FOUND = [pb.PHASE_SPAWN, pb.PHASE_LOAD]


@pytest.fixture(scope="module")
def worker(binaries):
    return build_worker("tensorrt", "cudart", "nvinfer", "nvonnxparser")


@pytest.fixture
def board(start, worker, work):
    """Starts an agent on a board whose libraries behave as these words say."""
    path, sha256 = worker
    (work / "store" / sha256).symlink_to(path)

    def start_one(words=""):
        environment = {"LD_LIBRARY_PATH": str(STAND_INS), "DX_STAND_IN": words}
        session = start(environment=environment)
        session.shake()
        return session

    return start_one


@pytest.fixture
def request_of(worker):
    """A load of the digits, or of another model."""

    def make(session, model=DIGITS, **fields):
        files = [
            pb.ModelFile(role="worker", sha256=worker[1]),
            pb.ModelFile(role="onnx", sha256=session.put(model)),
        ]
        return pb.LoadRequest(runtime="tensorrt", files=files, **fields)

    return make


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


def test_an_engine_is_built_once_for_a_model_a_version_a_gpu_and_options(board, request_of):
    session = board("steps=20")
    events = list(session.call("Load", request_of(session)))
    assert phases_of(events) == MADE
    told = [event.progress for event in events if event.HasField("progress")]
    assert "parsing the model" in [each.text for each in told]
    assert max(each.fraction for each in told) > 0
    assert events[-1].loaded.runtime_version == "10.3.0"
    assert phases_of(session.call("Load", request_of(session))) == FOUND
    options = pb.RunOptions(named={"optimization_level": "1"})
    assert phases_of(session.call("Load", request_of(session, options=options))) == MADE
    # An engine does not depend on what only its runs know, nor on who says what holds anyway.
    named = ({"streams": "4"}, {"cuda_graph": "on"}, {"streams": "1", "timing_cache": "on"})
    same = [pb.RunOptions(named=each) for each in named]
    for options in (*same, pb.RunOptions(accelerator="gpu")):
        assert phases_of(session.call("Load", request_of(session, options=options))) == FOUND
    for words in ("version=100700", "gpu=72"):
        session = board(words)
        assert phases_of(session.call("Load", request_of(session))) == MADE
    session = board()
    assert phases_of(session.call("Load", request_of(session))) == FOUND
    assert phases_of(session.call("Load", request_of(session, rebuild=True))) == MADE
    assert (session.work / "prepared" / "timings-tensorrt-10.3.0-sm_87").is_file()


def test_two_models_run_beside_each_other_from_what_was_prepared(board, request_of):
    session = board()
    ids = []
    for outputs in ([], []):
        *_, last = session.call("Load", request_of(session, outputs=outputs))
        ids.append(last.loaded.model_id)
    (info,) = last.loaded.inputs
    zeros = pb.Tensor(name=info.name, dtype=info.dtype, dims=info.dims, data=bytes(4 * 8 * 8))
    replies = [session.infer(each, 2, inputs=[zeros]) for each in ids]
    assert len({reply.outputs[0].data for pair in replies for reply in pair}) == 1
    assert all(reply.compute_ns > 0 for pair in replies for reply in pair)
    profile = list(
        session.call("Profile", pb.ProfileRequest(model_id=ids[0], inputs=[zeros], iterations=2))
    )
    layers = [event.layer for event in profile if event.HasField("layer")]
    assert "fp32" in {layer.precision for layer in layers}


CRASH = (f"crash {signal.SIGSEGV}", "crash", pb.FAILURE_WORKER_CRASHED, "")
FULL = ("memory", "out-of-memory", pb.FAILURE_RUNTIME_REFUSED, "MiB of the GPU's memory are free")
HANG = ("hang", "hang", pb.FAILURE_WATCHDOG, "")
PARSER = ("parser", "refuse=Conv", pb.FAILURE_RUNTIME_REFUSED, "operator 'Conv' (node '")
NO_GPU = ("no GPU", "no-gpu", pb.FAILURE_RUNTIME_REFUSED, "no CUDA-capable device")
OLD = ("old", "version=100001", pb.FAILURE_RUNTIME_REFUSED, "the board has 10.0.1")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [each[1:] for each in (CRASH, FULL, HANG, PARSER, NO_GPU, OLD)],
    ids=[each[0] for each in (CRASH, FULL, HANG, PARSER, NO_GPU, OLD)],
)
def test_a_build_that_goes_wrong_is_told_and_the_board_is_as_before(
    board, request_of, words, code, said
):
    session = board(words)
    limit = {"prepare_ms": 1500} if words == "hang" else {}
    failure = unprepared(session, request_of(session, **limit))
    assert failure.code == code
    assert said in failure.message
    assert failure.phase == pb.PHASE_PREPARE
    assert not engines(session)
    session = board()
    assert phases_of(session.call("Load", request_of(session))) == MADE


def test_a_build_that_is_cancelled_ends_at_once_and_leaves_nothing(board, request_of):
    session = board("steps=1000000")
    call = session.call("Load", request_of(session))
    list(itertools.takewhile(lambda event: not event.HasField("progress"), call))
    call.cancel()
    wait_until(lambda: not children(session.pid), "the end of the worker")
    wait_until(
        lambda: not list((session.work / "sessions").glob("*/prepared-*")),
        "the end of what was half made",
    )
    assert not engines(session)


def test_a_damaged_engine_is_built_again(board, request_of):
    session = board()
    list(session.call("Load", request_of(session)))
    (kept,) = engines(session)
    kept.write_bytes(kept.read_bytes()[:-1])
    assert phases_of(session.call("Load", request_of(session))) == MADE
    assert phases_of(session.call("Load", request_of(session))) == FOUND
