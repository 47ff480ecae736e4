"""What a command waits for where the bundle is in the cache already."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from deployx_edge.workflows.choose.candidates import Wanted, make_bundles
from tests.integration.test_cli import DIGITS

CODE = """
import sys
from pathlib import Path
from deployx_edge.workflows.convert.bundle import make_bundle
make_bundle(Path(sys.argv[1]))
heavy = {"onnx", "onnxruntime", "ncnn", "deployx_edge.workflows.convert.conversion"}
print(sorted(heavy & set(sys.modules)))
"""


def test_a_bundle_that_is_there_imports_no_converter(tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path))
    words = [sys.executable, "-c", CODE, DIGITS]
    first, second = (
        subprocess.run(words, capture_output=True, text=True, check=True).stdout for _ in range(2)
    )
    assert "conversion" in first and second == "[]\n"


def test_an_int8_bundle_of_a_bench_is_made_once(tmp_path, monkeypatch):
    """Again where its data, or a word of its options, is another."""
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data.npz"

    def made(name, **options):
        (folder := tmp_path / name).mkdir()
        told = []
        wanted = Wanted(model=Path(DIGITS), precisions=("int8",), calibration=data, **options)
        (tried,) = make_bundles(wanted, folder, progress=lambda event: told.append(str(event)))
        assert tried.value is not None, tried.error
        return tried.value.bundle, any("layer by layer" in text for text in told)

    random = np.random.default_rng(0)
    np.savez(data, image=random.random((16, 1, 8, 8), np.float32))
    first, was_made = made("first", runtimes=("onnxruntime",))
    assert was_made
    second, was_made = made("second", runtimes=("onnxruntime",))
    assert (second.folder, was_made) == (first.folder, False)
    np.savez(data, image=random.random((16, 1, 8, 8), np.float32))
    other, was_made = made("third", runtimes=("onnxruntime",))
    assert was_made
    assert other.folder != first.folder
