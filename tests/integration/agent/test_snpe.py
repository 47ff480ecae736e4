"""SNPE's worker under a real agent, with a library that stands in for Qualcomm's.

What it says of a fall-back; what holds for every such worker is in ``test_stand_ins``. Nothing here
was seen on a Snapdragon.
"""

from __future__ import annotations

import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.stand_in import SNPE, loaded, refused, zeros


@pytest.fixture
def board(start):
    """Starts an agent on a board whose library behaves as these words say."""

    def start_one(words=""):
        session = start(environment={"DX_STAND_IN": words})
        session.shake()
        return session

    return start_one


def test_nothing_runs_on_the_processor_in_silence(board):
    session = board("refuse=dsp")
    failure = refused(session, SNPE.request(session))
    assert failure.code == pb.FAILURE_RUNTIME_REFUSED
    assert "does not run the model on dsp alone: " in failure.message
    assert "layer conv is not supported by dsp" in failure.message
    allowed = pb.RunOptions(named={"runtime_order": "dsp", "allow_fallback": "on"})
    model = loaded(session, SNPE.request(session, options=allowed))
    assert model.runtime_version == "2.39.0 on dsp, cpu"
    (info,) = model.inputs
    profile = pb.ProfileRequest(model_id=model.model_id, inputs=[zeros(info)], iterations=2)
    layers = [e.layer for e in session.call("Profile", profile) if e.HasField("layer")]
    assert [(layer.unit, layer.precision) for layer in layers] == [("DSP", "int8"), ("CPU", "fp32")]
    bench = pb.BenchRequest(model_id=model.model_id, inputs=[zeros(info)], iterations=3)
    *_, last = session.call("Bench", bench)
    assert list(last.summary.fell_back) == ["what dsp refuses of it"]
