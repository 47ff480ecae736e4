"""Source archives of Debian's and Ubuntu's pools, by apt's own configuration and download helper.

Binary repositories are enough: the pool of a source package lies beside them, so no
``deb-src`` line is asked for.
"""

from __future__ import annotations

import os
from pathlib import Path

from deployx_edge import process
from deployx_edge.crossbuild.finished import hash_file
from deployx_edge.errors import DeployxError

_HELPER = Path("/usr/lib/apt/apt-helper")
_SECONDS = 300.0


def mirror_url(source: str, filename: str) -> str | None:
    """The same file on the mirror that ``DEPLOYX_EDGE_DEBIAN_MIRROR`` names, for computers
    without apt; None where it is not set."""
    mirror = os.environ.get("DEPLOYX_EDGE_DEBIAN_MIRROR")
    return pool_url(mirror, "main", source, filename) if mirror else None


def download(source: str, filename: str, sha256: str, target: Path) -> str:
    """Bring ``filename`` of the source package ``source`` to ``target``.

    Returns "" on success, else what was in the way.
    """
    if not _HELPER.is_file() or process.find_program("apt-get") is None:
        return "not on this computer"
    reason = "no repository is configured"
    for repository, component in _pools():
        url = pool_url(repository, component, source, filename)
        reason = _download(url, sha256, target)
        if reason == "":
            return ""
    return reason


def pool_url(repository: str, component: str, source: str, filename: str) -> str:
    """Where a repository keeps a source package's file (Debian policy's pool layout)."""
    letter = source[:4] if source.startswith("lib") else source[0]
    return f"{repository.rstrip('/')}/pool/{component}/{letter}/{source}/{filename}"


def _pools() -> list[tuple[str, str]]:
    """Address and component of each binary repository of a distribution."""
    try:
        listed = process.run(
            ["apt-get", "indextargets", "--format", "$(ORIGIN)\t$(REPO_URI)\t$(COMPONENT)"]
        )
    except DeployxError:
        return []
    rows = [line.split("\t") for line in listed.stdout.decode(errors="replace").splitlines()]
    pools = dict.fromkeys(
        (row[1], row[2]) for row in rows if len(row) == 3 and row[2] in ("main", "universe")
    )
    return list(pools)


def _download(url: str, sha256: str, target: Path) -> str:
    # As root apt drops its rights for a download; it may not write to our folder then, says
    # so, and goes on as root: a warning only.
    try:
        done = process.run(
            [_HELPER, "download-file", url, target, f"SHA256:{sha256}"],
            timeout=_SECONDS,
            check=False,
        )
    except DeployxError as error:
        return error.message
    if done.returncode == 0 and target.is_file() and hash_file(target) == sha256:
        return ""
    target.unlink(missing_ok=True)
    errors = [
        line for line in done.stderr.decode(errors="replace").splitlines() if line[:2] == "E:"
    ]
    return errors[0][2:].strip() if errors else "another file of that name"
