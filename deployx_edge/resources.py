"""The one place that locates the project's own folders, the tool's cache and the user's home.

In a checkout the folders lie beside the package; in an installed wheel they lie
inside it (``deployx_edge/_data``).
"""

from __future__ import annotations

import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

from deployx_edge.errors import DeployxError, UsageError

_PACKAGE = Path(__file__).resolve().parent


def is_checkout() -> bool:
    """Whether the package runs from a source checkout rather than from a wheel."""
    return (_PACKAGE.parent / "toolchains" / "targets.toml").is_file()


def data_folder(name: str) -> Path:
    """The folder ``name`` (``toolchains``, ``recipes``, ``device_agent``, ``ops``)."""
    root = _PACKAGE.parent if is_checkout() else _PACKAGE / "_data"
    return root / name


def expanded(text: str) -> Path:
    """A path that a user wrote, ``~`` and ``~NAME`` as the home folders that they stand for."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"The path '{text}' begins with a home folder that this computer does not know.",
            remedy="Write the path from / on.",
        ) from error


def home_folder() -> Path:
    """The user's."""
    return expanded("~")


def user_name() -> str:
    """The user's, or its number where this computer has no name for it, as in a container."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def available_memory() -> int | None:
    """Bytes that are available without swapping; None where the system does not say."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvail"))
    with suppress(OSError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def cache_folder() -> Path:
    """The tool's own cache (Conan's home, sources, build folders, virtual boards).

    ``DEPLOYX_EDGE_CACHE`` names another place; else the platform's cache folder.
    """
    configured = os.environ.get("DEPLOYX_EDGE_CACHE")
    if configured:
        return expanded(configured).resolve()
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Caches" / "deployx-edge"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else home_folder() / ".cache") / "deployx-edge"


def state_folder() -> Path:
    """What the tool remembers between its runs and can do without, as XDG has it."""
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Application Support" / "deployx-edge"
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else home_folder() / ".local" / "state") / "deployx-edge"


def cache_error(error: OSError) -> DeployxError | None:
    """What to tell where the cache refused to be read or written; None for any other error."""
    folder = cache_folder()
    named = (error.filename, error.filename2)
    paths = [Path(os.fsdecode(name)) for name in named if isinstance(name, (str, bytes))]
    # Making the folder fails at the first of its parents that cannot be made.
    if not any(path.is_relative_to(folder) or folder.is_relative_to(path) for path in paths):
        return None
    return DeployxError(
        f"The cache folder {folder} cannot be used: {error.strerror} ('{paths[0]}').",
        remedy="Name a folder that can be written: DEPLOYX_EDGE_CACHE=FOLDER, or free some space.",
    )


def dist_folder(target_id: str) -> Path:
    """Where the finished binaries of a target lie.

    ``DEPLOYX_EDGE_DIST`` names another place; else ``dist/`` of the checkout, or
    of the cache for an installed tool.
    """
    configured = os.environ.get("DEPLOYX_EDGE_DIST")
    if configured:
        return expanded(configured).resolve() / target_id
    base = _PACKAGE.parent if is_checkout() else cache_folder()
    return base / "dist" / target_id


def host_target_id() -> str:
    """The target id of this computer as Linux sees it, e.g. ``linux-x64``."""
    machine = platform.machine().lower()
    return "linux-arm64" if machine in ("aarch64", "arm64") else "linux-x64"
