"""What keeps a model from an accelerator before anything is compiled, calibrated or pushed: each by
the whole command, which says in one sentence what was expected, what was found and what to do.

What a board refuses is in boards/ (test_rknn_board, test_snpe_board, test_tensorrt_board,
test_qnn_arm, test_asked_chip, test_android_board).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge import archives
from deployx_edge.qairt import VARIABLES
from tests.commands import answer_to
from tests.integration.models.onnx_models import model, save, weights
from tests.integration.stand_in_sdk import install_sdk
from tests.integration.test_cli import DIGITS, deployx, refused
from tests.runtimes import missing
from tests.sampling import sampled
from tests.unit.crossbuild.aars import make_aar
from tests.unit.crossbuild.test_board_runtimes import board_files
from tests.unit.crossbuild.test_brought import fill_sdk

JETSON = ("build", "--target", "jetson-arm64", "--runtime", "tensorrt")
SNAPDRAGON = ("build", "--target", "linux-arm64", "--runtime", "snpe")
PHONE = ("build", "--target", "android-arm64", "--runtime", "qnn")
PULL = "deployx-edge sysroot pull --device NAME"


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A command, what of the user's environment it finds (paths below the user's folder), the exit
    code, and words of the sentence that says why and what to do."""

    words: tuple[object, ...]
    code: int
    said: tuple[str, ...]
    variable: str = ""
    value: str = ""


