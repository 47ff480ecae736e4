"""Temporary files and folders that do not outlive their run, however that ends.

What is temporary stands in a record of the cache, locked by its process while that lives. A run
that was killed leaves records that nobody holds: the next one, of whatever command, removes what
they name. A record is made before the thing it names, and goes after it.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployx_edge.resources import cache_folder

_TOKEN_BYTES = 6
_LONGEST_RECORD = 1 << 16
_LONGEST_NAME = 255
_lasting: str | None = None


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A free name in the folder of ``path``, on the same disk, to make a file or a folder at.

    What is there when the block ends is removed; mostly it was renamed into its place before.
    """
    token = os.urandom(_TOKEN_BYTES).hex()
    own = _hidden(path, token)
    with _recorded(own, token):
        yield own


def put_in_place(made: Path, place: Path) -> None:
    """Give ``made``, from ``beside``, the name ``place``. What had that name goes; it is there
    again where the renaming fails or is cut off by a kill."""
    token = os.urandom(_TOKEN_BYTES).hex()
    earlier = _hidden(place, token)
    with _recorded(earlier, token, home=place.absolute()):
        if os.path.lexists(place):
            place.rename(earlier)
        made.rename(place)


@contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Inside, the temporary files of this process and of those it starts lie in one folder.

    Whoever asks ``tempfile`` or ``TMPDIR`` is led there.
    """
    global _lasting
    _lasting, before = _base(), os.environ.get("TMPDIR")
    token = os.urandom(_TOKEN_BYTES).hex()
    folder = Path(_lasting) / f"deployx-edge-{token}"
    with _recorded(folder, token):
        try:
            folder.mkdir(mode=0o700)
        except OSError:  # whoever needs one will say so
            yield
            return
        _lead_to(str(folder))
        try:
            yield
        finally:
            _lead_to(before)


def lasting_environment() -> dict[str, str]:
    """For programs that outlive this process: the temporary folder that was there before."""
    return {"TMPDIR": _lasting} if _lasting else {}


def remove_left_behind() -> None:
    """Remove what runs that were killed have left; what a living process holds stays."""
    with suppress(OSError), os.scandir(_records()) as entries:
        for entry in entries:
            with suppress(OSError):
                _remove_if_dead(Path(entry.path))


def _hidden(path: Path, token: str) -> Path:
    name = os.fsencode(path.name)[: _LONGEST_NAME - len(token) - 2]
    return path.absolute().with_name(f".{name.decode(errors='ignore')}.{token}")


def _base() -> str:
    for name in ("TMPDIR", "TEMP", "TMP"):
        place = os.environ.get(name)
        if place and os.access(place, os.W_OK | os.X_OK):
            return str(Path(place).absolute())
    return "/tmp" if os.access("/tmp", os.W_OK | os.X_OK) else "/var/tmp"


def _lead_to(folder: str | None) -> None:
    if folder is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = folder
    module = sys.modules.get("tempfile")
    if module is not None:  # it remembers its first answer
        module.tempdir = None  # type: ignore[attr-defined]


def _records() -> Path:
    return cache_folder() / "temporary"


@contextmanager
def _recorded(path: Path, token: str, home: Path | None = None) -> Iterator[None]:
    """What is at ``path`` is temporary, unless it belongs to ``home``, where nothing is."""
    descriptor = None
    # Where the cache cannot be written, nothing can be remembered of it: it is removed all the
    # same, but not behind a kill.
    with suppress(OSError):
        _records().mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = _record(path, token, home)
    try:
        yield
    finally:
        gone = _remove(path, home)
        if descriptor is not None:
            if gone:
                with suppress(OSError):
                    (_records() / token).unlink()
            os.close(descriptor)


def _record(path: Path, token: str, home: Path | None) -> int:
    """The descriptor that holds the lock."""
    place = _records() / token
    while True:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                words = (os.uname().nodename, os.fspath(path), os.fspath(home or ""))
                os.write(descriptor, b"\0".join(os.fsencode(word) for word in words))
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # another run took it for a dead one before it was locked


def _remove_if_dead(place: Path) -> None:
    descriptor = os.open(place, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.getuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        words = os.fsdecode(os.read(descriptor, _LONGEST_RECORD)).split("\0")
        if len(words) != 3:  # cut off before anything was made
            place.unlink()
            return
        host, path, home = words
        # A cache may be shared by computers; each knows of its own processes. The name holds
        # the record's: only what was made for it is removed.
        own = host == os.uname().nodename and path.endswith(place.name)
        if own and _remove(Path(path), Path(home) if home else None):
            place.unlink()
    finally:
        os.close(descriptor)


def _remove(path: Path, home: Path | None) -> bool:
    """Whether nothing of ours is there any more."""
    try:
        state = path.lstat()
        if state.st_uid != os.getuid():
            return True
        if home is not None and not os.path.lexists(home):
            path.rename(home)
        elif stat.S_ISDIR(state.st_mode):
            import shutil

            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    except OSError:
        pass
    return not os.path.lexists(path)
