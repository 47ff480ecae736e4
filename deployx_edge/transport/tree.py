"""Many files from a board: what lies below some paths there, and their contents as one stream.

On the board it needs a POSIX shell, ``find``, ``stat -c``, ``readlink -f``, ``tar`` and
``xargs -0`` (busybox has them). Every program started over a link costs a fifth of a second,
so all files are listed by one and sent by another.
"""

from __future__ import annotations

import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from deployx_edge.errors import LinkLostError, TransportError
from deployx_edge.transport.output import read_number
from deployx_edge.transport.protocol import Channel, Transport

if TYPE_CHECKING:
    from typing_extensions import Buffer

# A board with a slow card takes its time for thousands of files.
_LIST_SECONDS = 600.0
_SILENCE_SECONDS = 120.0
_READ_BYTES = 1 << 20
# A Jetson's libraries and headers are some 30,000 files; more is no folder of libraries.
_MOST_FACTS = 100_000
# Headers, long names and padding between two files.
_MOST_BETWEEN_BYTES = 1 << 20
# What tarfile raises for bytes that are none.
_NO_ARCHIVE = (tarfile.TarError, ValueError, ArithmeticError, EOFError)

# Patterns are the arguments. One line a fact: its kind, then the facts, the path last.
_LIST = r"""
LC_ALL=C; export LC_ALL
IFS='
'
link() {
  real=$(readlink -f "$1") || real=
  if [ -z "$real" ] || [ ! -e "$real" ]; then echo "broken $1"; return; fi
  if [ "$real" != "$1" ]; then echo "link $1"; echo "to $real"; fi
}
for pattern do
  found=
  for path in $pattern; do
    [ -e "$path" ] || [ -L "$path" ] || continue
    found=1
    link "$path"
    [ -n "$real" ] && [ -e "$real" ] || continue
    [ ! -d "$real" ] || echo "folder $real"
    find "$real" -type f -exec stat -c 'file %s %Y %n' {} + < /dev/null
    [ ! -d "$real" ] || find "$real" -type l | while read -r inner; do link "$inner"; done
  done
  [ -n "$found" ] || echo "absent $pattern"
done
echo end
"""

# Names without the leading slash on standard input, separated by zero bytes.
_SEND = "LC_ALL=C; export LC_ALL; cd / && exec xargs -0 tar -cf - --"
_HASH = "LC_ALL=C; export LC_ALL; cd / && exec xargs -0 sha256sum --"


