"""The tool's own Conan home: never the user's, with the recipes of this copy as its one remote."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from deployx_edge import process
from deployx_edge.crossbuild.commands import Command
from deployx_edge.crossbuild.sources import source_cache
from deployx_edge.resources import cache_folder, data_folder

_CENTER = "conancenter"


def conan_home() -> Path:
    """Where Conan keeps recipes and packages; ``DEPLOYX_EDGE_CACHE`` moves it."""
    return cache_folder() / "conan"


def remote_name() -> str:
    """The remote of this copy's recipes; several copies of the project share one home."""
    return f"recipes-{folder_key(data_folder('recipes'))}"


def folder_key(folder: Path) -> str:
    """A short name for a folder's place on this disk."""
    return hashlib.sha256(str(folder).encode()).hexdigest()[:8]


def environment() -> dict[str, str]:
    """What every Conan command gets: its home, and the cmake and ninja that lie beside it."""
    beside = str(conan_program().parent)
    path = os.environ.get("PATH", "")
    if beside not in path.split(os.pathsep):
        path = f"{beside}{os.pathsep}{path}"
    return {"CONAN_HOME": str(conan_home()), "PATH": path}


def conan_program() -> Path:
    """Conan's executable; MissingToolError where it is not installed."""
    return process.require_program("conan", remedy="Run 'pip install conan'.")


def setup_commands() -> list[Command]:
    """What makes the home ready; nothing where it is."""
    remotes = _remotes()
    conan = str(conan_program())
    shared = tuple(environment().items())
    commands: list[Command] = []
    name, root = remote_name(), str(data_folder("recipes").parent)
    if name not in remotes:
        add = (conan, "remote", "add", "--force", name, root, "--type=local-recipes-index")
        commands.append(Command(title="Recipes", argv=add, environment=shared))
    if remotes.get(_CENTER, not (conan_home() / "remotes.json").is_file()):
        disable = (conan, "remote", "disable", _CENTER)
        commands.append(Command(title="No other remote", argv=disable, environment=shared))
    return commands


def write_configuration() -> None:
    """Tell Conan where the source archives lie."""
    path = conan_home() / "global.conf"
    text = f"core.sources:download_cache={source_cache()}\ncore:non_interactive=True\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _remotes() -> dict[str, bool]:
    """Conan's remotes by name, and whether each is enabled."""
    try:
        document = json.loads((conan_home() / "remotes.json").read_text(encoding="utf-8"))
        return {row["name"]: not row.get("disabled", False) for row in document["remotes"]}
    except (OSError, ValueError, KeyError):
        return {}
