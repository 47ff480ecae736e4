"""Every command with its options, by the words that call it (the program reads only one), and what
one answers in this process."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from deployx_edge.cli import app
from deployx_edge.errors import DeployxError

_GROUPS = {"": app.COMMANDS, "devices ": app.DEVICES, "sources ": app.SOURCES}
_GROUPS |= {"runtimes ": app.RUNTIMES, "sysroot ": app.SYSROOT}


def whole_commands() -> dict[str, Any]:
    return {
        group + name: app._read(name, function)
        for group, functions in _GROUPS.items()
        for name, function in functions.items()
    }


def answer_to(*words: object, code: int = 0) -> str:
    """Runs a command, which ends with that code; its standard output, or the error as told."""
    done = CliRunner().invoke(app.app, [str(word) for word in words])
    error = done.exception if isinstance(done.exception, DeployxError) else None
    found = error.exit_code if error else done.exit_code
    assert found == code, done.output + repr(done.exception)
    return f"{error.message} {error.remedy}" if error else done.stdout
