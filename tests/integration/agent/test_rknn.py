"""RKNN's worker under a real agent, with a library that stands in for Rockchip's.

What becomes of a model from its load to its end. Nothing here was seen on an NPU.
"""

from __future__ import annotations

import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.stand_in import RKNN, STAND_INS, loaded, refused, rknn_file, zeros


@pytest.fixture
def board(start):
    """Starts an agent on a board whose library behaves as these words say."""

    def start_one(words="", libraries=STAND_INS):
        environment = {"LD_LIBRARY_PATH": str(libraries), "DX_STAND_IN": words}
        session = start(environment=environment)
        session.shake()
        return session

    return start_one


def test_two_models_run_beside_each_other_and_tell_versions_memory_and_layers(board):
    session = board("type=float16")
    sharing = pb.RunOptions(named={"zero_copy": "on", "core_mask": "0_1_2"})
    models = [
        loaded(session, RKNN.request(session)),
        loaded(session, RKNN.request(session, options=sharing)),
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


def test_layers_that_the_npu_leaves_are_named_by_a_bench(board):
    session = board("type=int8 cpu=MaxPool,Gemm")
    model = loaded(session, RKNN.request(session))
    asked = pb.BenchRequest(model_id=model.model_id, inputs=[zeros(model.inputs[0])], iterations=3)
    (summary,) = (e.summary for e in session.call("Bench", asked) if e.HasField("summary"))
    assert list(summary.fell_back) == ["/features/features.9/MaxPool", "/classifier/Gemm"]
    assert [count.precision for count in summary.precisions] == ["int8"]


NEWER = rknn_file(toolkit="2.9.0")
OLD = ("versions", "", NEWER, "2.9.0 made the model, the board has run")
CHIP = ("chip", "init=-13", b"", "the model is for another chip (-13)")
WRONG = (OLD, CHIP)


@pytest.mark.parametrize(
    ("words", "content", "said"), [each[1:] for each in WRONG], ids=[e[0] for e in WRONG]
)
def test_a_model_for_another_board_is_refused(board, words, content, said):
    session = board(words)
    failure = refused(session, RKNN.request(session, content))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert said in failure.message


def test_a_board_without_the_library_says_where_it_was_looked_for(board, tmp_path):
    session = board(libraries=tmp_path)
    failure = refused(session, RKNN.request(session))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert "librknnrt.so is not on this board" in failure.message
    assert "/usr/lib64/librknnrt.so" in failure.message
