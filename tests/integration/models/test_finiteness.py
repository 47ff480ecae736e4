"""NaN and infinity: of weights, and of what a device gives where the model itself is finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from deployx_edge.bundle import Bundle
from deployx_edge.errors import ModelError, NotFiniteError
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.finiteness import (
    broken_outputs,
    is_finite_here,
    refuse_not_finite,
)
from tests.integration.models.onnx_models import constant, model, save, weights

SHAPE = (1, 3, 8, 8)


def two_convolutions(path: Path, **spoilt: float) -> Path:
    """Two convolutions and a constant; of the ``spoilt`` ones one value is that."""
    kernels = {name: weights(name, 3, 3, 3, 3) for name in ("first", "second")}
    arrays = {name: np.frombuffer(each.raw_data, "<f4").copy() for name, each in kernels.items()}
    arrays["shift"] = np.ones(3, dtype=np.float32)
    for name, value in spoilt.items():
        arrays[name][1] = value
    shift = constant("", arrays.pop("shift").reshape(1, 3, 1, 1))
    nodes = [
        helper.make_node("Conv", ["x", "first"], ["a"], pads=[1] * 4, name="one"),
        helper.make_node("Constant", [], ["shift"], value=shift, name="constant"),
        helper.make_node("Add", ["a", "shift"], ["b"], name="add"),
        helper.make_node("Conv", ["b", "second"], ["y"], pads=[1] * 4, name="two"),
    ]
    constants = [constant(name, values.reshape(3, 3, 3, 3)) for name, values in arrays.items()]
    return save(model(nodes, {"x": SHAPE}, {"y": SHAPE}, constants), path)


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"second": np.nan}, "The weights 'second' of m.onnx hold NaN, and so do its outputs"),
        ({"first": np.nan, "second": np.nan}, "The weights 'first', 'second' of m.onnx hold NaN"),
        ({"shift": np.nan}, "The weights 'shift' of m.onnx hold NaN"),
        ({"first": np.inf}, "The weights 'first' of m.onnx hold infinite values"),
        ({"first": np.inf, "second": np.nan}, "The weights 'second' of m.onnx hold NaN"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_weights_that_are_not_finite_are_named(
    tmp_path: Path, spoilt: dict[str, float], words: str, runtime: str
) -> None:
    path = two_convolutions(tmp_path / "m.onnx", **spoilt)
    with pytest.raises(ModelError) as caught:
        make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    assert words in str(caught.value)


@pytest.fixture(scope="module")
def reciprocal(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """y = 1 / x, which is infinite at 0, and z = x + 1."""
    folder = tmp_path_factory.mktemp("reciprocal")
    nodes = [
        helper.make_node("Reciprocal", ["x"], ["y"], name="reciprocal"),
        helper.make_node("Add", ["x", "one"], ["z"], name="add"),
    ]
    made = model(nodes, {"x": SHAPE}, {"y": SHAPE, "z": SHAPE}, [constant("one", np.float32(1))])
    options = BundleOptions(verify=False)
    return make_bundle(save(made, folder / "m.onnx"), folder / "b", options)


@pytest.mark.parametrize("samples", [1, 3])
def test_only_what_the_model_itself_gives_finite_is_held_against_a_device(
    reciprocal: Bundle, samples: int
) -> None:
    x = np.random.default_rng(0).random((samples, *SHAPE[1:]), dtype=np.float32) + 1
    found = {"y": 1 / x, "z": x + 1}
    assert broken_outputs(reciprocal, {"x": x}, found) == ()
    x[0, 0, 0, 0] = 0
    found["y"][0, 0, 0, 0] = np.inf
    assert not is_finite_here(reciprocal, {"x": x})
    assert broken_outputs(reciprocal, {"x": x}, found) == ()
    found["y"][-1, 1] = np.nan
    found["z"][0, 2, 0, :2] = -np.inf
    told = [str(each) for each in broken_outputs(reciprocal, {"x": x}, found)]
    size = x.size
    assert told == [
        f"64 of {size} values of 'y' are NaN or infinite",
        f"2 of {size} values of 'z' are NaN or infinite",
    ]


def test_what_is_not_finite_ends_in_an_exit_code_of_its_own() -> None:
    refuse_not_finite([])
    with pytest.raises(NotFiniteError, match=r"One\. Two\. .*--keep-float LAYER") as caught:
        refuse_not_finite(["One.", "Two."])
    assert caught.value.exit_code == 14
