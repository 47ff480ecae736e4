"""SNPE's worker under a real agent, with a library that stands in for Qualcomm's.

What an agent answers where a runtime refuses a model, dies of it or hangs. Nothing here was seen on
a Snapdragon.
"""

from __future__ import annotations

import signal

import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.conftest import SANITIZED
from tests.integration.agent.stand_in import (
    DIGITS,
    build_worker,
    loaded,
    refused,
    with_hash,
    zeros,
)
from tests.integration.processes import children, wait_until

STAND_IN = SANITIZED / "tests" / "worker" / "stand_in_snpe" / "libSNPE.so"
# The stand-in computes an ONNX file, whatever it is called.
MODEL = DIGITS
ON_DSP = pb.RunOptions(named={"runtime_order": "dsp"})


@pytest.fixture(scope="module")
def files(binaries):
    """The worker and the library, by role, as fresh as their sources."""
    return {"worker": build_worker("snpe", "snpe"), "library": with_hash(STAND_IN)}


@pytest.fixture
def board(start, files, work):
    """Starts an agent on a board whose library behaves as these words say."""
    for path, sha256 in files.values():
        (work / "store" / sha256).symlink_to(path)

    def start_one(words=""):
        session = start(environment={"DX_STAND_IN": words})
        session.shake()
        return session

    return start_one


@pytest.fixture
def request_of(files):
    """A load of the digits."""

    def make(session, **fields):
        listed = [
            pb.ModelFile(role="worker", sha256=files["worker"][1]),
            pb.ModelFile(role="library", sha256=files["library"][1], name="libSNPE.so"),
            pb.ModelFile(role="dlc", sha256=session.put(MODEL)),
        ]
        return pb.LoadRequest(runtime="snpe", files=listed, **{"options": ON_DSP, **fields})

    return make


def test_two_models_run_beside_each_other_and_are_timed_in_the_worker(board, request_of):
    session = board()
    models = [loaded(session, request_of(session)) for _ in range(2)]
    assert [each.runtime_version for each in models] == ["2.39.0 on dsp"] * 2
    (info,) = models[0].inputs
    replies = [session.infer(each.model_id, 2, inputs=[zeros(info)]) for each in models]
    assert len({reply.outputs[0].data for pair in replies for reply in pair}) == 1
    assert all(reply.compute_ns > 0 for pair in replies for reply in pair)


def test_nothing_runs_on_the_processor_in_silence(board, request_of):
    session = board("refuse=dsp")
    failure = refused(session, request_of(session))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert "does not run the model on dsp alone: " in failure.message
    assert "layer conv is not supported by dsp" in failure.message
    allowed = pb.RunOptions(named={"runtime_order": "dsp", "allow_fallback": "on"})
    model = loaded(session, request_of(session, options=allowed))
    assert model.runtime_version == "2.39.0 on dsp, cpu"
    (info,) = model.inputs
    profile = pb.ProfileRequest(model_id=model.model_id, inputs=[zeros(info)], iterations=2)
    layers = [e.layer for e in session.call("Profile", profile) if e.HasField("layer")]
    assert [(layer.unit, layer.precision) for layer in layers] == [("DSP", "int8"), ("CPU", "fp32")]
    bench = pb.BenchRequest(model_id=model.model_id, inputs=[zeros(info)], iterations=3)
    *_, last = session.call("Bench", bench)
    assert list(last.summary.fell_back) == ["what dsp refuses of it"]


WRONG = {
    "crash": (pb.FAILURE_WORKER_CRASHED, ""),
    "hang": (pb.FAILURE_WATCHDOG, ""),
    "have=cpu": (pb.FAILURE_RUNTIME_REFUSED, "finds no dsp on this board"),
    "version=2.10.0": (pb.FAILURE_RUNTIME_REFUSED, "libSNPE.so is 2.10.0"),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_load_that_goes_wrong_is_told_and_the_next_one_loads(board, request_of, words):
    code, said = WRONG[words]
    session = board(words)
    limit = {"watchdog_ms": 1500} if words == "hang" else {}
    failure = refused(session, request_of(session, **limit))
    assert failure.code == code
    assert said in failure.message
    if words == "crash":
        assert failure.signal == signal.SIGABRT
    again = board()
    assert loaded(again, request_of(again)).inputs


def test_a_load_that_is_cancelled_ends_its_worker(board, request_of):
    session = board("hang")
    call = session.call("Load", request_of(session))
    next(call)
    wait_until(lambda: children(session.pid), "the worker")
    call.cancel()
    wait_until(lambda: not children(session.pid), "the end of the worker")