REFUSALS = {
    "no sysroot": Refusal(words=JETSON, code=2, said=("no sysroot was named", PULL)),
    "what is no sysroot": Refusal(
        words=(*JETSON, "--sysroot", "nothing"), code=2, said=("is not a sysroot", PULL)
    ),
    "a sysroot of a newer JetPack": Refusal(
        words=(*JETSON, "--sysroot", "newer", "--jetpack", "5"),
        code=2,
        said=("newer has tensorrt 10.3; JetPack 5 has 8.4 or 8.5", "--jetpack"),
    ),
    "a sysroot of an older JetPack": Refusal(
        words=(*JETSON, "--sysroot", "older", "--jetpack", "6"),
        code=2,
        said=("glibc 2.31, as JetPack 5 has it", "JetPack 6 take glibc 2.35", "--jetpack"),
    ),
    "a sysroot without a library": Refusal(
        words=(*JETSON, "--sysroot", "half"),
        code=2,
        said=("a part of tensorrt only: libcudart.so is missing", "pull the sysroot again"),
    ),
    "no SDK": Refusal(words=SNAPDRAGON, code=4, said=("SDK is not configured", VARIABLES[0])),
    "an SDK of no version": Refusal(
        words=SNAPDRAGON,
        code=4,
        said=("sdk, whose version is unknown: it has no sdk.yaml", "Name the folder as it was"),
        variable=VARIABLES[0],
        value="sdk",
    ),
    "an SDK of another version": Refusal(
        words=("convert", DIGITS, "--runtime", "snpe", "--output", "made"),
        code=4,
        said=("names SNPE 1.68.0.1", "version 2 is wanted", "Name a release of version 2"),
        variable=VARIABLES[1],
        value="old",
    ),
    "an archive of another version": Refusal(
        words=PHONE,
        code=2,
        said=("is of version 3.0.0", "from 1.24.1 on and before 2"),
        variable=archives.VARIABLE,
        value="aars",
    ),
    "few samples": Refusal(
        words=("quantize", DIGITS, "--runtime", "tensorrt", "-o", "made", "--calibration", "7.npz"),
        code=2,
        said=("7.npz gives 7 samples to calibrate on; at least 8 are needed", "a hundred images"),
    ),
    "no samples": Refusal(
        words=("quantize", DIGITS, "--runtime", "tensorrt", "-o", "made", "--calibration", "0.npz"),
        code=2,
        said=("in 0.npz holds no samples",),
    ),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder, where nothing else is configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for variable in (*VARIABLES, archives.VARIABLE, "ANDROID_NDK_HOME"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


def fill(place: Path) -> None:
    board_files(place / "newer", version="10.3", glibc="2.35")
    board_files(place / "older", version="8.5", glibc="2.31")
    board_files(place / "half", version="10.3", glibc="2.35", leave_out=("libcudart.so",))
    (fill_sdk(place / "sdk") / "sdk.yaml").unlink()
    fill_sdk(place / "old", version="1.68.0.1")
    make_aar(place / "aars" / "onnxruntime-android-3.0.0.aar", {})
    images = np.load(DIGITS.with_name("digits_test.npz"))["image"]
    for count in (0, 7):
        np.savez(place / f"{count}.npz", image=images[:count])


def test_what_is_brought_that_does_not_fit_is_one_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """One of them as a program of its own, whose exit code a script reads."""
    fill(place)
    alone = sampled(list(REFUSALS), request.config, 1)
    before = set(place.rglob("*"))
    for name, case in REFUSALS.items():
        with monkeypatch.context() as patch:
            if case.variable:
                patch.setenv(case.variable, str(place / case.value))
            told = answer_to(*case.words, code=case.code)
            assert all(word in told for word in case.said), (name, told)
            if name in alone:
                refused(*case.words, cwd=place, code=case.code, says=case.said[0])
    assert set(place.rglob("*")) == before


def with_determinant(place: Path) -> Path:
    """An operator that TensorRT's parser and QNN have not, behind one that they have."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Det", ["a"], ["d"], "determinant"),
    ]
    made = model(nodes, {"x": (1, 3, 8, 8)}, {"d": (1, 4)}, [weights("w", 4, 3, 3, 3)])
    return save(made, place / "model.onnx")


def with_groups(place: Path) -> Path:
    """What Rockchip's toolkit takes for something else, and ends."""
    more = {"auto_pad": "SAME_LOWER", "group": 4}
    nodes = [helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up", **more)]
    made = model(nodes, {"x": (1, 4, 9)}, {"y": (1, 4, 9)}, [weights("w", 4, 1, 3)])
    return save(made, place / "model.onnx")


def with_digits(place: Path) -> Path:
    """What the SDK's converter that stands in is told to refuse."""
    onnx.save(onnx.load(DIGITS), place / "model.onnx")
    return place / "model.onnx"


CALIBRATED = ("quantize", "model.onnx", "-o", "made", "--calibration", "x.npz", "--runtime")
CONVERTED = ("convert", "model.onnx", "-o", "made", "--runtime")
DET = ("Det", "(node 'determinant')")
# What makes the model, the command, the runtime, what names operator and node.
OPERATORS: list[tuple[Callable[[Path], Path], tuple[str, ...], str, tuple[str, ...]]] = [
    (with_determinant, CONVERTED, "tensorrt", DET),
    (with_determinant, CONVERTED, "qnn", DET),
    (with_groups, CONVERTED, "rknn", ("refuses model.onnx", "(up)", "ConvTranspose")),
    (with_determinant, CALIBRATED, "qnn", DET),
    (with_digits, CONVERTED, "snpe", ("operator 'Conv'", "(node '")),
]


def test_an_operator_that_is_refused_is_named_with_the_way_out(
    place: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """By a program of its own, whose progress says how far it came: not to the calibration."""
    for make, words, runtime, said in sampled(OPERATORS, request.config, 1):
        with monkeypatch.context() as patch:
            if runtime == "snpe":
                for name, value in install_sdk(place / "qualcomm").items():
                    patch.setenv(name, value)
                patch.setenv("DX_STAND_IN_SDK", "refuse")
            elif runtime != "tensorrt" and missing(runtime):  # its parser is a table without one
                pytest.skip(missing(runtime))
            make(place)
            samples = np.random.default_rng(0).random((16, 3, 8, 8), dtype=np.float32)
            np.savez(place / "x.npz", x=samples)
            told = deployx(*words, runtime, cwd=place, code=10).stderr
        sentence = told.strip().splitlines()[-1]
        assert sentence.startswith("error: ")
        assert all(word in sentence for word in (*said, "--partition")), told
        assert not any(word in told for word in ("PPQ", "Traceback"))
        assert not (place / "made").exists()