@dataclass(frozen=True, kw_only=True)
class BoardFile:
    """A regular file. ``path`` is absolute and leads through no link; ``modified`` is in
    seconds since 1970 by the board's clock."""

    path: str
    size: int
    modified: int


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What lies below some paths of a board.

    ``links`` are path and where it leads in the end, which is a file or folder of the
    tree; ``broken`` are links that lead nowhere or in a circle, ``absent`` patterns that
    match nothing.
    """

    files: tuple[BoardFile, ...]
    links: tuple[tuple[str, str], ...]
    broken: tuple[str, ...]
    absent: tuple[str, ...]


def list_tree(transport: Transport, patterns: Sequence[str]) -> Tree:
    """Everything that the shell patterns match, and what links there lead to.

    TransportError where the board cannot list it.
    """
    found = _Found()
    wanted = list(patterns)
    while wanted:
        for kind, fact in _facts(transport, wanted):
            found.add(kind, fact)
        # Where links lead may lie elsewhere, and hold links again.
        wanted = [re.sub(r"([*?[])", r"[\1]", path) for path in found.take_outside()]
    return Tree(
        files=tuple(found.files.values()),
        links=tuple(sorted(found.links.items())),
        broken=tuple(found.broken),
        absent=tuple(found.absent),
    )


def read_files(transport: Transport, paths: Sequence[str]) -> Iterator[tuple[str, IO[bytes] | str]]:
    """Each of the files with its content, which must be read before the next is asked for, or
    with the path of an earlier file that it is a hard link to.

    A file that the board cannot read is left out. LinkLostError when the link breaks.
    """
    channel = transport.stream(["sh", "-c", _SEND])

    def ended(error: Exception) -> TransportError:
        return TransportError(
            f"The files from {transport.uri} ended early ({error}): "
            f"{channel.error_tail() or 'the board said nothing'}."
        )

    feeder = _feed_names(channel, paths)
    try:
        # xargs may start tar more than once: one archive after another, zeros between.
        output = _Output(channel, transport.uri)
        with tarfile.open(fileobj=output, mode="r|", ignore_zeros=True) as archive:
            for member in archive:
                output.expect(member.size)
                if member.islnk():
                    yield f"/{member.name}", f"/{member.linkname}"
                elif content := archive.extractfile(member):
                    yield f"/{member.name}", io.BufferedReader(_Content(content, ended))
    except _NO_ARCHIVE as error:
        raise ended(error) from error
    finally:
        channel.close()
        feeder.join()


def hash_files(transport: Transport, paths: Sequence[str]) -> dict[str, str] | None:
    """The sha256 of each file as the board computes it; None where it has no ``sha256sum``."""
    names = "".join(f"{path[1:]}\0" for path in paths).encode(errors="surrogateescape")
    done = transport.run(["sh", "-c", _HASH], input=names, timeout=_LIST_SECONDS)
    pairs = (line.partition("  ") for line in _lines(done.stdout))
    found = {f"/{path}": digest for digest, _, path in pairs}
    return found if found or not paths else None


class _Found:
    """What was listed so far."""

    def __init__(self) -> None:
        self.files: dict[str, BoardFile] = {}
        self.links: dict[str, str] = {}
        self.broken: dict[str, None] = {}
        self.absent: list[str] = []
        self._folders: set[str] = set()
        self._asked: set[str] = set()
        self._count = 0

    def add(self, kind: str, fact: str) -> None:
        self._count += 1
        _check_count(self._count)
        if kind == "file":
            size, modified, path = [*fact.split(" ", 2), "", ""][:3]
            numbers = read_number(size), read_number(modified, signed=True)
            if numbers[0] is None or numbers[1] is None:
                raise TransportError(f"The size and date of a file were expected: {fact[:200]!r}.")
            self.files[path] = BoardFile(path=path, size=numbers[0], modified=numbers[1])
        elif kind == "link":
            path, _, target = fact.partition("\n")
            self.links[path] = target
        elif kind == "folder":
            self._folders.add(fact)
        elif kind == "broken":
            self.broken[fact] = None
        else:
            self.absent.append(fact)

    def take_outside(self) -> list[str]:
        """Where links lead that was not listed yet; each is told once."""
        targets = sorted(set(self.links.values()) - set(self.files) - self._asked)
        outside = [path for path in targets if not self._listed(path)]
        self._asked.update(outside)
        return outside

    def _listed(self, path: str) -> bool:
        places = {path, *(str(parent) for parent in PurePosixPath(path).parents)}
        return not places.isdisjoint(self._folders)


class _Content(io.RawIOBase):
    """One file of an archive, whose early end is an error of the link."""

    def __init__(self, inner: IO[bytes], ended: Callable[[Exception], TransportError]) -> None:
        self._inner = inner
        self._ended = ended

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        place = memoryview(buffer)
        try:
            data = self._inner.read(len(place))
        except _NO_ARCHIVE as error:
            raise self._ended(error) from error
        place[: len(data)] = data
        return len(data)


class _Output(io.RawIOBase):
    """A channel's output as a file, which ends in TransportError where an archive has no more
    members and yet no end, or headers as large as a board's memory."""

    def __init__(self, channel: Channel, board: str) -> None:
        self._channel = channel
        self._board = board
        self._left = _MOST_BETWEEN_BYTES

    def expect(self, size: int) -> None:
        """A member's content comes next, and then the next member."""
        self._left = size + _MOST_BETWEEN_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._channel.read(size if size > 0 else _READ_BYTES, _SILENCE_SECONDS)
        self._left -= len(data)
        if self._left < 0:
            raise TransportError(f"{self._board} sends an archive that holds no files and no end.")
        return data


def _facts(transport: Transport, patterns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Kind and fact of each line; a link's fact is its path and, in a second line, its target."""
    done = transport.run(["sh", "-c", _LIST, "sh", *patterns], timeout=_LIST_SECONDS)
    lines = _lines(done.stdout)
    if not lines or lines[-1] != "end":
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise TransportError(
            f"The board {transport.uri} cannot list its files: {words[-1] if words else 'no word'}."
        )
    link = ""
    for line in lines[:-1]:
        kind, _, fact = line.partition(" ")
        if kind == "to":
            yield "link", f"{link}\n{fact}"
        elif kind == "link":
            link = fact
        elif kind in ("file", "folder", "broken", "absent"):
            yield kind, fact
        else:
            raise TransportError(f"{transport.uri} lists what is not a file: {line[:200]!r}.")


def _lines(output: bytes) -> list[str]:
    """As ``splitlines``, which also takes a name's own odd signs for line ends."""
    _check_count(output.count(b"\n"))
    return output.decode(errors="surrogateescape").removesuffix("\n").split("\n")


def _check_count(count: int) -> None:
    if count > _MOST_FACTS:
        raise TransportError(
            f"At most {_MOST_FACTS} files and links were expected of the board; it lists more.",
            remedy="Name fewer folders.",
        )


def _feed_names(channel: Channel, paths: Sequence[str]) -> threading.Thread:
    """Tell the board which files to send, while it sends the first of them."""
    names = "".join(f"{path[1:]}\0" for path in paths).encode(errors="surrogateescape")

    def feed() -> None:
        # The reader finds out why it ended.
        with suppress(LinkLostError):
            channel.write(names)
            channel.close_input()

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    return thread
