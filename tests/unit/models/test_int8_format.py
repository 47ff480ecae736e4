"""What int8 needs no runtime for: the table of scales, codes in the file, steps, refusals."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployx_edge.errors import BundleError, ModelError
from deployx_edge.quantization.report import calibration_hashes, too_few
from deployx_edge.quantization.values import PRESETS, QuantizedLayer
from deployx_edge.runtimes.ncnn.files import TableEntry, encode_weights, format_table, read_table
from deployx_edge.runtimes.ncnn.native.quantized import block_scales

SCALES = st.floats(min_value=np.float32(1e-6), max_value=np.float32(1e6), width=32)
NAMES = st.from_regex(r"[A-Za-z0-9/._-]{1,30}", fullmatch=True)


@given(
    st.dictionaries(
        NAMES,
        st.builds(
            TableEntry,
            activation=SCALES,
            weights=st.lists(SCALES, min_size=1, max_size=5).map(tuple),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_table_reads_as_it_was_written(entries: dict[str, TableEntry]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.table"
        path.write_text(format_table(entries), encoding="utf-8")
        found = read_table(path)
    assert list(found) == list(entries)
    for name, entry in entries.items():
        wanted = (entry.activation, *entry.weights)
        got = (found[name].activation, *found[name].weights)
        assert np.array(got, np.float32).tolist() == np.array(wanted, np.float32).tolist()


@pytest.mark.parametrize("text", ["conv 1.0 2.0\n", "conv_param_0 1 2\n", "conv x\n", "conv\n"])
def test_a_broken_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "model.table"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="table"):
        read_table(path)


def test_codes_stand_in_the_file_as_ncnn_reads_them() -> None:
    """The tag 0x000D4B38, a byte a code, padded to four."""
    codes = np.array([1, -1, 127, -127, 5], dtype=np.int8)
    body = bytes([1, 255, 127, 129, 5, 0, 0, 0])
    assert encode_weights(codes, "int8", tagged=True) == bytes.fromhex("384b0d00") + body
    assert encode_weights(codes, "int8", tagged=False) == body


def test_blocks_of_inputs_have_steps_of_their_own() -> None:
    weights = np.array([[127.0, -1.0, 254.0], [0.0, 0.0, 12.7]])
    np.testing.assert_allclose(block_scales(weights, 2), [[1.0, 2.0], [1.0, 0.1]])


def test_a_layer_is_its_quantized_values_times_the_scales() -> None:
    quantized = np.array([[1, 2, 3], [-4, 5, -6]], dtype=np.int8)
    layer = QuantizedLayer(
        quantized=quantized,
        weight_scales=np.array([0.5, 1.0, 2.0]),
        axis=1,
        activation_scale=0.1,
        bias=None,
    )
    np.testing.assert_array_equal(layer.weights(), [[0.5, 2.0, 6.0], [-2.0, 5.0, -12.0]])


def test_too_few_samples_are_told_apart_from_too_alike() -> None:
    data = Path("few.npz")
    assert too_few(data, 8, 8, 8) is None
    assert "few.npz gives 7 samples to calibrate on; at least 8" in str(too_few(data, 7, 7, 8))
    assert "Of the 9 samples of few.npz" in str(too_few(data, 9, 3, 8))
    assert "only 3 differ; at least 8" in str(too_few(data, 9, 3, 8))


def test_a_report_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.quantization.json"
    path.write_text('{"calibration": {}}', encoding="utf-8")
    with pytest.raises(BundleError, match="does not hold the report"):
        calibration_hashes(path)


def test_presets_do_more_from_first_to_last() -> None:
    assert list(PRESETS) == ["fast", "balanced", "best"]
    assert [preset.correct_bias for preset in PRESETS.values()] == [False, True, True]
    assert PRESETS["best"].tuning == "lsq"
