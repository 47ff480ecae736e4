"""What a runtime needs on this computer to convert models and to run them, and how to get it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from deployx_edge.distributions import installed_version
from deployx_edge.errors import UsageError
from deployx_edge.progress import Progress
from deployx_edge.runtime import find_runtime


@dataclass(frozen=True, kw_only=True)
class Need:
    """One thing that a runtime needs here.

    ``found`` is its version or its place; where it is not ``present``, it says what is wrong, and
    ``remedy`` is the command that mends it.
    """

    name: str
    present: bool
    found: str
    remedy: str = ""


class Setup(Protocol):
    """A runtime's own part of this computer."""

    def needs(self) -> Sequence[Need]:
        """What it needs here; looked up without loading anything of it."""
        ...

    def install(self, progress: Progress) -> str:
        """Install what it needs; a sentence that says what came of it.

        Raises UsageError with the command where only the user's own pip can.
        """
        ...


def checker_version(runtime: str) -> str:
    """The version of what says here whether the runtime takes a model; "" where it is not there."""
    from deployx_edge.runtimes import load_runtime

    checker = find_runtime(runtime).checker
    needs = load_runtime(runtime).setup().needs() if checker else ()
    return next((each.found for each in needs if each.name == checker and not each.remedy), "")


class PackageSetup:
    """``Setup`` of a runtime that is a Python package beside this one."""

    def __init__(self, runtime: str) -> None:
        self._facts = find_runtime(runtime)

    @property
    def command(self) -> str:
        """The pip command that installs it."""
        extra = self._facts.extra
        return f"pip install 'deployx-edge[{extra}]'" if extra else "pip install deployx-edge"

    def needs(self) -> Sequence[Need]:
        """See ``Setup``."""
        version = installed_version(self._facts.package)
        return (
            Need(
                name=self._facts.package,
                present=bool(version),
                found=version or "not installed",
                remedy="" if version else self.command,
            ),
        )

    def install(self, progress: Progress) -> str:
        """See ``Setup``; this program does not change the environment that it runs in."""
        title, package = self._facts.title, self._facts.package
        version = installed_version(package)
        if version:
            return f"{title} is there: {package} {version} lies beside deployx-edge."
        raise UsageError(
            f"{title} is the Python package {package} in the environment of deployx-edge itself, "
            "which only its own pip changes.",
            remedy=f"Run: {self.command}",
        )
