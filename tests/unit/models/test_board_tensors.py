"""Tensors between the source's shapes and those of a runtime on a board."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deployx_edge.bundle import Bundle
from deployx_edge.bundle.tensors import from_board_array, to_board_arrays
from deployx_edge.errors import UsageError
from deployx_edge.runtime import GENERAL_RUNTIME
from tests.unit.models.bundles import spec, written


@pytest.fixture
def ncnn(tmp_path: Path) -> Bundle:
    """One image (1, 3, 8, 6) in, ten scores out."""
    return written(tmp_path)


@pytest.fixture
def general(ncnn: Bundle) -> Bundle:
    """The same for a runtime that takes tensors as they are."""
    ids = replace(spec("ids", (1, 4), runtime_name="ids"), dtype="int64")
    return replace(ncnn, runtime=GENERAL_RUNTIME, inputs=(ids,))


def test_a_runtime_of_single_samples_gets_float32_without_the_batch_axis(ncnn: Bundle) -> None:
    ((array, batched),) = to_board_arrays(
        ncnn, {"image": np.ones((1, 3, 8, 6), np.float32)}
    ).values()
    assert (array.shape, batched) == ((3, 8, 6), False)


@pytest.mark.parametrize(("samples", "shape"), [(1, (1, 4)), (3, (3, 1, 4))])
def test_others_get_each_sample_whole_and_in_its_own_type(
    general: Bundle, samples: int, shape: tuple[int, ...]
) -> None:
    given = np.arange(samples * 4).reshape(samples, 4)
    ((array, batched),) = to_board_arrays(general, {"ids": given, "labels": given}).values()
    assert (array.shape, batched, array.dtype) == (shape, samples > 1, np.int64)
    np.testing.assert_array_equal(array.reshape(samples, 4), given)


def test_an_output_of_another_type_than_the_bundle_says_is_refused(general: Bundle) -> None:
    scores = general.outputs[0]
    given = np.zeros((1, 10), np.int64)
    with pytest.raises(UsageError, match="'scores' should be float32, the board gave int64") as one:
        from_board_array(general, scores, given)
    assert one.value.exit_code == 2
    assert "Convert the model again" in (one.value.remedy or "")


def test_outputs_of_several_samples_have_the_source_s_axes(general: Bundle) -> None:
    scores = general.outputs[0]
    given = np.arange(30, dtype=np.float32).reshape(3, 1, 10)
    found = from_board_array(general, scores, given, batched=True)
    np.testing.assert_array_equal(found, given.reshape(3, 10))
    single = from_board_array(general, scores, given[0])
    np.testing.assert_array_equal(single, given[0])
    plain = replace(scores, batch_axis=None)
    with pytest.raises(UsageError, match="'scores' has no axis for samples, the board gave 3"):
        from_board_array(general, plain, given, batched=True)
