"""A folder that stands in for Qualcomm's SDK: tools of the documented names and command lines.

Written for these tests from Qualcomm's public documentation, and never shipped. Its tools compute
by ONNX and ONNX Runtime, and its DLC holds an ONNX model: nothing here says what a real SDK
computes, only whether we call one as its documentation says, and what becomes of its failures.
"""

from __future__ import annotations

import shutil
import site
import sys
from pathlib import Path

import pytest

from deployx_edge.config import user_file
from deployx_edge.progress import silent
from deployx_edge.qairt import VARIABLES
from deployx_edge.runtimes import load_runtime

VERSION = "2.39.0.250926"
TOOLS = Path(__file__).parent / "tools.py"
NEW = ("qairt-converter", "qairt-quantizer", "qairt-dlc-info")
OLD = ("snpe-onnx-to-dlc", "snpe-dlc-quant", "snpe-dlc-info", "snpe-net-run")


def make_sdk(
    folder: Path, *, names: tuple[str, ...] = (*NEW, *OLD), version: str = VERSION
) -> Path:
    """An SDK with these tools, unpacked there."""
    place = folder / "bin" / "x86_64-linux-clang"
    place.mkdir(parents=True)
    for name in names:
        copy_tool(place / name)
    copy_tool(folder / "bin" / "check-python-dependency")
    modules = folder / "lib" / "python"
    modules.mkdir(parents=True)
    packages = [path for path in site.getsitepackages() if path.startswith(sys.prefix)]
    (modules / "packages.txt").write_text("\n".join(packages) + "\n")
    (folder / "sdk.yaml").write_text(f"name: stand-in\nversion: {version}\n")
    return folder


def install_sdk(base: Path) -> dict[str, str]:
    """An SDK with the environment of its tools, and the variables that name both."""
    environment = {
        VARIABLES[0]: str(make_sdk(base / "sdk")),
        "XDG_CACHE_HOME": str(base / "cache"),
        "XDG_CONFIG_HOME": str(base / "settings"),
    }
    with pytest.MonkeyPatch.context() as patch:
        for key, value in environment.items():
            patch.setenv(key, value)
        user_file().parent.mkdir(parents=True)
        user_file().write_text(f'[toolchains.qualcomm]\npython = "{quick_python(base)}"\n')
        said = load_runtime("snpe").setup().install(silent)
    assert f"SNPE {VERSION} is there" in said
    return environment


def quick_python(folder: Path) -> Path:
    """The Python that environments are made with: without pip, which takes most of the time."""
    path = folder / "python"
    leave_out = 'test "$1" = -m && set -- "$@" --without-pip'
    path.write_text(f'#!/bin/sh\n{leave_out}\nexec {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


def copy_tool(path: Path) -> None:
    shutil.copyfile(TOOLS, path)
    path.chmod(0o755)
