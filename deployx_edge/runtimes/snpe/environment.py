"""The Python environment that the SDK's own tools want, which the SDK's own script fills.

Which packages these are differs between releases, so that no list of ours can say it:
``bin/check-python-dependency`` installs what its release was tested with. The environment lies in
the cache under a name of SDK and Python, is made beside its place and renamed when it is whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge import process, scratch
from deployx_edge.config import load_config
from deployx_edge.errors import DeployxError, MissingToolError
from deployx_edge.files import hold_lock
from deployx_edge.progress import Progress, Stage
from deployx_edge.qairt import GET_IT, Sdk, configured_sdk, find_sdk
from deployx_edge.resources import cache_folder
from deployx_edge.runtimes.setup import Need

NAME = __package__.rpartition(".")[2]
INSTALL = f"deployx-edge runtimes install {NAME}"
_PYTHON = (3, 10)  # what releases of SNPE 2 are for, unless deployx.toml names another
_PYTHON_KEY = "toolchains.qualcomm.python in deployx.toml"
_FILLS = "bin/check-python-dependency"
_DONE = "environment.txt"
_TAIL = 6  # lines
_LONGEST = 800


@dataclass(frozen=True, kw_only=True)
class ToolEnvironment:
    """The environment of one SDK's tools."""

    sdk: Sdk

    @property
    def folder(self) -> Path:
        """Where it lies; another SDK or Python has another place."""
        words = f"{self.sdk.folder.resolve()} {self.sdk.version} {load_config().qualcomm.python}"
        digest = hashlib.sha256(words.encode()).hexdigest()[:12]
        return cache_folder() / "environments" / f"{NAME}-{digest}"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    def problem(self) -> str:
        """What is wrong with it, in a few words; "" where it can be used."""
        if not (self.folder / _DONE).is_file():
            return "not installed"
        return "" if self.python.exists() else "the Python that it was made with is gone"

    def make(self, progress: Progress) -> None:
        """Make it, or leave it where it can be used; MissingToolError where it cannot be made."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        waiting = Stage(text="Waiting for another installation on this computer")
        lock = self.folder.with_name(f"{NAME}.lock")
        with hold_lock(lock, lambda: progress(waiting)):
            if not self.problem():
                return
            if self.folder.exists():
                shutil.rmtree(self.folder)
            with scratch.beside(self.folder) as made:
                self._fill(made, progress)
                scratch.put_in_place(made, self.folder)

    def _fill(self, made: Path, progress: Progress) -> None:
        script = self.sdk.folder / _FILLS
        if not script.is_file():
            raise MissingToolError(
                f"The SDK in {self.sdk.folder} has no {_FILLS}, which says what its tools need.",
                remedy="Unpack the SDK's archive again.",
            )
        progress(Stage(text=f"Making an environment for {NAME}"))
        process.run([find_python(), "-m", "venv", made])
        progress(Stage(text=f"The SDK's own {script.name} installs what its tools need"))
        lines: list[str] = []
        first = os.pathsep.join((str(made / "bin"), self.sdk.environment["PATH"]))
        env = {**self.sdk.environment, "PATH": first, "VIRTUAL_ENV": str(made)}
        if process.run_lines([made / "bin" / "python", script], lines.append, cwd=made, env=env):
            said = " ".join(line.strip() for line in lines[-_TAIL:] if line.strip())
            raise MissingToolError(
                f"The SDK's {script.name} failed: {said[-_LONGEST:]}",
                remedy="Where there is no network, run it again once there is; pip's own settings "
                "(index, proxy, certificates) hold.",
            )
        (made / _DONE).write_text(f"{self.sdk.folder} {self.sdk.version}\n", encoding="utf-8")


def find_python() -> Path:
    """The Python for the SDK's tools; MissingToolError where there is none."""
    named = load_config().qualcomm.python
    if named is None and sys.version_info[:2] == _PYTHON:
        return Path(sys.executable)
    text = ".".join(map(str, _PYTHON))
    found = named or process.find_program(f"python{text}")
    try:
        if found is not None and process.run([found, "-c", ""], check=False).returncode == 0:
            return found
    except (DeployxError, OSError):
        pass
    where = f"{_PYTHON_KEY} names {found}, which does not start" if named else "it was not found"
    raise MissingToolError(
        f"Qualcomm's tools run in a Python of their own, mostly {text}: {where}.",
        remedy=f"Install Python {text}, or name it: {_PYTHON_KEY}.",
    )


def require_tools() -> ToolEnvironment:
    """The environment of the configured SDK; MissingToolError where one of both is missing."""
    environment = ToolEnvironment(sdk=find_sdk())
    problem = environment.problem()
    if problem:
        raise MissingToolError(
            f"The tools of SNPE {environment.sdk.version} run in an environment of their own: "
            f"{problem}.",
            remedy=f"Install it with: {INSTALL}",
        )
    return environment


class SdkSetup:
    """``Setup`` of the SDK (see ``runtimes.setup``)."""

    def needs(self) -> Sequence[Need]:
        """See ``Setup``."""
        sdk, need = _sdk_need()
        if sdk is None:
            found, remedy = "it needs the SDK", ""
        else:
            problem = ToolEnvironment(sdk=sdk).problem()
            found, remedy = problem or "installed", INSTALL if problem else ""
        return need, Need(
            name="the SDK's Python packages",
            present=found == "installed",
            found=found,
            remedy=remedy,
        )

    def install(self, progress: Progress) -> str:
        """See ``Setup``; the SDK itself only its maker hands out."""
        environment = ToolEnvironment(sdk=find_sdk())
        environment.make(progress)
        return (
            f"SNPE {environment.sdk.version} is there ({environment.sdk.folder}); its tools run in "
            f"an environment of their own: {environment.folder}."
        )


def _sdk_need() -> tuple[Sdk | None, Need]:
    name = "Qualcomm's SDK (QAIRT)"
    try:
        sdk = find_sdk()
    except DeployxError as error:
        nothing = configured_sdk() is None
        found = "not configured" if nothing else error.message.rstrip(".")
        remedy = GET_IT if nothing else error.remedy.rstrip(".")
        return None, Need(name=name, present=False, found=found, remedy=remedy)
    found = f"{sdk.version}, {sdk.folder}"
    return sdk, Need(name=name, present=True, found=found)
