"""The chip that files are made for, asked of a board: of this computer, which tells what we say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge.bundle import bundle_digest, load_bundle
from deployx_edge.device import Device
from deployx_edge.errors import UnfitDeviceError, UsageError
from deployx_edge.workflows.boards.asked_chip import ask_chip, chip_runtime
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.test_examples import ROOT, deployx
from tests.runtimes import missing

DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"
# In a mount namespace of its own, where the firmware tells what boards' firmware does.
_AS_BOARD = """set -e
mount -t tmpfs none /sys/firmware
mkdir -p /sys/firmware/devicetree/base
printf '%s' "$1" > /sys/firmware/devicetree/base/model
printf 'qcom,board\\0%s\\0' "$2" > /sys/firmware/devicetree/base/compatible
shift 2
exec "$@"
"""


def on_board(*words: object, model: str, chip: str) -> subprocess.CompletedProcess[str]:
    namespace = ["unshare", "--mount" if os.geteuid() == 0 else "--map-root-user", "--mount"]
    start = [*namespace, "sh", "-c", _AS_BOARD, "sh", model, chip]
    program = [sys.executable, "-m", "deployx_edge", *map(str, words)]
    return subprocess.run([*start, *program], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module", autouse=True)
def needs_namespaces() -> None:
    tried = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"unshare -m is not allowed here: {tried.stderr.decode().strip()}")


@pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
def test_files_are_made_for_the_chip_that_the_board_tells_and_run_on_no_other(
    tmp_path: Path,
) -> None:
    words = ("convert", DIGITS, "--runtime", "qnn", "--soc-of", "local:", "--no-verify")
    made = tmp_path / "b"
    done = on_board(*words, "-o", made, model="Some phone", chip="qcom,sm8650")
    assert done.returncode == 0, done.stderr
    bundle = load_bundle(made)
    assert bundle.soc == "sm8650"
    assert "context" in [file.role for file in bundle.files]
    few = ("bench", made, "--device", "local:", "--iterations", "1", "--no-link")
    done = on_board(*few, model="Another phone", chip="qcom,sm8550")
    assert done.returncode == UnfitDeviceError.exit_code
    said = done.stderr.splitlines()[-1]
    assert "its files are for the chip sm8650, the board has sm8550" in said
    assert "Make it once more with --soc sm8550." in said
    done = on_board(*few, model="Some phone", chip="qcom,sm8650")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
@pytest.mark.parametrize("others", ["", ",onnxruntime"])
def test_push_and_bench_asks_the_board_that_it_measures(
    others: str, request: pytest.FixtureRequest
) -> None:
    """Also in a table with a runtime whose files are for all chips."""
    if others and not request.config.getoption("--all"):
        pytest.skip("a table of candidates goes with --all")
    words = ("push-and-bench", DIGITS, "--device", "local:", "--iterations", "1", "--no-link")
    words += ("--runtime", f"qnn{others}", "--json")
    done = on_board(*words, model="Some phone", chip="qcom,sm8650")
    assert done.returncode == 0, done.stderr
    assert "Files for QNN are made for sm8650, the chip of local:" in done.stderr
    results = json.loads(done.stdout)["results"]
    found = {each["model"]["runtime"]: each["model"]["bundle_sha256"] for each in results}
    options = BundleOptions(runtime="qnn", soc="sm8650", precision="fp32" if others else None)
    assert found["qnn"] == bundle_digest(make_bundle(DIGITS, options=options))
    assert len(found) == 1 + bool(others)


@pytest.mark.skipif(bool(missing("qnn")), reason=missing("qnn"))
@pytest.mark.parametrize("precisions", ["fp32", "fp32,fp16"])
@pytest.mark.parametrize("command", ["profile", "evaluate"])
def test_other_commands_ask_the_board_that_they_run_on(
    command: str, precisions: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Where nobody names a chip."""
    several = precisions.count(",")
    if several and not request.config.getoption("--all"):
        pytest.skip("several precisions go with --all")
    told = "Files for QNN are made for sm8650, the chip of local:"
    few: tuple[object, ...] = ("--iterations", "1")
    if command == "evaluate":
        few = ("--dataset", DIGITS.with_name("digits_test.npz"), "--limit", "8")
    words = (command, DIGITS, "--device", "local:", "--runtime", "qnn", "--precision", precisions)
    done = on_board(*words, *few, "--json", model="Some phone", chip="qcom,sm8650")
    assert done.returncode == 0, done.stderr
    assert told in done.stderr
    if command == "evaluate":
        done = on_board(*words, *few, "--soc", "sm8550", model="Some phone", chip="qcom,sm8650")
        assert told not in done.stderr
        assert "its files are for the chip sm8550, the board has sm8650" in done.stderr
        return
    options = BundleOptions(runtime="qnn", soc="sm8650", precision="fp32" if several else None)
    bundle = make_bundle(DIGITS, options=options)
    document = json.loads(done.stdout)
    assert document["result"]["model"]["bundle_sha256"] == bundle_digest(bundle)
    assert len(document.get("against", ())) == several


def test_a_chip_that_no_files_are_made_for_is_told_with_those_there_are(tmp_path: Path) -> None:
    words = ("convert", DIGITS, "--runtime", "qnn", "--soc-of", "local:")
    done = on_board(*words, "-o", tmp_path / "b", model="Old phone", chip="qcom,msm8916")
    assert done.returncode == UnfitDeviceError.exit_code
    last = done.stderr.splitlines()[-1]
    assert "local: has no chip that QNN makes files for: it tells 'Old phone (qcom,msm8916)" in last
    assert "sm8550" in last
    assert not (tmp_path / "b").exists()


def test_a_board_that_tells_no_chip_is_said_so() -> None:
    with pytest.raises(UnfitDeviceError, match=r"makes files for: it tells") as caught:
        ask_chip(Device(name="here", uri="local:"), "rknn")
    assert "rk3588" in caught.value.remedy


def test_one_runtime_that_makes_files_for_a_chip_is_asked_for() -> None:
    assert chip_runtime(["ncnn", "qnn"]) == "qnn"
    with pytest.raises(UsageError, match="are for all chips") as caught:
        chip_runtime(["ncnn", "onnxruntime"])
    assert "qnn, rknn" in caught.value.remedy
    with pytest.raises(UsageError, match="qnn and rknn name chips differently"):
        chip_runtime(["qnn", "rknn"])
    done = deployx("convert", DIGITS, "-o", "b", "--soc", "sm8550", "--soc-of", "local:", code=2)
    assert "--soc names a chip, and --soc-of asks a board for one" in done.stderr
