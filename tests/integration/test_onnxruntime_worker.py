"""The worker of ONNX Runtime by itself: no trace, no word to anybody, and what it refuses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployx_edge.crossbuild.finished import read_build
from deployx_edge.resources import dist_folder
from tests.integration.test_examples import ROOT, deployx

DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"


@pytest.fixture(scope="module")
def words() -> list[str]:
    """The worker alone, for as long as a second."""
    folder = dist_folder("linux-x64")
    if not (folder / "dx-worker-onnxruntime").exists():
        pytest.skip("linux-x64 is not built: deployx-edge build --target linux-x64")
    build = read_build(folder)
    library, _ = build.libraries("onnxruntime")
    files = ["--file", f"onnx={DIGITS}", "--library", str(folder / library.name)]
    return [str(build.worker("onnxruntime")), "--bare", *files, "--input", "image=1x1x8x8"]


def _sockets(pid: int) -> Iterator[str]:
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            place = str(entry.readlink())
        except OSError:
            continue  # Closed meanwhile.
        if place.startswith("socket:"):
            yield place


def test_it_leaves_no_file_and_opens_no_socket(words: list[str], tmp_path: Path) -> None:
    """ONNX Runtime keeps an id of the device below the home folder, unless it is told not to."""
    home, work, temporary = (tmp_path / name for name in ("home", "work", "temporary"))
    for folder in (home, work, temporary):
        folder.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "XDG_DATA_HOME")}
    kept.pop("ORT_DISABLE_TELEMETRY", None)
    environment = {**kept, "HOME": str(home), "TMPDIR": str(temporary)}
    beside = sorted(path.name for path in dist_folder("linux-x64").iterdir())
    seen: set[str] = set()
    lines = 0
    with subprocess.Popen(
        [*words, "--seconds", "1"],
        cwd=work,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout is not None
        for _ in child.stdout:
            lines += 1
            if lines % 1000 == 1:
                seen.update(_sockets(child.pid))
    assert child.returncode == 0
    assert lines > 100
    assert seen == set()
    assert [path for folder in (home, work, temporary) for path in folder.rglob("*")] == []
    assert sorted(path.name for path in dist_folder("linux-x64").iterdir()) == beside


def test_options_of_other_runtimes_and_other_runtimes_bundles_are_refused(tmp_path: Path) -> None:
    words = ("bench", DIGITS, "-d", "local:", "--runtime", "onnxruntime")
    done = deployx(*words, "--option", "fp16_storage=on", code=2)
    assert "fp16_storage is an option of ncnn" in done.stderr
    done = deployx(*words, "--option", "spining=off", code=2)
    assert "spinning" in done.stderr
    done = deployx("bench", DIGITS, "-d", "local:", "--runtime", "onnxrutime", code=2)
    assert "There is no runtime 'onnxrutime'. Did you mean onnxruntime" in done.stderr
    deployx("convert", DIGITS, "-o", tmp_path / "digits")
    done = deployx("bench", tmp_path / "digits", "-d", "local:", "--runtime", "onnxruntime", code=2)
    assert "is a bundle for ncnn, not for onnxruntime." in done.stderr
