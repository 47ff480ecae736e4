"""Quantized models on a runtime that computes in half floats: layer by layer, as on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.errors import VerificationError
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from tests.integration.models.onnx_models import model, save
from tests.integration.models.quantized_models import network, quantized
from tests.integration.models.test_quantized_conversions import (
    Mutation,
    Quantities,
    constants,
    converted,
    converter_of,
    one_channel_a_tenth_off,
    pair,
    proven,
    scale_of_another,
    weights_by_another_layer,
)
from tests.runtimes import missing
from tests.sampling import sampled

pytestmark = pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
_SAMPLED = 5  # of those that are wrong
# Operators that are quantized; the others are computed in half floats.
PARTS = {
    "digits": (),
    "digits, but for what is dense": ("Conv",),
    "digits, only what is dense": ("Gemm",),
    "transformer": (),
    "transformer, but for sums": ("MatMul",),
    "transformer, only sums": ("Add", "Softmax"),
    "segmenter": (),
}
WRONG = (
    ("digits", scale_of_another, 0),
    *(("digits", one_channel_a_tenth_off, place) for place in (0, 4, 7)),
    *(("digits", weights_by_another_layer, place) for place in (0, 4, 7)),
    ("digits, but for what is dense", one_channel_a_tenth_off, 2),
    ("transformer", weights_by_another_layer, 3),
    ("transformer", one_channel_a_tenth_off, 9),
    ("transformer, but for sums", weights_by_another_layer, 1),
    ("segmenter", scale_of_another, 11),
    ("segmenter", one_channel_a_tenth_off, 11),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "mutation" in metafunc.fixturenames:
        cases = sampled(WRONG, metafunc.config, _SAMPLED)
        metafunc.parametrize(("name", "mutation", "place"), cases)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OnnxSource]:
    made = {}
    for name, operators in PARTS.items():
        folder = tmp_path_factory.mktemp("source")
        path = network(name.partition(",")[0], folder)
        made[name] = quantized(path, folder, operators=operators)
    return made


def qnn_model(source: OnnxSource, folder: Path) -> ConvertedModel:
    return converted(source, converter_of("qnn"), folder)


@pytest.mark.parametrize("name", PARTS)
def test_right_ones_pass(name: str, sources: dict[str, OnnxSource], tmp_path: Path) -> None:
    found = proven(qnn_model(sources[name], tmp_path), sources[name])
    assert found.intermediates is not None
    assert found.intermediates.compared >= 7
    assert found.intermediates.worst_error < 8e-2  # a step, of what varies by a few


def test_wrong_ones_are_caught(
    name: str,
    mutation: Mutation,
    place: int,
    sources: dict[str, OnnxSource],
    tmp_path: Path,
) -> None:
    made = qnn_model(sources[name], tmp_path)
    changed = onnx.load(made.path("onnx"))
    mutation(Quantities(changed.graph), place)
    onnx.save(changed, made.path("onnx"))
    with pytest.raises(VerificationError, match="does not compute what its scales say"):
        proven(made, sources[name])


@pytest.mark.parametrize(("channels", "factor"), [(8, 1.17), (1, 1.1)])
def test_wrong_weights_of_half_floats_are_caught(
    channels: int, factor: float, tmp_path: Path
) -> None:
    """They are held against what half floats round to, not against what int8 may cost."""
    nodes = [
        *pair("x", "d"),
        helper.make_node("MatMul", ["d", "w"], ["y"], "dense"),
    ]
    weights = np.random.default_rng(0).standard_normal((16, 8)).astype(np.float32) / 4
    given = constants(scale=np.float32(0.01), zero=np.int8(0), w=weights)
    path = save(model(nodes, {"x": (1, 16)}, {"y": (1, 8)}, given), tmp_path / "m.onnx")
    source = read_onnx(path, {})
    made = qnn_model(source, tmp_path)
    proven(made, source)
    changed = onnx.load(made.path("onnx"))
    quantities = Quantities(changed.graph)
    (dense,) = (node for node in changed.graph.node if node.op_type in ("Gemm", "MatMul"))
    wrong = quantities.array(dense.input[1]).copy()
    wrong[:, :channels] *= np.float32(factor)
    quantities.put((dense,), 1, wrong)
    onnx.save(changed, made.path("onnx"))
    with pytest.raises(VerificationError, match=r"'y' is off by"):
        proven(made, source)
