"""Threads of an emulated board that wait for each other wake up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge import process
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target

AGENT = data_folder("device_agent")
SOURCES = ("tests/emulated/team.cpp", "workers/ncnn/fork_join.cpp", "common/processors.cpp")
LOOPS = 1_000_000
AT_ONCE = 3


def test_a_team_never_sleeps_for_ever(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """qemu reorders what AArch64 does not (see fork_join.cpp): of three such runs two hung."""
    if not pytestconfig.getoption("--all"):
        pytest.skip("an emulator takes minutes for a million loops: --all")
    emulator = process.find_program(find_target("linux-arm64").qemu)
    if emulator is None:
        pytest.skip("qemu-aarch64-static (qemu-user-static) is not installed")
    program = tmp_path / "team"
    compiler = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-musl"]
    flags = ["-std=c++17", "-O2", f"-I{AGENT}", "-o", str(program)]
    files = [str(AGENT / name) for name in (*SOURCES, "common/text.cpp")]
    subprocess.run([*compiler, *flags, *files], check=True)
    running = [
        subprocess.Popen([emulator, program, str(LOOPS)], stdout=subprocess.PIPE, text=True)
        for _ in range(AT_ONCE)
    ]
    try:
        answers = [each.communicate(timeout=1200)[0] for each in running]
    finally:
        for each in running:
            each.kill()
    assert answers == [f"{2 * LOOPS}\n"] * AT_ONCE
