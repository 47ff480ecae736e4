"""Where TensorRT-RTX's parser lies: beside deployx-edge, else in an environment of its own.

Whoever wants it beside deployx-edge installs the extra; ``runtimes install`` changes nothing there.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from deployx_edge.distributions import installed_version
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes.environment import Environment

NAME = __package__.rpartition(".")[2]
PACKAGE = find_runtime(NAME).checker
INSTALL = f"deployx-edge runtimes install {NAME}"
ENVIRONMENT = Environment(name=NAME, requirements=Path(__file__).with_name("requirements.txt"))
_MODULE = "tensorrt_rtx_bindings"
_ANEW = f"deployx-edge clean environments, then {INSTALL}"


def is_beside() -> bool:
    """Whether it lies beside deployx-edge, where it goes before one in its own environment."""
    return find_spec(_MODULE) is not None


def is_installed() -> bool:
    """Whether it is there to be asked."""
    return is_beside() or not ENVIRONMENT.problem()


def version() -> str:
    """Its version, "" where it is not there."""
    if is_beside():
        return installed_version(PACKAGE)
    return ENVIRONMENT.version_of(PACKAGE) if is_installed() else ""


def python() -> list[str | Path]:
    """The words that start a Python which has it."""
    return [sys.executable] if is_beside() else [ENVIRONMENT.python, "-I"]


def remedy() -> str:
    """What to do where it is there and does not load."""
    if not is_beside():
        return f"Install it anew: {_ANEW}."
    extra = find_runtime(NAME).extra
    return (
        f"Install it again: pip install 'deployx-edge[{extra}]'; or remove it: pip uninstall "
        f"{PACKAGE}"
    )
