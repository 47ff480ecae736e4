"""RKNN's worker under a real agent, with a library that stands in for Rockchip's.

What becomes of a model from its load to its end. Nothing here was seen on an NPU.
"""

from __future__ import annotations

import json
import signal
import struct

import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.stand_in import (
    DIGITS,
    STAND_INS,
    build_worker,
    loaded,
    refused,
    zeros,
)
from tests.integration.processes import children, wait_until


def rknn_file(toolkit: str = "2.5.0", chip: str = "rk3588") -> bytes:
    """The head and the description of an .rknn, with what the stand-in computes between them."""
    facts = json.dumps({"target_platform": [chip], "version": toolkit}).encode()
    head = b"RKNN" + struct.pack("<4xQQ40x", 6, len(DIGITS))
    return head + DIGITS + struct.pack("<Q", len(facts)) + facts


@pytest.fixture(scope="module")
def worker(binaries):
    return build_worker("rknn", "rknnrt")


@pytest.fixture
def board(start, worker, work):
    """Starts an agent on a board whose library behaves as these words say."""
    path, sha256 = worker
    (work / "store" / sha256).symlink_to(path)

    def start_one(words="", libraries=STAND_INS):
        environment = {"LD_LIBRARY_PATH": str(libraries), "DX_STAND_IN": words}
        session = start(environment=environment)
        session.shake()
        return session

    return start_one


@pytest.fixture
def request_of(worker):
    """A load of the digits."""

    def make(session, content=None, **fields):
        files = [
            pb.ModelFile(role="worker", sha256=worker[1]),
            pb.ModelFile(role="rknn", sha256=session.put(content or rknn_file())),
        ]
        return pb.LoadRequest(runtime="rknn", files=files, **fields)

    return make


def test_two_models_run_beside_each_other_and_tell_versions_memory_and_layers(board, request_of):
    session = board("type=float16")
    sharing = pb.RunOptions(named={"zero_copy": "on", "core_mask": "0_1_2"})
    models = [
        loaded(session, request_of(session)),
        loaded(session, request_of(session, options=sharing)),
    ]
    assert {one.runtime_version for one in models} == {
        "2.5.0 (driver 0.9.8, model by toolkit 2.5.0)"
    }
    assert {one.accelerator_bytes for one in models} == {len(rknn_file()) + 65536}
    (info,) = models[0].inputs
    assert tuple(info.dims) == (1, 1, 8, 8)
    replies = [session.infer(one.model_id, 2, inputs=[zeros(info)]) for one in models]
    assert len({reply.outputs[0].data for pair in replies for reply in pair}) == 1
    asked = pb.ProfileRequest(model_id=models[1].model_id, inputs=[zeros(info)], iterations=2)
    layers = [e.layer for e in session.call("Profile", asked) if e.HasField("layer")]
    assert {(layer.unit, layer.precision) for layer in layers} == {("", "fp16"), ("NPU", "fp16")}
    assert [layer.type for layer in layers if not layer.unit] == [
        *("InputOperator", "OutputOperator")
    ]


def test_layers_that_the_npu_leaves_are_named_by_a_bench(board, request_of):
    session = board("type=int8 cpu=MaxPool,Gemm")
    model = loaded(session, request_of(session))
    asked = pb.BenchRequest(model_id=model.model_id, inputs=[zeros(model.inputs[0])], iterations=3)
    (summary,) = (e.summary for e in session.call("Bench", asked) if e.HasField("summary"))
    assert list(summary.fell_back) == ["/features/features.9/MaxPool", "/classifier/Gemm"]
    assert [count.precision for count in summary.precisions] == ["int8"]


NEWER = rknn_file(toolkit="2.9.0")
CRASH = (f"crash {signal.SIGSEGV}", "crash", None, pb.FAILURE_WORKER_CRASHED, "")
HANG = ("hang", "hang", None, pb.FAILURE_WATCHDOG, "")
FULL = ("memory", "memory=9", None, pb.FAILURE_RUNTIME_REFUSED, "out of memory for the NPU (-4)")
OLD = ("versions", "", NEWER, pb.FAILURE_RUNTIME_REFUSED, "2.9.0 made the model, the board has run")
CHIP = ("chip", "init=-13", None, pb.FAILURE_RUNTIME_REFUSED, "the model is for another chip (-13)")
CUT = ("cut", "", rknn_file()[:-3], pb.FAILURE_RUNTIME_REFUSED, "not a whole .rknn model")
WRONG = (CRASH, HANG, FULL, OLD, CHIP, CUT)


@pytest.mark.parametrize(
    ("words", "content", "code", "said"), [each[1:] for each in WRONG], ids=[e[0] for e in WRONG]
)
def test_a_load_that_goes_wrong_is_told_and_the_board_is_as_before(
    board, request_of, words, content, code, said
):
    session = board(words)
    limit = {"watchdog_ms": 1500} if words == "hang" else {}
    failure = refused(session, request_of(session, content, **limit))
    assert failure.code == code
    assert said in failure.message
    session = board()
    assert loaded(session, request_of(session)).model_id


def test_a_board_without_the_library_says_where_it_was_looked_for(board, request_of, tmp_path):
    session = board(libraries=tmp_path)
    failure = refused(session, request_of(session))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert "librknnrt.so is not on this board" in failure.message
    assert "/usr/lib64/librknnrt.so" in failure.message


def test_a_run_that_hangs_ends_when_it_is_cancelled(board, request_of):
    session = board("hang-run")
    model = loaded(session, request_of(session, watchdog_ms=1500))
    asked = pb.BenchRequest(model_id=model.model_id, inputs=[zeros(model.inputs[0])], iterations=3)
    call = session.call("Bench", asked)
    assert next(iter(call)).HasField("phase")
    call.cancel()
    wait_until(lambda: not children(session.pid), "the end of the worker")
    session = board()
    assert loaded(session, request_of(session)).model_id
