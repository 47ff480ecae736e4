"""How a model's arrays pass to a worker and back, by its runtime."""

from dataclasses import replace

import numpy as np
import pytest

from deployx_edge.bundle.tensors import from_board_array, to_board_arrays
from deployx_edge.errors import UsageError
from deployx_edge.model import AxisRange, TensorSpec
from deployx_edge.workflows.measure.loading import random_inputs
from tests.unit.models.bundles import written


def spec(name, dtype, shape, batch_axis=None, ranges=()):
    return TensorSpec(
        name=name,
        runtime_name=f"{name}_blob",
        dtype=dtype,
        shape=shape,
        layout="",
        batch_axis=batch_axis,
        ranges=ranges,
    )


TOKENS = spec("tokens", "int64", (1, 16), 0, (AxisRange(axis=1, minimum=1, opt=16, maximum=64),))
MASK = spec("mask", "bool", (1, 1, 1, 1, 2, 16))
SCALE = spec("scale", "float64", ())
SCORES = spec("scores", "float32", (1, 16, 4), 0)
IDS = spec("ids", "int64", (1, 3), 0)


@pytest.fixture
def text_bundle(tmp_path):
    """A model with inputs of several types, for a runtime that takes ONNX's own shapes."""
    inputs, outputs = (TOKENS, MASK, SCALE), (SCORES, IDS)
    return replace(written(tmp_path), runtime="onnxruntime", inputs=inputs, outputs=outputs)


def test_a_runtime_that_reads_onnx_takes_arrays_as_they_are(text_bundle):
    arrays = {
        "tokens": np.arange(48, dtype=np.int64).reshape(1, 48),
        "mask": np.ones((1, 1, 1, 1, 2, 16), dtype=bool),
        "scale": np.float64(2).reshape(()),
        "label": np.zeros(3),
    }
    found = to_board_arrays(text_bundle, arrays)
    assert list(found) == ["tokens_blob", "mask_blob", "scale_blob"]
    for name in ("tokens", "mask", "scale"):
        array, batched = found[f"{name}_blob"]
        assert not batched
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])


@pytest.mark.parametrize(
    ("name", "array", "said"),
    [
        ("tokens", np.zeros((1, 16), np.int32), "is int64, the array given for it is int32"),
        ("tokens", np.zeros((1, 65), np.int64), r"Nx\{1..64\}, the array given for it 1x65"),
        ("mask", np.zeros((2, 16), bool), "the array given for it 2x16"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(text_bundle, name, array, said):
    arrays = {tensor.runtime_name[:-5]: tensor.array for tensor in random_inputs(text_bundle)}
    with pytest.raises(UsageError, match=said):
        to_board_arrays(text_bundle, {**arrays, name: array})
    with pytest.raises(UsageError, match="The model's inputs are"):
        to_board_arrays(text_bundle, {name: array})


def test_outputs_keep_their_types(text_bundle):
    scores, ids = np.ones((1, 16, 4), np.float32), np.arange(3).reshape(1, 3)
    assert from_board_array(text_bundle, SCORES, scores) is scores
    assert from_board_array(text_bundle, IDS, ids).dtype == np.int64
    with pytest.raises(UsageError, match="should be float32, the board gave int64"):
        from_board_array(text_bundle, SCORES, scores.astype(np.int64))


def test_made_up_inputs_have_the_types_of_the_model(text_bundle):
    tokens, mask, scale = (tensor.array for tensor in random_inputs(text_bundle))
    assert (tokens.dtype, mask.dtype, scale.dtype) == (np.int64, bool, np.float64)
    assert set(np.unique(tokens)) == {0, 1}
    assert 0 <= scale < 1
    again = [tensor.array for tensor in random_inputs(text_bundle)]
    np.testing.assert_array_equal(tokens, again[0])
