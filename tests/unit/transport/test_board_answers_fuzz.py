"""Whatever a board says, its readers give a value or an error of ours."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from google.protobuf.message import DecodeError, Message

from deployx_edge.agent import failures, messages
from deployx_edge.agent.v1 import agent_pb2
from deployx_edge.device import Device
from deployx_edge.errors import DeployxError, DeviceStorageError
from deployx_edge.process import Completed
from deployx_edge.target import find_target
from deployx_edge.transport.adb.android import android_facts, facts_table
from deployx_edge.transport.adb.server import read_devices
from deployx_edge.transport.mounts import why_programs_do_not_run
from deployx_edge.transport.output import LineReader
from deployx_edge.transport.programs import Program, ProgramFolder
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.push import PushFile, push
from deployx_edge.transport.shell_script import ReportedErrors
from deployx_edge.transport.tree import hash_files, list_tree, read_files
from deployx_edge.workflows.boards import agent_start, board_doctor, lease, preflight
from deployx_edge.workflows.build import sysroot
from deployx_edge.workflows.measure import other_load

ROUNDS = 300
CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
# What Python takes for digits, signs of a terminal, and text that is too long to be any.
NASTY = ["²", "١٢", "1_0", "+7", "-", "9" * 25, "9" * 5000, "\x1b[31m", "\r", "\n", "\0", " "]
NASTY_BYTES = [*(text.encode() for text in NASTY), b"\xff\xfe", b"a" * 70_000, b"\n" * 3000]


class Answering:
    """A board whose every program writes the same bytes and ends; as channel and as transport."""

    uri = "ssh:pi@192.0.2.7"
    work_folder = "/w"
    lease_folder = "/l"
    launcher = ()
    emulated = False

    def __init__(self, says: bytes) -> None:
        self._says = says
        self._left = says

    def system(self) -> str:
        return "android"

    def machine(self) -> str:
        return "aarch64"

    def run(self, argv: Sequence[str], **_: object) -> Completed:
        return Completed(argv=tuple(argv), returncode=0, stdout=self._says, stderr=self._says)

    def stream(self, argv: Sequence[str]) -> Answering:
        self._left = self._says
        return self

    def find_program(self, name: str, sha256: str) -> str | None:
        return None

    def read(self, limit: int, timeout: float | None = None) -> bytes:
        piece, self._left = self._left[: min(limit, 4000)], self._left[min(limit, 4000) :]
        return piece

    def write(self, data: bytes | memoryview) -> None:
        pass

    def close_input(self) -> None:
        pass

    def wait(self, timeout: float | None = None) -> int:
        return 1

    def error_tail(self) -> str:
        return self._says[-1000:].decode(errors="replace")

    def close(self) -> None:
        pass


def _push(says: bytes, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(CONTENT)
    file = PushFile(local=path, sha256=SHA256, size=10, executable=False, name="f")
    push(cast(Transport, Answering(says)), ["receive"], "b", [file], answer_seconds=0.2)


def _program(board: Transport) -> None:
    folder = ProgramFolder(board, 0.2, lambda: False)
    with contextlib.suppress(DeviceStorageError):  # the board's program ends with 1
        folder.find(Program(name="p", sha256=SHA256))


def _read_files(board: Transport) -> None:
    for _, content in read_files(board, ["/a", "/b"]):
        if not isinstance(content, str):
            while content.read(1000):
                pass


def _ready(board: Any) -> None:
    asked = agent_start.AskedBoard(
        device=Device(name="d", uri=board.uri), purpose="", wait=True, progress=lambda event: None
    )
    agent_start._started(board, "token", asked)


def _errors(board: Any) -> None:
    errors = ReportedErrors(keep_all=True)
    while chunk := board.read(1000):
        errors.add(chunk)
    errors.end()
    errors.pid(0)
    errors.tail()


def _archive() -> bytes:
    place = io.BytesIO()
    with tarfile.open(fileobj=place, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, size in (("a", 3000), ("b" * 200, 10)):
            member = tarfile.TarInfo(name)
            member.size = size
            archive.addfile(member, io.BytesIO(b"x" * size))
    return place.getvalue()


PROPERTIES = b"""
deployx-part properties
[ro.product.model]: [Pixel 9]
[ro.build.version.sdk]: [35]
deployx-part page_bytes
4096
deployx-part battery
  level: 80
  scale: 100
  temperature: 312
  status: 2
