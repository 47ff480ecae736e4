"""``dataset.yaml``: what a bare path cannot say of a data set."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployx_edge.errors import UsageError
from deployx_edge.files import SMALL, parse_yaml, read_text

KINDS = ("folder", "csv", "npz", "coco", "masks")
_KEYS = ("kind", "path", "images", "labels", "classes")


@dataclass(frozen=True, kw_only=True)
class Description:
    """A data set as its file describes it; paths are resolved, None where not given.

    ``kind`` is one of KINDS; ``path`` the folder or file itself; ``images`` the folder of its
    images and ``labels`` that of its masks; ``classes`` the names of what it numbers.
    """

    kind: str
    path: Path | None
    images: Path | None
    labels: Path | None
    classes: tuple[str, ...]


def read_description(path: Path) -> Description:
    """The description in a YAML file; UsageError for anything that it cannot say."""
    try:
        data = parse_yaml(read_text(path, most=SMALL))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path} cannot be read as YAML: {reason}.") from error
    if not isinstance(data, dict):
        raise UsageError(f"{path} is not a mapping.", remedy=f"Its keys are {', '.join(_KEYS)}.")
    stray = next((key for key in data if key not in _KEYS), None)
    if stray is not None:
        near = difflib.get_close_matches(str(stray), _KEYS, n=1, cutoff=0.6)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(
            f"{path} has the unknown key '{stray}'.{meant}",
            remedy=f"Its keys are {', '.join(_KEYS)}.",
        )
    if data.get("kind") not in KINDS:
        raise UsageError(f"The kind in {path} is {data.get('kind')}, not {' or '.join(KINDS)}.")
    kind = str(data["kind"])
    found = Description(
        kind=kind,
        path=_path(path, data, "path"),
        images=_path(path, data, "images"),
        labels=_path(path, data, "labels"),
        classes=_classes(path, data.get("classes")),
    )
    if found.path is None and not (kind == "masks" and found.images and found.labels):
        needed = "path, or images and labels" if kind == "masks" else "path"
        raise UsageError(f"{path} does not say where the data set is.", remedy=f"Add {needed}.")
    if found.classes and kind not in ("npz", "masks"):
        raise UsageError(f"{path} names classes; a data set of the kind {kind} has its own names.")
    return found


def _path(path: Path, data: dict[str, Any], key: str) -> Path | None:
    word = data.get(key)
    if word is None:
        return None
    if not isinstance(word, str) or not word:
        raise UsageError(f"'{key}' in {path} is not a path.")
    found = path.parent / word
    if "\\" in word and not found.exists():  # written on Windows
        found = path.parent / word.replace("\\", "/")
    if not found.exists():
        raise UsageError(f"{path} names {found} as its {key}, and there is nothing.")
    return found


def _classes(path: Path, words: object) -> tuple[str, ...]:
    if words is None:
        return ()
    if not isinstance(words, list) or not all(isinstance(word, str | int) for word in words):
        raise UsageError(f"'classes' in {path} is not a list of names.")
    return tuple(str(word) for word in words)
