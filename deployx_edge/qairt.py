"""Qualcomm's SDK on this computer (QAIRT, SNPE before that): where it is, and of which version.

Its folders, as releases of SNPE 2 have them: ``bin/x86_64-linux-clang`` (tools),
``lib/x86_64-linux-clang`` and ``lib/python`` (what these load), ``lib/<target>`` and
``lib/hexagon-v*`` (what boards load), ``include/SNPE`` (headers). ``sdk.yaml`` says the version,
and so does the folder's name where that file is missing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.config import load_config
from deployx_edge.errors import MissingToolError
from deployx_edge.files import SMALL, read_text
from deployx_edge.resources import expanded

VARIABLES = ("QAIRT_SDK_ROOT", "SNPE_ROOT")
KEY = "toolchains.qualcomm.sdk in deployx.toml"
GET_IT = (
    "Get the Qualcomm AI Runtime SDK from Qualcomm's software centre (Qualcomm Package Manager, "
    f"with an account of your own), and set {VARIABLES[0]} to its folder, or {KEY}"
)
MAJOR = "2"  # of SNPE, whose C interface came with it
_TOOLS = "bin/x86_64-linux-clang"
_SAID = re.compile(r"^\s*(?:sdk_)?version\s*:\s*[\"']?v?(\d+(?:\.\d+){2,3})", re.MULTILINE)
_NAMED = re.compile(r"(?:.*[-_v])?(\d+(?:\.\d+){2,3})")


@dataclass(frozen=True, kw_only=True)
class Sdk:
    """An SDK that was looked at; ``origin`` says who named it, ``version`` is "2.39.0.250926"."""

    folder: Path
    origin: str
    version: str

    @property
    def tools(self) -> Path:
        """Where its programs for this computer lie."""
        return self.folder / _TOOLS

    @property
    def headers(self) -> Path:
        """Where compilers look for its headers."""
        return self.folder / "include" / "SNPE"

    @property
    def environment(self) -> dict[str, str]:
        """What its own ``envsetup.sh`` sets for its tools."""
        libraries, modules = self.folder / "lib/x86_64-linux-clang", self.folder / "lib/python"
        roots = dict.fromkeys((*VARIABLES, "QNN_SDK_ROOT"), str(self.folder))
        return {
            **roots,
            "PATH": os.pathsep.join((str(self.tools), os.environ.get("PATH", os.defpath))),
            "LD_LIBRARY_PATH": str(libraries),
            "PYTHONPATH": str(modules),
        }


def configured_sdk() -> tuple[Path, str] | None:
    """The folder that is to be used and who says so; None where nobody does.

    The environment counts before ``deployx.toml``. Nothing is looked at.
    """
    for variable in VARIABLES:
        if named := os.environ.get(variable):
            return expanded(named), variable
    configured = load_config().qualcomm.sdk
    return (configured, KEY) if configured is not None else None


def find_sdk() -> Sdk:
    """The configured SDK; MissingToolError where none is, or where it cannot be used."""
    found = configured_sdk()
    if found is None:
        raise MissingToolError(
            "Qualcomm's SDK is not configured; it may not be handed on, so that no package brings "
            "it.",
            remedy=f"{GET_IT}. Models are then converted, quantized and compared on this computer, "
            "and the worker for Snapdragon boards is compiled.",
        )
    return read_sdk(*found)


def read_sdk(folder: Path, origin: str) -> Sdk:
    """Look at an SDK's folder; MissingToolError says what was expected and what is there."""
    folder = folder.absolute()  # its tools run elsewhere
    if not (folder / _TOOLS).is_dir():
        there = "is not a folder" if not folder.is_dir() else f"has no {_TOOLS}"
        raise MissingToolError(
            f"{origin} names {folder}, which is not Qualcomm's SDK: it {there}.",
            remedy="Name the folder of one unpacked release, such as …/qairt/2.39.0.250926.",
        )
    version = _version(folder)
    if not version:
        raise MissingToolError(
            f"{origin} names {folder}, whose version is unknown: it has no sdk.yaml that says "
            "one, and its name has none.",
            remedy="Name the folder as it was unpacked, such as …/qairt/2.39.0.250926.",
        )
    if version.partition(".")[0] != MAJOR:
        raise MissingToolError(
            f"{origin} names SNPE {version} in {folder}; version {MAJOR} is wanted, whose "
            "interface and files differ from others'.",
            remedy=f"Name a release of version {MAJOR}.",
        )
    return Sdk(folder=folder, origin=origin, version=version)


def _version(folder: Path) -> str:
    try:
        said = _SAID.search(read_text(folder / "sdk.yaml", most=SMALL))
    except (OSError, ValueError):
        said = None
    found = said or _NAMED.fullmatch(folder.resolve().name)
    return found[1] if found else ""