deployx-part zones
cpu 45000
"""

# Name, how it is read, and a good answer.
READERS: dict[str, tuple[Callable[[Any], object], bytes]] = {
    "facts of a phone": (lambda b: facts_table(cast(Any, android_facts(b))), PROPERTIES),
    "mounts": (
        lambda b: why_programs_do_not_run(b, "/w/bin"),
        b"/dev/root / ext4 rw 0 0\ntmpfs /w\\040x tmpfs rw,noexec 0 0\n\ndeployx-selinux Enforcing",
    ),
    "devices": (
        lambda b: read_devices(b.run(["x"]).stdout.decode(errors="replace")),
        b"R5CT20 device usb:1-1 product:x model:y transport_id:7\n127.0.0.1:9 offline\n",
    ),
    "lease": (
        lambda b: lease._entries(b, "dx-agent"),
        b"holder 0123456789abcdef 17 40 ann ann@desk: bench digits\n"
        b"waiting fedcba9876543210 18 3 - bob\n",
    ),
    "agents": (
        lambda b: lease._agent_there(b, find_target("linux-x64")),
        b"dx-agent-12\ndx-agent-34\n",
    ),
    "date": (board_doctor._clock, b"1764424800\n"),
    "ticks": (
        lambda b: other_load._read(LineReader(b)),
        b"cpu  1 2 3 4 5 6 7 8 9 10\n17 (dx agent) S 1 1 1 0 -1 0 0 0 0 0 10 20 30 40 20 0\n",
    ),
    "glibc and Jetson": (
        sysroot._ask,
        b"tegra # R35 (release), REVISION: 4.1\nstable release version 2.31\n",
    ),
    "tree": (
        lambda b: list_tree(b, ["/a*"]),
        b"folder /a\nfile 12 1764424800 /a/b\nlink /a/c\nto /a/b\nbroken /a/d\nabsent /e\nend\n",
    ),
    "hashes": (lambda b: hash_files(b, ["/a"]), f"{SHA256}  a\n".encode()),
    "archive": (_read_files, _archive()),
    "ready": (
        _ready,
        b"alone why\nwaiting 0123456789abcdef 12 40 ann ann@desk: x\nready 4711 12345\n",
    ),
    "standard error": (_errors, b"Welcome!\ndeployx-pid 4711\ncannot open\n"),
    "program": (
        _program,
        b"deployx-board own 0\ndeployx-board path /w\n"
        b"deployx-board is drwx------ 2 0 0 40 Jan 1 00:00 /w\ndeployx-board judge\n"
        b"deployx-board have\n",
    ),
    "lines": (lambda b: LineReader(b).next(1.0), b"a line\r\nanother\n"),
}


def mutated(data: bytes, dice: random.Random) -> bytes:
    changed = data
    for _ in range(dice.randint(1, 4)):
        at = dice.randint(0, len(changed))
        end = min(len(changed), at + dice.randint(0, 12))
        put = dice.choice(
            [b"", dice.randbytes(dice.randint(1, 9)), dice.choice(NASTY_BYTES), changed[at:] * 2]
        )
        changed = changed[:at] + put + changed[end:]
    return changed


@pytest.mark.parametrize("name", READERS)
def test_every_reader_gives_a_value_or_an_error_of_ours(name: str) -> None:
    read, good = READERS[name]
    dice = random.Random(f"deployx {name}")
    read(Answering(good))
    for _ in range(ROUNDS):
        try:
            read(Answering(mutated(good, dice)))
        except DeployxError:
            continue


def test_every_answer_to_a_push_ends_it(tmp_path: Path) -> None:
    dice = random.Random("deployx push")
    good = f"hello\ndeployx-receive 2 1000\nneed {SHA256} 4\nend\nhave 6\nok {SHA256}\ndone b\n"
    for _ in range(ROUNDS):
        try:
            _push(mutated(good.encode(), dice), tmp_path)
        except DeployxError:
            continue


MESSAGES: list[tuple[Message, Callable[[Any], object]]] = [
    (
        agent_pb2.Tensor(name="out", dtype="float32", dims=[2, 3], data=bytes(24)),
        messages.array_of,
    ),
    (
        agent_pb2.DeviceDescription(
            machine="aarch64", libc="glibc 2.31", cores=4, memory_bytes=1 << 30
        ),
        lambda m: preflight.libc_misfit(messages.board_of(m), cast(Any, Needy)),
    ),
    (agent_pb2.Loaded(model_id="m1", load_ns=12, threads=4), messages.load_of),
    (agent_pb2.LayerTimes(index=1, name="conv", dims=[1, 2], ns=[5, 6]), messages.layer_of),
    (
        agent_pb2.Failure(code=agent_pb2.FAILURE_WATCHDOG, message="x", signal=11, log_tail="y"),
        failures.from_failure,
    ),
]


class Needy:
    name = "worker"
    libc = "GLIBC_2.34"
    runtime = "ncnn"


@pytest.mark.parametrize(("message", "read"), MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_of_an_agent_gives_a_value_or_an_error_of_ours(
    message: Message, read: Callable[[Any], object]
) -> None:
    dice = random.Random(f"deployx {type(message).__name__}")
    good = message.SerializeToString()
    read(message)
    for _ in range(20 * ROUNDS):
        try:
            changed = type(message).FromString(mutated(good, dice))
        except DecodeError:
            continue  # gRPC tells of that by itself.
        try:
            read(changed)
        except DeployxError:
            continue
