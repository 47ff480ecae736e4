"""An environment of a runtime's own: Python packages that cannot lie beside ours.

It lies in the cache below a name of what it holds, is made beside its place and renamed, so that
one that is there is whole. What was downloaded before a network broke is not downloaded again.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deployx_edge import process, scratch
from deployx_edge.errors import DeployxError, MissingToolError
from deployx_edge.files import hold_lock
from deployx_edge.progress import Progress, Share, Stage
from deployx_edge.resources import cache_folder

_STATE = "environment.json"
_FOLDER = "environments"
_TAIL = 6  # lines of pip's output in an error
_AS_LISTED = ("--no-deps", "--require-hashes", "--only-binary", ":all:")
_QUIET = ("--disable-pip-version-check", "--no-input", "--progress-bar", "off")


@dataclass(frozen=True, kw_only=True)
class Borrowed:
    """A large package that is taken as it is from our own environment, by links.

    ``modules`` are its folders there. Where ours lacks it, ``requirement`` is installed, with what
    it needs.
    """

    requirement: str
    modules: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What is to be in an environment: ``requirements`` is a file of exact versions with their
    sha256, of everything that is imported but what is ``borrowed``."""

    name: str
    requirements: Path
    borrowed: tuple[Borrowed, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it lies; another list, Python or machine has another place."""
        words = f"{sys.version_info[:2]} {platform.machine()} {self.borrowed}".encode()
        digest = hashlib.sha256(self.requirements.read_bytes() + words).hexdigest()[:12]
        return cache_folder() / _FOLDER / f"{self.name}-{digest}"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.folder / "bin" / "python"

    def version_of(self, package: str) -> str:
        """The version that the list has of a package; "" where it has none."""
        return self._pins().get(package, "").partition("==")[2].partition(" ")[0]

    def problem(self) -> str:
        """What is wrong with it, in a few words; "" where it can be used."""
        if not (self.folder / _STATE).is_file():
            return "not installed"
        if not self.python.exists():
            return f"the Python that it was made with is gone ({self.python.readlink()})"
        state = json.loads((self.folder / _STATE).read_text(encoding="utf-8"))
        for link, place in state["links"].items():
            if not (Path(place) / "__init__.py").is_file():
                return f"{Path(link).name} is gone from {Path(place).parent}"
        return ""

    def make(self, progress: Progress) -> None:
        """Install it, or leave it where it can be used.

        Raises MissingToolError where a package is not available, or Python cannot make it.
        """
        root = self.folder.parent
        root.mkdir(parents=True, exist_ok=True)
        waiting = Stage(text="Waiting for another installation on this computer")
        with hold_lock(root / f"{self.name}.lock", lambda: progress(waiting)):
            if not self.problem():
                return
            wheels = root / f"{self.folder.name}.wheels"
            wheels.mkdir(exist_ok=True)
            with scratch.beside(self.folder) as made:
                self._fill(made, wheels, progress)
                scratch.put_in_place(made, self.folder)
            shutil.rmtree(wheels)
            self._remove_others()

    def _pins(self) -> dict[str, str]:
        """The lines of the list, by package."""
        lines = self.requirements.read_text(encoding="utf-8").splitlines()
        return {line.partition("==")[0]: line for line in lines if line and line[0] != "#"}

    def _fill(self, made: Path, wheels: Path, progress: Progress) -> None:
        progress(Stage(text=f"Making an environment for {self.name}"))
        _make_python(made)
        pins = self._pins()
        for done, (package, line) in enumerate(pins.items()):
            progress(Share(done=done, total=len(pins), of=f"packages, now {package}"))
            _download(made, wheels, package, line)
        progress(Stage(text=f"Installing {len(pins)} packages"))
        of_those = ("--no-index", "--find-links", wheels)
        _pip(made, "install", "--no-compile", *of_those, *_AS_LISTED, "-r", self.requirements)
        links = self._borrow(made, progress)
        text = json.dumps({"name": self.name, "links": links}, indent=1)
        (made / _STATE).write_text(text + "\n", encoding="utf-8")

    def _borrow(self, made: Path, progress: Progress) -> dict[str, str]:
        """Links to our own packages, by their places in it; what ours lacks is installed."""
        (packages,) = made.glob("lib/python*/site-packages")
        links = {}
        for each in self.borrowed:
            places = _own_places(each.modules)
            if not places:
                progress(Stage(text=f"Installing {each.requirement} and what it needs"))
                _pip(made, "install", each.requirement)
            for place in places:
                (packages / place.name).symlink_to(place)
                links[str((packages / place.name).relative_to(made))] = str(place)
        return links

    def _remove_others(self) -> None:
        """Those of other lists or versions, which nothing leads to any more."""
        for entry in self.folder.parent.glob(f"{self.name}-*"):
            if entry != self.folder and entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)


def _own_places(modules: Sequence[str]) -> list[Path]:
    """The folders of modules of our own environment; none where the first of them is missing."""
    places = []
    for module in modules:
        spec = find_spec(module)
        if spec is not None and spec.origin is not None:
            places.append(Path(spec.origin).parent)
        elif not places:
            return []
    return places


def _make_python(folder: Path) -> None:
    """Without a pip of its own, which would take longer than all else: ours installs there."""
    if find_spec("pip") is None:
        raise MissingToolError(
            "pip installs the packages, and is not installed beside deployx-edge.",
            remedy=f"Run: {sys.executable} -m ensurepip",
        )
    process.run([sys.executable, "-m", "venv", "--without-pip", folder])


def _download(environment: Path, wheels: Path, package: str, line: str) -> None:
    """Each alone, as pip keeps nothing of a download that breaks; none that is there already."""
    alone = wheels / f"{package}.txt"
    there = wheels / f"{package}.done"
    if there.is_file() and there.read_text(encoding="utf-8") == line:
        return
    alone.write_text(line + "\n", encoding="utf-8")
    _pip(environment, "download", "-d", wheels, *_AS_LISTED, "-r", alone)
    there.write_text(line, encoding="utf-8")


def _pip(environment: Path, command: str, *words: str | Path) -> None:
    """Run our pip on the environment; MissingToolError with what it said last."""
    lines: list[str] = []
    python = environment / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, command)
    if process.run_lines([*pip, *_QUIET, *words], lines.append):
        raise _refusal([line for line in lines if line.strip()])


def _refusal(lines: Sequence[str]) -> DeployxError:
    said = [line for line in lines if line.startswith("ERROR:")] or lines
    return MissingToolError(
        f"pip could not install the packages: {_last_lines(said)}",
        remedy="Where there is no network, run it again once there is: what was downloaded is "
        "kept. pip's own settings (index, proxy, certificates) hold.",
    )


def _last_lines(lines: Sequence[str]) -> str:
    return " ".join(line.removeprefix("ERROR: ").strip() for line in lines[-_TAIL:])[-800:]
