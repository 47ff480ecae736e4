"""Every command with its options, by the words that call it: the program reads only one."""

from __future__ import annotations

from typing import Any

from deployx_edge.cli import app

_GROUPS = {"": app.COMMANDS, "devices ": app.DEVICES, "sources ": app.SOURCES}
_GROUPS |= {"runtimes ": app.RUNTIMES, "sysroot ": app.SYSROOT}


def whole_commands() -> dict[str, Any]:
    return {
        group + name: app._read(name, function)
        for group, functions in _GROUPS.items()
        for name, function in functions.items()
    }
