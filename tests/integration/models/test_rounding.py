"""Right conversions of networks whose tensors are tiny, or what is left of sums that cancel.

In trained networks such tensors differ by rounding alone, by more than any limit allows. They are
right if their layer makes of its input what the source's does; what is wrong must still show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.bundle import IntermediateCheck
from deployx_edge.errors import VerificationError
from deployx_edge.runtimes import ncnn as ncnn_runtime
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.runtimes.runner import Arrays
from deployx_edge.sources.onnx import walk
from deployx_edge.sources.onnx.file import OnnxSource, read_onnx
from deployx_edge.sources.onnx.walk import SourceWalk
from deployx_edge.workflows.convert import proving
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.models.onnx_models import (
    constant,
    initializer,
    model,
    replace_initializer,
    save,
    weights,
)

Case = Callable[[float], onnx.ModelProto]


def same_sums_twice(gain: float) -> onnx.ModelProto:
    """A 3x3 convolution less the same one as 5x5: nothing but rounding is left."""
    small = weights("w", 8, 3, 3, 3)
    wide = np.pad(onnx.numpy_helper.to_array(small), [(0, 0), (0, 0), (1, 1), (1, 1)])
    return model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="small", pads=[1] * 4),
            helper.make_node("Conv", ["x", "wide"], ["b"], name="wide", pads=[2] * 4),
            helper.make_node("Sub", ["a", "b"], ["left"], name="left"),
            helper.make_node("Mul", ["left", "gain"], ["scaled"], name="scaled"),
            helper.make_node("Add", ["a", "scaled"], ["y"], name="sum"),
        ],
        {"x": (1, 3, 16, 16)},
        {"y": (1, 8, 16, 16)},
        [small, constant("wide", wide), constant("gain", np.float32(gain))],
    )


def opposite_weights(gain: float) -> onnx.ModelProto:
    """A product whose second half of weights takes away what the first gives."""
    half = np.random.default_rng(1).standard_normal((4, 16, 1, 1)).astype(np.float32)
    both = np.concatenate([half, -half], axis=1)
    return model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="first", pads=[1] * 4),
            helper.make_node("Concat", ["a", "a"], ["aa"], name="twice", axis=1),
            helper.make_node("Conv", ["aa", "both"], ["left"], name="cancel"),
            helper.make_node("Mul", ["left", "gain"], ["scaled"], name="scaled"),
            helper.make_node("Conv", ["a", "last"], ["c"], name="main"),
            helper.make_node("Add", ["c", "scaled"], ["y"], name="sum"),
        ],
        {"x": (1, 3, 12, 12)},
        {"y": (1, 4, 12, 12)},
        [
            weights("w", 16, 3, 3, 3),
            constant("both", both),
            weights("last", 4, 16, 1, 1),
            constant("gain", np.float32(gain)),
        ],
    )


def large_logits(gain: float) -> onnx.ModelProto:
    """Scores of 1000 classes before a softmax, so large that their rounding shows behind it."""
    return model(
        [
            helper.make_node("Conv", ["x", "w"], ["a"], name="first", pads=[1] * 4),
            helper.make_node("Relu", ["a"], ["r"], name="relu"),
            helper.make_node("Flatten", ["r"], ["f"], name="flatten"),
            helper.make_node("MatMul", ["f", "fc"], ["logits"], name="linear"),
            helper.make_node("Mul", ["logits", "gain"], ["scaled"], name="scaled"),
            helper.make_node("Softmax", ["scaled"], ["y"], name="softmax", axis=1),
        ],
        {"x": (1, 3, 8, 8)},
        {"y": (1, 1000)},
        [
            weights("w", 8, 3, 3, 3),
            weights("fc", 512, 1000),
            constant("gain", np.float32(gain)),
        ],
    )


def inside(path: Path, folder: Path) -> IntermediateCheck:
    found = make_bundle(path, folder).provenance.verification.intermediates
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("case", "gain"), [(same_sums_twice, 1.0), (same_sums_twice, 100.0), (opposite_weights, 1.0)]
)
def test_what_cancels_is_judged_by_its_own_layer(tmp_path: Path, case: Case, gain: float) -> None:
    assert inside(save(case(gain), tmp_path / "m.onnx"), tmp_path / "b").judged_alone > 0


@pytest.mark.parametrize("gain", [100.0, 1000.0])
def test_an_output_that_only_rounding_moves_is_right(tmp_path: Path, gain: float) -> None:
    make_bundle(save(large_logits(gain), tmp_path / "m.onnx"), tmp_path / "b")


@pytest.fixture(params=["small", "huge", "giant"])
def is_huge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether models are taken for such whose tensors are many megabytes, or a gigabyte."""
    if request.param != "small":
        monkeypatch.setattr(proving, "_MADE_UP", ())
        monkeypatch.setattr(proving, "_HUGE_BYTES", 0)
    if request.param == "giant":
        monkeypatch.setattr(walk, "GIANT_BYTES", 0)
    return bool(request.param != "small")


