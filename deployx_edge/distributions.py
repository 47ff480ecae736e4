"""Which versions of Python's packages are installed, in a fraction of a millisecond.

``importlib.metadata`` reads all that a package says of itself, by Python's parser of e-mails: a
short command would take a tenth of its time for it.
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

# Where only the package itself tells its version.
_TOLD = "?"


def installed_version(name: str) -> str:
    """Of a package by the name that it is installed by; "" where it is not."""
    version = _versions(tuple(sys.path)).get(_plain(name))
    return _told_version(name) if version == _TOLD else version or ""


@cache
def _versions(folders: tuple[str, ...]) -> dict[str, str]:
    """As the names of the packages' folders tell them: NAME-VERSION.dist-info.

    ``_TOLD`` for those that old installers left, whose folders are not called so.
    """
    found: dict[str, str] = {}
    for folder in folders:
        for place in Path(folder).glob("*.egg-info"):
            found.setdefault(_plain(place.stem.partition("-")[0]), _TOLD)
        for place in Path(folder).glob("*.dist-info"):
            name, _, version = place.stem.partition("-")
            if found.get(_plain(name), _TOLD) == _TOLD:
                found[_plain(name)] = version
    return found


def _plain(name: str) -> str:
    """As folders spell names, but for capitals."""
    return name.lower().replace("-", "_").replace(".", "_")


def _told_version(name: str) -> str:
    """Of a package that has no such folder, as old installers leave it."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
