"""On a real board, named by DEPLOYX_EDGE_DEVICE (a name in deployx.toml, or an address).

DEPLOYX_EDGE_DEVICE=pi .venv/bin/python -m pytest tests/device
"""

import os
from pathlib import Path

import numpy
import pytest

from deployx_edge.config import load_config
from deployx_edge.measurement.values import BenchPlan
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.measure.bench import bench, profile
from deployx_edge.workflows.measure.run import run

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "digits_cnn.onnx"
NAME = os.environ.get("DEPLOYX_EDGE_DEVICE")

pytestmark = pytest.mark.skipif(NAME is None, reason="no board: DEPLOYX_EDGE_DEVICE is not set")


@pytest.fixture(scope="module")
def session():
    assert NAME is not None
    with open_session(load_config().find_device(NAME)) as opened:
        yield opened


@pytest.fixture(scope="module")
def digits():
    return make_bundle(DIGITS)


def test_the_board_computes_what_the_reference_computes(session, digits):
    import onnxruntime

    images = numpy.load(DIGITS.with_name("digits_test.npz"))["image"][:50]
    found = run(session, digits, {"image": images})["scores"]
    reference = onnxruntime.InferenceSession(str(DIGITS), providers=["CPUExecutionProvider"])
    expected = reference.run(["scores"], {"image": images})[0]
    numpy.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_bench_tells_the_conditions(session, digits):
    (result,) = bench(session, digits, plan=BenchPlan(warmup=5, iterations=50))
    assert len(result.bench.samples_ns) == 50
    assert not result.device.board.emulated
    assert result.bench.peak_memory_bytes > 0
    assert result.device.board.memory_bytes > 0


def test_a_profile_names_every_layer(session, digits):
    result = profile(session, digits, warmup=2, iterations=20)
    assert {layer.type for layer in result.profile.layers} >= {"Convolution", "InnerProduct"}