def test_of_a_huge_run_there_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_huge: bool
) -> None:
    """Each run is compared; the first one, which tells what the outputs are, as well."""
    runs: list[int] = []
    tensors = SourceWalk.tensors

    def counted(self: SourceWalk, arrays: Arrays) -> Iterator[dict[str, np.ndarray]]:
        runs.append(1)
        return tensors(self, arrays)

    monkeypatch.setattr(SourceWalk, "tensors", counted)
    found = make_bundle(save(same_sums_twice(1.0), tmp_path / "m.onnx"), tmp_path / "b")
    verification = found.provenance.verification
    assert verification.inputs == (2 if is_huge else 6)
    assert verification.intermediates is not None
    assert verification.intermediates.compared == 4
    assert verification.intermediates.unproven == 0
    # Once more for what is judged alone.
    assert len(runs) - verification.inputs <= verification.inputs


class _Mutating(NativeConverter):
    """Converts the model with one initializer scaled."""

    what = ""
    factor = 1.0

    def convert(self, source: OnnxSource, request: ConversionRequest) -> ConvertedModel:
        made = onnx.load(source.path)
        replace_initializer(made, self.what, initializer(made, self.what) * self.factor)
        return super().convert(read_onnx(save(made, request.folder / "other.onnx"), {}), request)


@pytest.mark.parametrize(
    ("case", "gain", "what", "factor"),
    [
        (same_sums_twice, 1.0, "w", 1.05),
        (same_sums_twice, 100.0, "wide", 1.0001),
        (opposite_weights, 1.0, "last", 0.95),
        (large_logits, 1.0, "fc", 0.99),
        (large_logits, 1.0, "gain", 1.05),
    ],
)
def test_what_is_wrong_still_shows(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: Case,
    gain: float,
    what: str,
    factor: float,
    is_huge: bool,
) -> None:
    monkeypatch.setattr(ncnn_runtime, "converters", lambda: {"native": _Mutating})
    monkeypatch.setattr(_Mutating, "what", what)
    monkeypatch.setattr(_Mutating, "factor", factor)
    path = save(case(gain), tmp_path / "m.onnx")
    with pytest.raises(VerificationError):
        make_bundle(path, tmp_path / "b")


@pytest.mark.parametrize("size", [1e-6, 1e-12])
def test_a_tiny_tensor_that_is_wrong_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: float, is_huge: bool
) -> None:
    """Its layer is off by 5 %, which no output can tell."""

    def made() -> onnx.ModelProto:
        return model(
            [
                helper.make_node("Conv", ["x", "w"], ["a"], name="main", pads=[1] * 4),
                helper.make_node("Conv", ["x", "v"], ["tiny"], name="side", pads=[1] * 4),
                helper.make_node("Add", ["a", "tiny"], ["y"], name="sum"),
            ],
            {"x": (1, 3, 12, 12)},
            {"y": (1, 4, 12, 12)},
            [weights("w", 4, 3, 3, 3), weights("v", 4, 3, 3, 3, scale=size)],
        )

    path = save(made(), tmp_path / "m.onnx")
    assert inside(path, tmp_path / "right").compared >= 2
    monkeypatch.setattr(ncnn_runtime, "converters", lambda: {"native": _Mutating})
    monkeypatch.setattr(_Mutating, "what", "v")
    monkeypatch.setattr(_Mutating, "factor", 1.05)
    with pytest.raises(VerificationError, match="'tiny' of the layer 'side'"):
        make_bundle(path, tmp_path / "wrong")
