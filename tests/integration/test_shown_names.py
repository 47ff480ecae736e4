"""Names that hold a terminal's signs, through the commands as a person types them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import TensorProto, helper

from tests.integration.test_cli import COMMAND, DIGITS

EVIL = "x\x1b[2J\x1b]0;owned\x07\r\x9b31m"


def said(*words: str, cwd: Path, code: int) -> str:
    """All that a command prints, which must be without a sign that a terminal obeys."""
    environment = {**os.environ, "PYTHONUTF8": "1"}
    done = subprocess.run(
        [COMMAND, *words], cwd=cwd, env=environment, capture_output=True, check=False
    )
    text = (done.stdout + done.stderr).decode()
    assert done.returncode == code, text
    assert not [line for line in text.split("\n") if not line.replace("\u00a0", " ").isprintable()]
    return text


def test_names_of_devices(tmp_path: Path) -> None:
    name = EVIL.replace("\x1b", "\\u001b").replace("\x07", "\\u0007").replace("\r", "\\r")
    name = name.replace("\x9b", "\\u009b")
    (tmp_path / "deployx.toml").write_text(
        f'[devices.board]\nuri = "local:"\nwork_folder = "/{name}"\n', encoding="utf-8"
    )
    # A folder is refused, and shown for it.
    assert r"\x1b[2J" in said("devices", "list", "--no-probe", cwd=tmp_path, code=3)


@pytest.mark.parametrize("name", [EVIL, "name\udc80"])
def test_names_of_files(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no model")
    text = said("inspect", name, cwd=tmp_path, code=2)
    assert (r"\x1b[2J" if name == EVIL else r"name\udc80") in text


def test_words_of_the_command_line(tmp_path: Path) -> None:
    assert r"\x1b[2J" in said("bench", f"--{EVIL}", cwd=tmp_path, code=2)


def test_names_inside_models(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info(EVIL, TensorProto.FLOAT, [1, 4])
    out = helper.make_tensor_value_info(f"out{EVIL}", TensorProto.FLOAT, [1, 4])
    node = helper.make_node("Relu", [EVIL], [f"out{EVIL}"], name=f"node{EVIL}")
    graph = helper.make_graph([node], EVIL, [value], [out])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx"
    )
    assert r"\x1b[2J" in said("inspect", "m.onnx", cwd=tmp_path, code=0)


def test_names_inside_npz_files(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "in.npz", **{EVIL: numpy.zeros((1, 1, 8, 8), numpy.float32)})
    words = ("run", str(DIGITS), "--device", "local:", "--input", "in.npz")
    assert "owned" in said(*words, cwd=tmp_path, code=2)
