"""Names that ncnn can read: one word each, not too long, none twice."""

from __future__ import annotations

import hashlib
import re

# ncnn reads names by "%255s".
_LONGEST = 200
_UNREADABLE = re.compile(r"[\s\x00-\x1f]")


class Names:
    """Gives out names; those of layers and those of blobs are two sets."""

    def __init__(self) -> None:
        self._layers: set[str] = set()
        self._blobs: set[str] = set()

    def layer(self, wanted: str) -> str:
        """A layer's name, as near to the wanted one as can be."""
        return _unique(wanted, self._layers)

    def blob(self, wanted: str) -> str:
        """A blob's name."""
        return _unique(wanted, self._blobs)


def readable(name: str) -> str:
    """The name as one word; a long one ends in its hash."""
    word = _UNREADABLE.sub("_", name) or "_"
    if len(word.encode()) <= _LONGEST:
        return word
    kept = word.encode()[: _LONGEST - 17].decode(errors="ignore")
    return f"{kept}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _unique(wanted: str, taken: set[str]) -> str:
    word = readable(wanted)
    name, count = word, 1
    while name in taken:
        name = f"{word}_{count}"
        count += 1
    taken.add(name)
    return name
