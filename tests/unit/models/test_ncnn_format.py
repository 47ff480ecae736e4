"""Writing ncnn's files: what is written is read back, by this reader and by ncnn's rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_edge.runtimes.ncnn.files import (
    Layer,
    encode_weights,
    float_list,
    format_float,
    format_param,
    integer_list,
    read_param,
    stored_precision,
)


def test_layers_are_read_as_they_were_written(tmp_path: Path) -> None:
    layers = (
        Layer(type="Input", name="x", bottoms=(), tops=("x",), params=((0, "8"),)),
        Layer(
            type="Slice",
            name="cut",
            bottoms=("x",),
            tops=("a", "b"),
            params=(integer_list(0, [3, 5]), (1, "0")),
        ),
    )
    path = tmp_path / "net.param"
    path.write_text(format_param(layers), encoding="utf-8")
    assert read_param(path) == layers
    assert path.read_text().splitlines()[:2] == ["7767517", "2 3"]
    assert "-23300=2,3,5" in path.read_text()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_keep_every_bit_and_look_like_floats(value: float) -> None:
    text = format_float(value)
    assert np.float32(text) == np.float32(value)
    assert "." in text and "e" in text
    assert float_list(10, [value])[1] == f"1,{text}"


def test_weights_are_tagged_rounded_and_padded(tmp_path: Path) -> None:
    values = np.asarray([1.0, -2.0, 65504.0], dtype=np.float32)
    assert encode_weights(values, "fp16", tagged=False) == values.tobytes()
    assert encode_weights(values, "fp32", tagged=True) == bytes(4) + values.tobytes()
    halves = encode_weights(values, "fp16", tagged=True)
    assert halves[:4] == (0x01306B47).to_bytes(4, "little")
    assert len(halves) == 4 + 8
    assert np.array_equal(np.frombuffer(halves[4:10], dtype="<f2"), values.astype(np.float16))
    (tmp_path / "w.bin").write_bytes(halves)
    assert stored_precision(tmp_path / "w.bin") == "fp16"


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_weights_in_any_order_are_written_in_theirs(precision: str) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert encode_weights(values.T, precision, tagged=True) == encode_weights(
        np.ascontiguousarray(values.T), precision, tagged=True
    )
