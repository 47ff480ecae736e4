"""The service ``sync:``: files to and from the device, one request after the other.

See ``SYNC.TXT`` of the Android Open Source Project's adb; the second versions of stat and
list are in its ``file_sync_protocol.h``.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from deployx_edge.transport.virtual.android_device.folder import DeviceFolder
from deployx_edge.transport.virtual.android_device.streams import Stream, StreamClosedError

_REQUEST = struct.Struct("<4sI")
_STAT = struct.Struct("<4sIII")  # mode, size, time of change
_STAT_2 = struct.Struct("<4sIQQIIIIQqqq")  # error, device, inode, mode, links, ids, size, times
_NAME_BYTES = struct.Struct("<I")
_DATA_BYTES = 64 << 10
_MOST_PATH_BYTES = 1024
_WORD = 0xFFFFFFFF


def serve(stream: Stream, folder: DeviceFolder) -> None:
    """Until the other end quits."""
    stream.accept()
    while True:
        kind, size = _REQUEST.unpack(stream.read_exactly(_REQUEST.size))
        if kind == b"QUIT":
            return
        if size > _MOST_PATH_BYTES:
            _fail(stream, "the path is too long")
            return
        text = stream.read_exactly(size).decode(errors="surrogateescape")
        if kind == b"SEND":
            _take_file(stream, folder, text)
        elif kind == b"RECV":
            _give_file(stream, folder.place(text))
        elif kind in (b"STAT", b"STA2", b"LST2"):
            stream.write(_described(kind, folder.place(text)))
        elif kind in (b"LIST", b"LIS2"):
            stream.write(b"".join(_listed(kind, folder.place(text))))
        else:
            _fail(stream, f"the request {kind!r} is not known here")
            return


def _fail(stream: Stream, reason: str) -> None:
    text = reason.encode(errors="surrogateescape")
    stream.write(_REQUEST.pack(b"FAIL", len(text)) + text)


def _described(kind: bytes, path: Path) -> bytes:
    """``STAT`` never follows links, ``STA2`` does, ``LST2`` does not."""
    try:
        found = path.stat() if kind == b"STA2" else path.lstat()
    except OSError as error:
        if kind == b"STAT":
            return _STAT.pack(kind, 0, 0, 0)
        return _STAT_2.pack(kind, error.errno or 0, *[0] * 10)
    return _stat_bytes(kind, found, second=kind != b"STAT")


def _stat_bytes(kind: bytes, found: os.stat_result, *, second: bool) -> bytes:
    if not second:
        return _STAT.pack(kind, found.st_mode, found.st_size & _WORD, int(found.st_mtime) & _WORD)
    return _STAT_2.pack(
        kind,
        0,
        found.st_dev,
        found.st_ino,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        found.st_size,
        int(found.st_atime),
        int(found.st_mtime),
        int(found.st_ctime),
    )


def _listed(kind: bytes, folder: Path) -> Iterator[bytes]:
    """One entry a name, then the end. A folder that cannot be read has no entries."""
    second = kind == b"LIS2"
    try:
        names = [".", "..", *(path.name for path in folder.iterdir())]
    except OSError:
        names = []
    for name in names:
        try:
            found = (folder / name).lstat()
        except OSError:
            continue
        raw = os.fsencode(name)
        yield _stat_bytes(b"DNT2" if second else b"DENT", found, second=second)
        yield _NAME_BYTES.pack(len(raw)) + raw
    yield (_STAT_2.pack(b"DONE", *[0] * 11) if second else _STAT.pack(b"DONE", 0, 0, 0))
    yield _NAME_BYTES.pack(0)


def _give_file(stream: Stream, path: Path) -> None:
    try:
        with path.open("rb") as source:
            while data := source.read(_DATA_BYTES):
                stream.write(_REQUEST.pack(b"DATA", len(data)) + data)
    except OSError as error:
        _fail(stream, str(error.strerror))
        return
    stream.write(_REQUEST.pack(b"DONE", 0))


class _Content:
    """The bytes of a file that is sent, in parts; after them its time of change."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ended = False
        self.changed = 0

    def __iter__(self) -> Iterator[bytes]:
        while not self._ended:
            kind, size = _REQUEST.unpack(self._stream.read_exactly(_REQUEST.size))
            if kind == b"DATA":
                yield self._stream.read_exactly(size)
                continue
            self._ended, self.changed = True, size
            if kind != b"DONE":
                raise StreamClosedError


def _take_file(stream: Stream, folder: DeviceFolder, text: str) -> None:
    """``text`` is the path, a comma and the mode in decimal digits."""
    name, _, mode = text.rpartition(",")
    content = _Content(stream)
    if not name or not mode.isdigit():
        _fail(stream, "a path, a comma and a mode were expected")
        return
    try:
        _write(content, folder.place(name), int(mode))
    except OSError as error:
        _fail(stream, str(error.strerror))
        for _ in content:
            pass  # The other end may send all of it before it reads what failed.
        return
    stream.write(_REQUEST.pack(b"OKAY", 0))


def _write(content: _Content, path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if stat.S_ISLNK(mode):
        path.symlink_to(b"".join(content).rstrip(b"\0").decode(errors="surrogateescape"))
        return
    with path.open("wb") as target:
        for data in content:
            target.write(data)
    path.chmod(mode & 0o777)
    os.utime(path, (content.changed, content.changed))
