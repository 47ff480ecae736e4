"""Ways to one source archive: the registries' clients as they are configured, then upstream.

No registry's address is written here. ``pkg:pypi/…`` is looked up where pip would look,
``pkg:deb/…`` where apt would; ``https:`` is upstream's own address.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from deployx_edge.crossbuild import apt_client, pip_client
from deployx_edge.crossbuild.events import OnEvent, SourceReceived

_BLOCK = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A place that was asked, and what it had instead of the archive."""

    where: str
    found: str


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    where: str
    url: str
    opener: urllib.request.OpenerDirector | None


def fetch_archive(
    filename: str, sha256: str, urls: Sequence[str], target: Path, on_event: OnEvent
) -> tuple[Attempt, ...]:
    """Write the archive to ``target``; where no place had it, ``target`` is not there.

    Returns the places that were asked in vain. A file of another hash is thrown away.
    """
    attempts: list[Attempt] = []
    # Registries first: where they are mirrored, upstream's address often leads nowhere.
    for url in sorted(urls, key=lambda url: not url.startswith("pkg:")):
        for attempt in _try(url, filename, sha256, target, on_event):
            if attempt is None:
                return tuple(attempts)
            attempts.append(attempt)
    return tuple(attempts)


def _try(
    url: str, filename: str, sha256: str, target: Path, on_event: OnEvent
) -> Iterator[Attempt | None]:
    """One attempt a place; None ends the search: the archive is there."""
    if url.startswith("pkg:deb/"):
        source = url.removeprefix("pkg:deb/").partition("@")[0].rpartition("/")[2]
        found = apt_client.download(source, filename, sha256, target)
        yield None if found == "" else Attempt(where="apt", found=found)
        mirror = apt_client.mirror_url(source, filename)
        if mirror is None:
            return
        url = mirror
    try:
        candidates = list(_candidates(url, filename))
    except pip_client.PipConfigurationError as error:
        yield Attempt(where="pip", found=str(error))
        return
    if not candidates:
        yield Attempt(where="pip", found="no configured index has the file")
    for candidate in candidates:
        found = _download(candidate, filename, sha256, target, on_event)
        yield None if found == "" else Attempt(where=candidate.where, found=found)


def _candidates(url: str, filename: str) -> Iterator[_Candidate]:
    if url.startswith("pkg:pypi/"):
        project = url.removeprefix("pkg:pypi/").partition("@")[0]
        client = pip_client.configured_client()
        for address in client.find(project, filename):
            yield _Candidate(where="pip's index", url=address, opener=client.opener)
    else:
        yield _Candidate(where=urlsplit(url).hostname or url, url=url, opener=None)


def _download(
    candidate: _Candidate, filename: str, sha256: str, target: Path, on_event: OnEvent
) -> str:
    """ "" where ``target`` now holds the archive, else what was found instead."""
    opener = candidate.opener or urllib.request.build_opener()
    digest = hashlib.sha256()
    received = 0
    try:
        with opener.open(candidate.url, timeout=60) as reply, target.open("wb") as file:
            length = reply.headers.get("Content-Length")
            while block := reply.read(_BLOCK):
                digest.update(block)
                file.write(block)
                received += len(block)
                on_event(
                    SourceReceived(
                        filename=filename,
                        received_bytes=received,
                        total_bytes=int(length) if length else None,
                    )
                )
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        return str(error.reason if isinstance(error, urllib.error.URLError) else error)
    if digest.hexdigest() == sha256:
        return ""
    target.unlink()
    return f"a file with the sha256 {digest.hexdigest()}"
