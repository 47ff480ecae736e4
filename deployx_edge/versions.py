"""Versions as numbers that compare."""

from __future__ import annotations

import re

_RELEASE = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})(?![0-9])")


def numbers(version: str) -> tuple[int, ...]:
    """All numbers of a version: 2 and 31 of ``2.31``; ValueError where there is more in it."""
    return tuple(int(part) for part in version.split("."))


def release(version: str) -> str:
    """The first two parts of a version: ``1.29`` of ``1.29.1``."""
    return ".".join(version.split(".")[:2])


def release_numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of whatever a maker calls its version, none where it has none."""
    found = _RELEASE.match(version)
    return (int(found[1]), int(found[2])) if found else ()
