"""What a command waits for where the bundle is in the cache already."""

import subprocess
import sys

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
