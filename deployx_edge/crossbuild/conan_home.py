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
    if remote_name() in _remotes():
        return []
    root = str(data_folder("recipes").parent)
    argv = (
        str(conan_program()),
        *("remote", "add", "--force", remote_name(), root, "--type=local-recipes-index"),
    )
    return [Command(title="Recipes", argv=argv, environment=tuple(environment().items()))]


def core_options() -> tuple[str, ...]:
    """Conan's settings, said on its command line: where the source archives lie, no questions."""
    return (
        f"--core-conf=core.sources:download_cache={source_cache()}",
        "--core-conf=core:non_interactive=True",
    )


def _remotes() -> set[str]:
    try:
        document = json.loads((conan_home() / "remotes.json").read_text(encoding="utf-8"))
        return {row["name"] for row in document["remotes"]}
    except (OSError, ValueError, KeyError):
        return set()
