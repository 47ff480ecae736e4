"""Boards that talk without end: an error of the protocol, and little memory here."""

from __future__ import annotations

import socket
import tarfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import AgentError, DeployxError, LinkLostError, TransportError
from deployx_edge.process import Completed
from deployx_edge.transport import mounts, open_transport
from deployx_edge.transport.local.transport import LocalTransport, ProcessChannel
from deployx_edge.transport.output import LineReader
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.push import PushFile, file_sha256, push
from deployx_edge.transport.tree import hash_files, list_tree, read_files
from deployx_edge.workflows.boards import agent_start, lease
from tests.integration.transport.links import LinkCase

MOST_BYTES = 64 << 20
HERE = Path(__file__)
SHA256, SIZE = file_sha256(HERE), HERE.stat().st_size
ENDLESS_LINE = "exec cat /dev/zero"
GIGABYTE = "head -c 1000000000 /dev/zero"


@contextmanager
def little_memory() -> Iterator[None]:
    """The block takes no more than 64 MB of this process at any time."""
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak starts anew
    before = memory("VmRSS")
    yield
    assert memory("VmHWM") - before < MOST_BYTES


def memory(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(field))


class Liar(LocalTransport):
    """A board that answers every program with what a shell script prints."""

    def __init__(self, folder: Path, text: str) -> None:
        super().__init__("local:", work_folder=folder)
        self._text = text

    def run(
        self, argv: Sequence[str], *, input: bytes = b"", timeout: float | None = 60.0
    ) -> Completed:
        return super().run(["sh", "-c", self._text], input=input, timeout=timeout)

    def stream(self, argv: Sequence[str]) -> ProcessChannel:
        return super().stream(["sh", "-c", self._text])


def test_an_answer_without_end(case: LinkCase) -> None:
    with case.open() as link, little_memory(), pytest.raises(TransportError, match="writes on"):
        link.run(["sh", "-c", ENDLESS_LINE])


def test_a_line_without_end(case: LinkCase) -> None:
    with case.open() as link, little_memory():
        channel = link.stream(["sh", "-c", ENDLESS_LINE])
        with pytest.raises(TransportError, match="without a line end"):
            LineReader(channel).next(30.0)
        channel.close()


def test_a_gigabyte_of_standard_error() -> None:
    with open_transport("local:") as link, little_memory():
        done = link.run(["sh", "-c", f"{GIGABYTE} >&2; echo end"], timeout=300)
        assert done.stdout == b"end\n"
        assert 8 << 20 <= len(done.stderr) < 9 << 20


def ready(board: Transport) -> None:
    asked = agent_start.AskedBoard(
        device=Device(name="d", uri=board.uri), purpose="", wait=True, progress=lambda event: None
    )
    agent_start._start(board, "dx-agent", asked)


def push_one(board: Transport) -> None:
    file = PushFile(local=HERE, sha256=SHA256, size=SIZE, executable=False, name="f")
    push(board, ["dx-agent"], "b", [file], answer_seconds=60)


def take_files(board: Transport) -> None:
    for _ in read_files(board, ["/a"]):
        pass


NEED = f"need {SHA256} 0"
GREETING = "echo deployx-receive 2 1000000"
CONVERSATIONS: dict[str, tuple[Callable[[Transport], object], str]] = {
    "waits for ever": (ready, "yes waiting 0123456789abcdef 12 40 ann bench"),
    "speaks no word of an agent": (ready, "yes ready"),
    "noise before a push": (push_one, "yes hello"),
    "asks again and again": (push_one, f"{GREETING}; yes {NEED}"),
    "checks for ever": (push_one, "yes checking 1"),
    "is damaged for ever": (push_one, f"{GREETING}; yes damaged {SHA256}"),
    "says again what it has": (push_one, f"{GREETING}; echo {NEED}; echo end; yes have 1"),
    "lists the same file": (lambda b: list_tree(b, ["/a"]), "yes file 1 1 /a"),
    "lists many files": (lambda b: list_tree(b, ["/a"]), "seq 9000000 | sed 's/^/absent /'"),
    "hashes many files": (lambda b: hash_files(b, ["/a"]), "yes"),
    "an archive of nothing": (take_files, ENDLESS_LINE),
    "leases": (
        lambda b: lease._entries(b, "dx-agent"),
        "yes holder 0123456789abcdef 1 2 ann bench",
    ),
    "facts": (lambda b: mounts.why_programs_do_not_run(b, "/w"), "yes 'a b c d'"),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations_without_end(name: str, tmp_path: Path) -> None:
    talk, text = CONVERSATIONS[name]
    with Liar(tmp_path, text) as board, little_memory():
        with pytest.raises(DeployxError) as caught:
            talk(board)
        assert isinstance(caught.value, TransportError | AgentError)
        assert not isinstance(caught.value, LinkLostError)


def test_a_header_of_a_gigabyte(tmp_path: Path) -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1_000_000_000
    (tmp_path / "header").write_bytes(header.tobuf(tarfile.USTAR_FORMAT))
    board = Liar(tmp_path, f"cat '{tmp_path}/header'; yes")
    with board, little_memory(), pytest.raises(TransportError, match="no files and no end"):
        take_files(board)


def server_that_says(*starts: bytes) -> Iterator[int]:
    """A port whose connections get ``starts`` and then zeros until they are closed."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"".join(starts))
                    while True:
                        connection.sendall(bytes(1 << 16))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
    thread.join()


@pytest.mark.parametrize(
    ("start", "says"),
    [(b"SSH-2.0-", "no end"), (b"SSH-2.0-x\r\n\xff\xff\xff\xf4" + bytes(12), "announces")],
    ids=["greeting", "packet"],
)
def test_an_ssh_server_without_end(start: bytes, says: str) -> None:
    with contextmanager(server_that_says)(start) as port, little_memory():
        options = LinkOptions(connect_seconds=30.0)
        with pytest.raises(TransportError, match=says):
            open_transport(f"ssh:nobody@127.0.0.1:{port}", options=options)
