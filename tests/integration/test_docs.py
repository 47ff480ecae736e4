"""What the documents show is run."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge.sources.onnx.file import read_onnx
from tests.runtimes import missing

ROOT = Path(__file__).parents[2]


def test_the_python_examples_run():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(), re.S)
    code = "".join(blocks)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:2]] == [["1", "fp32"], ["2", "fp32"]]
    assert all(float(line.split()[2]) > 0 for line in lines[:2])
    assert lines[2:] == ["{'scores': (1, 10)}"] * 3


def run_commands(page, folder):
    """Run what the page's blocks of commands say, in a folder where the examples lie."""
    (folder / "examples").symlink_to(ROOT / "examples")
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S)
    commands = [line for block in blocks for line in block.splitlines()]
    for command in commands:
        words = shlex.split(command)
        assert words[0] in ("deployx-edge", "python")
        module = [] if words[0] == "python" else ["-m", "deployx_edge"]
        done = subprocess.run(
            [sys.executable, *module, *words[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    return len(commands)


def test_the_way_from_pytorch_runs_as_it_is_written(tmp_path):
    assert run_commands("from-pytorch.md", tmp_path) == 7
    assert (tmp_path / "error.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "detections.npz").is_file()


def test_boards_are_named_and_shared_as_it_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "deployx.toml").touch()
    assert run_commands("devices.md", tmp_path) == 6


def test_presets_are_used_as_it_is_written(tmp_path):
    assert run_commands("presets.md", tmp_path) == 2
    assert (tmp_path / "digits" / "bundle.json").is_file()


def test_accuracy_is_measured_as_it_is_written(tmp_path):
    assert run_commands("accuracy-on-your-board.md", tmp_path) == 3


def test_runs_are_compared_as_it_is_written(tmp_path):
    assert run_commands("comparing-runs.md", tmp_path) == 4
    assert (tmp_path / "before.json").is_file()


def test_runtimes_are_held_side_by_side_as_it_is_written(tmp_path):
    assert run_commands("which-runtime.md", tmp_path) == 2
    made = {path.name for path in (tmp_path / "both").iterdir()}
    runtimes, precisions = ("ncnn", "onnxruntime"), ("fp32", "fp16")
    assert made == {f"{name}-{each}" for name in runtimes for each in precisions}


def test_the_detector_becomes_an_onnx_file_by_one_command(tmp_path):
    page = (ROOT / "examples/detector/README.md").read_text()
    command = next(line for line in page.splitlines() if line.startswith("python -m examples."))
    words = [sys.executable, *shlex.split(command)[1:]]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    source = read_onnx(tmp_path / "detector.onnx", {})
    assert [(each.name, each.shape) for each in source.inputs] == [("image", (1, 3, 128, 128))]
    assert source.output_names == ("boxes", "scores")


def test_quantizing_goes_as_it_is_written(tmp_path):
    assert run_commands("quantize.md", tmp_path) == 6
    assert (tmp_path / "digits-searched" / "bundle.json").is_file()


@pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
def test_an_npu_is_emulated_as_it_is_written(tmp_path):
    assert run_commands("qualcomm.md", tmp_path) == 4
    assert (tmp_path / "digits-npu" / "bundle.json").is_file()


def test_models_for_tensorrt_are_made_as_it_is_written(tmp_path):
    assert run_commands("jetson.md", tmp_path) == 2
    assert (tmp_path / "digits-tensorrt-int8" / "bundle.json").is_file()


def test_what_a_model_finds_is_run_as_it_is_written(tmp_path):
    assert run_commands("run.md", tmp_path) == 2
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {
        *("digit_3.png", "digit_5.png", "digit_8.png")
    }


@pytest.mark.skipif(bool(missing("rknn")), reason=missing("rknn"))
def test_rockchip_is_simulated_as_it_is_written(tmp_path):
    assert run_commands("rockchip.md", tmp_path) == 6
    assert (tmp_path / "digits-int8" / "digits_cnn.rknn").is_file()
