"""The host's side of the receive protocol against a scripted board, byte by byte."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from deployx_edge.errors import (
    BundleError,
    DeployxError,
    DeviceStorageError,
    LinkLostError,
    TransportError,
)
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.push import PushFile, PushReport, push


class ScriptedChannel:
    """Says its lines and notes what it is told; at a ``|`` it first waits for the last byte."""

    def __init__(self, says: str) -> None:
        self._output = says.encode()
        self._all_came = threading.Event()
        self.heard = b""
        self.closed = False

    def write(self, data: bytes | memoryview) -> None:
        self.heard += bytes(data)

    def close_input(self) -> None:
        self._all_came.set()

    def read(self, limit: int, timeout: float | None = None) -> bytes:
        # Small pieces, as a link may deliver them.
        if self._output.startswith(b"|"):
            self._all_came.wait()
            self._output = self._output[1:]
        piece = self._output[:7].partition(b"|")[0]
        self._output = self._output[len(piece) :]
        return piece

    def wait(self, timeout: float | None = None) -> int:
        return 1

    def error_tail(self) -> str:
        return "its last words"

    def close(self) -> None:
        self.closed = True


class ScriptedBoard:
    """Gives one channel a conversation."""

    uri = "ssh:pi@192.0.2.7"

    def __init__(self, *conversations: str | ScriptedChannel) -> None:
        self.channels = [
            ScriptedChannel(one) if isinstance(one, str) else one for one in conversations
        ]
        self._left = list(self.channels)

    def stream(self, argv: Sequence[str]) -> ScriptedChannel:
        return self._left.pop(0)


def a_file(folder: Path, name: str, content: bytes, *, executable: bool = False) -> PushFile:
    path = folder / name.replace("/", "_")
    path.write_bytes(content)
    return PushFile(
        local=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        executable=executable,
        name=name,
    )


def send(board: ScriptedBoard, files: list[PushFile], name: str = "b") -> PushReport:
    return push(cast(Transport, board), ["receive"], name, files, answer_seconds=5.0)


def test_the_whole_conversation(tmp_path: Path) -> None:
    first = a_file(tmp_path, "größe.param", b"0123456789")
    second = a_file(tmp_path, "bin/worker", b"abcdef", executable=True)
    third = a_file(tmp_path, "there already", b"xyz")
    board = ScriptedBoard(
        "welcome to the board\n"
        "deployx-receive 2 1000000\n"
        f"need {second.sha256} 2\nneed {first.sha256} 0\nend\n|"
        f"ok {second.sha256}\nok {first.sha256}\ndone b\n"
    )
    report = send(board, [first, second, third])
    offer = (
        "deployx-receive 2\nbundle b\n"
        f"file {first.sha256} 10 - größe.param\n"
        f"file {second.sha256} 6 x bin/worker\n"
        f"file {third.sha256} 3 - there already\n"
        "end\n"
    )
    # The board's order, from its offset, with nothing between.
    assert board.channels[0].heard == offer.encode() + b"cdef" + b"0123456789"
    assert board.channels[0].closed
    assert (report.total_bytes, report.sent_bytes, report.resumed_bytes) == (19, 14, 2)
    assert (report.sent_files, report.skipped_files) == (2, 1)


GREETING = "deployx-receive 2 100\n"


@pytest.mark.parametrize(
    ("says", "kind", "words"),
    [
        ("error no-space too small\n", DeviceStorageError, ["full", "too small"]),
        (
            f"{GREETING}need @ 0\nend\nerror no-space it filled up\n",
            DeviceStorageError,
            ["full", "needs 10 bytes", "100 were free"],
        ),
        ("error read-only /x\n", DeviceStorageError, ["cannot be written", "/x"]),
        (f"{GREETING}error io broken flash\n", TransportError, ["io", "broken flash"]),
        (f"{GREETING}need @ 0\nend\nerror protocol what\n", TransportError, ["protocol", "what"]),
        (f"{GREETING}need {'0' * 64} 0\nend\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ 11\nend\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ -1\nend\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}hello\n", TransportError, ["unexpected answer", "hello"]),
        (f"{GREETING}need @ 0\nend\nok {'0' * 64}\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ 0\nend\nhave many\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ 0\nend\ndone b\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ 0\nend\nok @\n", TransportError, ["before the push was done"]),
        (f"{GREETING}need @ 0\n", TransportError, ["before the push was done", "last words"]),
        ("", TransportError, ["before the push was done", "its last words"]),
        ("deployx-receive 1 100\nend\n", TransportError, ["before the push was done"]),
        ("noise\n" * 1000, TransportError, ["without end", "noise"]),
        ("deployx-receive 2 ²\n" * 1000, TransportError, ["without end"]),
        (f"{GREETING}need @ 0\n" + "need @ 0\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ ²\nend\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ {'9' * 5000}\nend\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ 0\nend\nhave ²\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ 0\nend\nhave 11\n", TransportError, ["unexpected answer"]),
        (f"{GREETING}need @ 0\nend\nhave 3\nhave 2\n", TransportError, ["unexpected answer"]),
        # A few times is what it says while it hashes; a flood is not.
        (
            f"{GREETING}need @ 0\nend\n" + "have 3\n" * 100,
            TransportError,
            ["unexpected answer"],
        ),
        ("x" * 200_000, TransportError, ["without a line end"]),
    ],
)
def test_what_a_board_may_answer(
    tmp_path: Path, says: str, kind: type[DeployxError], words: list[str]
) -> None:
    file = a_file(tmp_path, "f", b"0123456789")
    board = ScriptedBoard(says.replace("@", file.sha256))
    with pytest.raises(DeployxError) as caught:
        send(board, [file])
    assert type(caught.value) is kind
    assert all(word in str(caught.value) for word in words)
    assert board.channels[0].closed


class SilentChannel(ScriptedChannel):
    """Says its lines, then nothing until it is closed."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self._ended = threading.Event()

    def read(self, limit: int, timeout: float | None = None) -> bytes:
        piece = super().read(limit, timeout)
        if not piece:
            self._ended.wait()
        return piece

    def close(self) -> None:
        super().close()
        self._ended.set()


