"""Mod on inputs that broadcast: floats with C's sign, whole numbers of all signs with either."""

import numpy as np

from deployx_edge.workflows.operators.cases import Case, Fed


def _whole(*shape: int, most: int = 10, dtype: type = np.int64) -> np.ndarray:
    values = np.random.default_rng(shape).integers(-9, most, shape)
    return np.where(values == 0, 7, values).astype(dtype)


def _fed(*shape: int, most: int = 10, dtype: type = np.int64) -> Fed:
    return Fed(values=_whole(*shape, most=most, dtype=dtype))


# Whole divisors are constants: conversions run models on noise too, where others would be 0.
_SIGNS = Fed(values=np.asarray([[-7, -6, -1, 0, 1, 6, 7]], dtype=np.int64))
_DIVISORS = np.asarray([[-3], [-2], [2], [3]])
_LARGE = Fed(values=np.asarray([2**24, 2**24 - 1, -(2**24), 2**23 + 1], dtype=np.int64))

CASES = (
    Case(name="floats", inputs=((1, 3, 5, 7), (1, 3, 5, 7)), attributes={"fmod": 1}),
    Case(name="floats-grow", inputs=((1, 4, 1), (3, 1, 5)), attributes={"fmod": 1}),
    Case(
        name="number",
        inputs=((1, 9, 17), np.asarray(-0.75, dtype=np.float32)),
        attributes={"fmod": 1},
    ),
    Case(
        name="by-infinity",
        inputs=((1, 4), np.asarray([np.inf, -np.inf, np.inf, 0.25], dtype=np.float32)),
        attributes={"fmod": 1},
    ),
    Case(name="signs", inputs=(_SIGNS, _DIVISORS)),
    Case(name="signs-of-the-dividend", inputs=(_SIGNS, _DIVISORS), attributes={"fmod": 1}),
    Case(name="whole-image", inputs=(_fed(1, 3, 5, 7), _whole(3, 1, 1))),
    Case(name="whole-by-a-constant", inputs=(_fed(1, 9, most=8400), np.asarray(80))),
    Case(name="int32", inputs=(_fed(7, dtype=np.int32), np.asarray([-4], dtype=np.int32))),
    Case(name="large", inputs=(_LARGE, np.asarray([3, -4099, 3, 2**24]))),
    Case(name="opset-10", inputs=(_fed(2, 3, 4), _whole(4)), opset=10),
    Case(name="opset-13", inputs=((1, 5), (1, 5)), attributes={"fmod": 1}, opset=13),
)
