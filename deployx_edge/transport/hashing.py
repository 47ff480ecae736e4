"""The name of a content: its sha256."""

from __future__ import annotations

import hashlib
from pathlib import Path

_HASH_BYTES = 1 << 20


def file_sha256(path: Path) -> str:
    """The hash of a file's content, in lower-case hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while chunk := source.read(_HASH_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
