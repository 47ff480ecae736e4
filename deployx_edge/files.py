"""Reading files that a user named and anybody may have written: bounded in memory and time.

Only regular files are opened, as a named pipe or a device may never end; what is read has a
largest size; and whatever a parser cannot take is a ValueError with a short reason.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SMALL = 1 << 20
"""No settings that a person writes come near it, in bytes."""

LARGE = 1 << 30
"""No list or result of measurements comes near it, in bytes."""

TOO_DEEP = "it is nested too deeply"
"""The reason where a parser would go too deep."""

# TOML's parser takes the square of a key's length.
_DEEP_KEY = re.compile(
    r"""(?m)(?:^|[\[{,])[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
    r"""(?:[ \t]*\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')){32}"""
)
_LARGEST_TOML = 1 << 18

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}
# YAML's scanner takes seconds for what its composer then refuses.
_DEEP_YAML = re.compile(r"(?:[\[{]\s*){100}")
# How many values a document of YAML may stand for once its references are followed.
_MOST_VALUES = 100_000
_BLOCK = 1 << 20
_REASON_LENGTH = 200


class UnfitFileError(OSError):
    """What is there is no file that can be read here. Its text is the reason alone."""

    def __str__(self) -> str:
        return str(self.strerror)


@contextmanager
def hold_lock(path: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file ``path``, made where it is not; who has to wait is told by ``on_wait``.

    The kernel frees it when its holder ends, however that ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; OSError where there is none, or where it is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        # A socket says so in its own words.
        check_regular(path)
        raise error
    try:
        _refuse_irregular(os.fstat(descriptor).st_mode, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(path: Path) -> None:
    """OSError unless ``path`` is a file or leads to one; for those that open it themselves."""
    _refuse_irregular(path.stat().st_mode, path)


def read_bytes(path: Path, *, most: int) -> bytes:
    """A file's content; OSError where it is longer than ``most`` bytes."""
    content = bytearray()
    with open_regular(path) as file:
        # In blocks: a buffer of ``most`` bytes would be made at once.
        while block := file.read(_BLOCK):
            content += block
            if len(content) > most:
                raise UnfitFileError(errno.EFBIG, f"it is longer than {most} bytes", str(path))
    return bytes(content)


def read_text(path: Path, *, most: int, encoding: str = "utf-8", errors: str = "strict") -> str:
    """Text in Unix's line ends; UnicodeDecodeError, a ValueError, where it is none."""
    text = read_bytes(path, most=most).decode(encoding, errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path, *, most: int) -> Any:
    """A JSON file; OSError or ValueError."""
    return parse_json(read_bytes(path, most=most))


def parse_json(text: str | bytes) -> Any:
    """ValueError where it is none."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def parse_toml(text: str) -> dict[str, Any]:
    """ValueError where it is none."""
    if len(text) > _LARGEST_TOML:
        raise ValueError(f"it is longer than {_LARGEST_TOML} characters")
    if _DEEP_KEY.search(text):
        raise ValueError(TOO_DEEP)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def parse_yaml(text: str) -> Any:
    """ValueError where it is none, or where its references unfold to more than is there."""
    if _DEEP_YAML.search(text):
        raise ValueError(TOO_DEEP)
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_unfolded(node)
        return loader.construct_document(node)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    except Exception as error:  # constructors raise what Python's own types do
        raise ValueError(" ".join(str(error).split())[:_REASON_LENGTH]) from error


def _check_unfolded(node: Any) -> None:
    """By the document's nodes: merging mappings unfolds them before there are values."""
    waiting, count = [node], 0
    while waiting:
        count += 1
        if count > _MOST_VALUES:
            raise ValueError(f"its references stand for more than {_MOST_VALUES} values")
        value = waiting.pop().value
        if not isinstance(value, str):  # a mapping's are pairs, a sequence's are nodes
            waiting.extend(chain.from_iterable(e if isinstance(e, tuple) else [e] for e in value))


def _refuse_irregular(mode: int, path: Path) -> None:
    if stat.S_ISREG(mode):
        return
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
    raise UnfitFileError(number, f"it is {kind} and not a file", str(path))
