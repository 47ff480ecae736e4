"""What the tool finds around it, and what it leaves there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

from deployx_edge import process
from deployx_edge.target import targets

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"
COMMAND = Path(sys.executable).parent / "deployx-edge"


def deployx(*words, cwd, **environment):
    return subprocess.run(
        [COMMAND, *map(str, words)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_is_left_in_the_users_home(tmp_path):
    """ONNX Runtime keeps an identifier and a database there unless it is told not to."""
    home = tmp_path / "home"
    home.mkdir()
    rows = numpy.random.default_rng(0).random((8, 1, 8, 8), numpy.float32)
    numpy.savez(tmp_path / "rows.npz", image=rows, labels=numpy.arange(8))
    settings = {"HOME": str(home), "DEPLOYX_EDGE_CACHE": str(tmp_path / "cache")}
    settings |= dict.fromkeys(("XDG_CACHE_HOME", "XDG_DATA_HOME", "ORT_DISABLE_TELEMETRY"), "")
    for words in (
        ["convert", DIGITS, "--runtime", "onnxruntime", "--precision", "fp16", "-o", "half"],
        ["quantize", DIGITS, "--runtime", "onnxruntime", "--calibration", "rows.npz", "-o", "int8"],
    ):
        done = deployx(*words, cwd=tmp_path, **settings)
        assert done.returncode == 0, done.stderr
    assert [path for path in home.rglob("*") if "onnx" in str(path).lower()] == []
    assert not (home / ".cache" / "Microsoft").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["run", DIGITS, "-d", "local:", "-i", "x.npz"],
        ["build", "--target", "linux-x64"],
        ["devices", "doctor", "local:"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("place", ["file/below", "/proc/nowhere"])
def test_a_cache_that_cannot_be_written_is_told_with_the_remedy(words, place, tmp_path):
    (tmp_path / "file").write_text("no folder")
    cache = tmp_path / place
    # Without a build, which would need nothing of the cache.
    nothing_built = {"DEPLOYX_EDGE_CACHE": str(cache), "DEPLOYX_EDGE_DIST": str(tmp_path / "dist")}
    done = deployx(*words, cwd=tmp_path, **nothing_built)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1
    assert last.startswith(f"error: The cache folder {cache} cannot be used:")
    assert "DEPLOYX_EDGE_CACHE" in last and "internal" not in done.stderr


def test_the_doctor_names_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("no folder")
    done = deployx("doctor", "--json", cwd=tmp_path, DEPLOYX_EDGE_CACHE=str(tmp_path / "file"))
    (cache,) = (c for c in json.loads(done.stdout)["checks"] if c["name"] == "cache")
    assert done.returncode == 4 and not cache["present"]
    assert "DEPLOYX_EDGE_CACHE" in cache["remedy"]


# What each emulated device needs of this computer, by target.
NEEDED = {
    target.id: {target.qemu} | ({"adb"} if target.system == "android" else set())
    for target in targets().values()
}


@pytest.mark.parametrize("missing", ["adb", "qemu-aarch64-static", "qemu-riscv64-static"])
def test_the_doctor_ticks_no_device_whose_program_is_missing(missing, tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in set().union(*NEEDED.values()) - {missing}:
        found = process.find_program(name)
        assert found is not None, name
        (programs / name).symlink_to(found)
    done = deployx("doctor", "--json", cwd=tmp_path, PATH=str(programs))
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    for target, names in NEEDED.items():
        device = checks[f"virtual:{target}"]
        assert device["present"] is (missing not in names)
        assert (missing in device["found"]) is (missing in names)
        assert bool(device["remedy"]) is (missing in names)


def test_boards_on_this_computer_lie_in_the_cache_too(tmp_path):
    assert deployx("convert", DIGITS, "-o", "digits", cwd=tmp_path).returncode == 0
    words = ("bench", "digits", "-d", "local:")
    done = deployx(*words, cwd=tmp_path, DEPLOYX_EDGE_CACHE="/proc/nowhere")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 35
    assert "/proc/nowhere" in last and "DEPLOYX_EDGE_CACHE" in last
