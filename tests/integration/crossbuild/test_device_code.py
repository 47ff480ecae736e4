"""Kernels for GPUs are compiled without CUDA, and to GPUs' own code where there is a ptxas."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge.crossbuild import device_code
from deployx_edge.crossbuild.device_code import assemblers
from deployx_edge.operator_facts import all_operators, operators_folder
from deployx_edge.operator_runtimes import device_runtimes
from deployx_edge.resources import data_folder

DEVICE_AGENT = data_folder("device_agent")
SCRIPT = DEVICE_AGENT / "cmake" / "device_code.py"
IMAGE = re.compile(r'\{"(\w*)", (kImage\d)\}')
KERNELS = [DEVICE_AGENT / "operators" / "whole_numbers.cu"]
KERNELS += [
    facts.folder / "kernel.cu"
    for facts in all_operators().values()
    if set(facts.runtimes).intersection(device_runtimes())
]


def compiled(
    source: Path, header: Path, *words: object, name: str = "op"
) -> subprocess.CompletedProcess[str]:
    includes = ("--include", DEVICE_AGENT, "--include", operators_folder())
    command = [sys.executable, SCRIPT, name, source, header, *includes, *words]
    return subprocess.run([*map(str, command)], check=False, capture_output=True, text=True)


def images(header: Path) -> dict[str, bytes]:
    """What the header holds, by GPU."""
    text = header.read_text(encoding="utf-8")
    found = {}
    for gpu, name in IMAGE.findall(text):
        (body,) = re.findall(rf"{name}\[\] = \{{(.*?)\}};", text, re.S)
        found[gpu] = bytes(int(each) for each in body.split(","))
    return found


@pytest.mark.parametrize("source", KERNELS, ids=lambda path: path.parent.name)
def test_every_kernel_is_compiled_for_gpus(source: Path, tmp_path: Path) -> None:
    header = tmp_path / "op_device.h"
    programs = [word for each in assemblers() for word in ("--ptxas", each.path)]
    done = compiled(source, header, *programs)
    assert done.returncode == 0, done.stderr
    made = images(header)
    text = made[""].decode()
    assert ".version 7.4" in text and ".target sm_72" in text
    assert text.endswith("\0")
    # Nothing is left to be linked: there is no library of CUDA's for that.
    assert ".extern" not in text
    for function in re.findall(r"call\.uni (?:\(\w+\), )?(\w+)", text):
        body = rf"\.func [^;{{]*\b{function}\s*\([^)]*\)[^;{{]*\{{"
        assert re.search(body, text), f"{function} is called and not there"
    entries = re.findall(r"\.entry (\w+)\(", text)
    assert entries
    for gpu in set(made) - {""}:
        assert made[gpu].startswith(b"\x7fELF")
        assert all(entry.encode() in made[gpu] for entry in entries)
    known = {each.version for each in assemblers()}
    assert ("sm_87" in made) == bool(known)
    assert ("sm_72" in made) == any(float(version) < 13 for version in known)


def test_a_kernel_that_does_not_compile_is_told_by_the_compiler(tmp_path: Path) -> None:
    source = tmp_path / "kernel.cu"
    source.write_text('#include "operators/device.h"\nDX_KERNEL(broken, Missing) {}\n')
    done = compiled(source, tmp_path / "op_device.h")
    assert done.returncode == 1
    assert "unknown type name 'Missing'" in done.stderr
    assert not (tmp_path / "op_device.h").exists()


def test_an_assembler_that_does_not_run_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / device_code.PROGRAM
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setenv("PATH", str(tmp_path))
    device_code.assemblers.cache_clear()
    try:
        assert assemblers() == ()
        program.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 11.8, V11.8.89'\n")
        device_code.assemblers.cache_clear()
        assert [(each.path, each.version) for each in assemblers()] == [(program, "11.8")]
    finally:
        device_code.assemblers.cache_clear()


def test_an_operator_for_gpus_without_kernels_is_named(tmp_path: Path) -> None:
    from deployx_edge.errors import BuildError
    from deployx_edge.operator_file import read_operator

    assert device_runtimes() == ("tensorrt",)
    shutil.copytree(operators_folder() / "deform_conv", tmp_path / "deform_conv")
    (tmp_path / "deform_conv" / "device.h").unlink()
    with pytest.raises(BuildError, match=r"computes on a GPU, but there is no device\.h"):
        read_operator(tmp_path / "deform_conv" / "op.toml")