@pytest.mark.parametrize("arrived", [0, 1_000_000, 3 << 20])
def test_no_more_than_two_mebibytes_are_on_the_way(tmp_path: Path, arrived: int) -> None:
    file = a_file(tmp_path, "f", bytes(8 << 20))
    channel = SilentChannel(f"{GREETING}need {file.sha256} 0\nend\nhave {arrived}\n")
    board = ScriptedBoard(channel)
    with pytest.raises(LinkLostError, match=r"did not say that they arrived for 0\.5 seconds"):
        push(cast(Transport, board), ["receive"], "b", [file], answer_seconds=0.5)
    sent = len(channel.heard.partition(b"end\n")[2])
    assert arrived + (1 << 20) < sent <= arrived + (2 << 20)
    assert channel.closed


def test_damage_on_the_way_is_sent_once_more(tmp_path: Path) -> None:
    file = a_file(tmp_path, "f", b"0123456789")
    corrupt = f"{GREETING}need {file.sha256} 4\nend\nerror corrupt hash differs\n"
    good = f"{GREETING}need {file.sha256} 0\nend\n|ok {file.sha256}\ndone b\n"
    board = ScriptedBoard(corrupt, good)
    assert send(board, [file]).sent_bytes == 10
    assert board.channels[1].heard.endswith(b"end\n0123456789")
    with pytest.raises(LinkLostError, match="damaged twice"):
        send(ScriptedBoard(corrupt, corrupt), [file])


def test_damage_in_the_file_itself_is_told_apart(tmp_path: Path) -> None:
    file = a_file(tmp_path, "f", b"0123456789")
    file.local.write_bytes(b"987654321_")
    corrupt = f"{GREETING}need {file.sha256} 0\nend\nerror corrupt hash differs\n"
    with pytest.raises(BundleError, match="sha256 is another"):
        send(ScriptedBoard(corrupt), [file])


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "a/b", "ä", "x" * 129, "a\n"])
def test_names_of_bundles(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="bundle name"):
        send(ScriptedBoard(), [], name)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a\nfile x", "a\x00b"])
def test_names_of_files(tmp_path: Path, name: str) -> None:
    content = b"x"
    local = tmp_path / "f"
    local.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    file = PushFile(local=local, sha256=digest, size=1, executable=False, name=name)
    with pytest.raises(BundleError, match="relative path"):
        send(ScriptedBoard(), [file])


def test_files_that_are_not_as_promised(tmp_path: Path) -> None:
    file = a_file(tmp_path, "f", b"0123456789")
    file.local.write_bytes(b"short")
    with pytest.raises(BundleError, match="should have 10 bytes, found 5"):
        send(ScriptedBoard(), [file])
    file.local.unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        send(ScriptedBoard(), [file])
    broken = PushFile(local=file.local, sha256="no", size=1, executable=False, name="f")
    with pytest.raises(BundleError, match="not a sha256"):
        send(ScriptedBoard(), [broken])
