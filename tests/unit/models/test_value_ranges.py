"""The largest value of a tensor, wherever it lies and whatever lies beside it."""

from __future__ import annotations

import numpy as np
import pytest

from deployx_edge.sources.onnx.value_ranges import ValueRanges


@pytest.mark.parametrize("beside", [0.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 2**18 - 1, 2**18, 2**19 + 5])
def test_the_largest_value_is_found_in_every_place(place: int, beside: float) -> None:
    values = np.zeros(2**19 + 6, np.float32)
    values[place], values[(place + 3) % values.size] = -70000.0, beside
    ranges = ValueRanges()
    ranges.take({"t": values.reshape(2, -1), "other": np.ones(3, np.float32)})
    assert ranges.largest == {"t": 70000.0, "other": 1.0}
