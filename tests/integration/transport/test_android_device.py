"""The virtual Android device, seen by the real adb, and by a host of adb's first version."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.android import VirtualPhone, adb, running_phone

HEADER = struct.Struct("<6I")
OLD_VERSION = 0x01000000
OLD_PAYLOAD = 4096
NAME = "with space 'quote\" $x größe"


@pytest.fixture
def device(tmp_path: Path) -> Iterator[VirtualPhone]:
    with running_phone(tmp_path / "a 'root' größe") as running:
        yield running


@pytest.fixture
def serial(adb_server: int, device: VirtualPhone) -> Iterator[str]:
    assert f"connected to {device.serial}" in adb("connect", device.serial)
    yield device.serial
    adb("disconnect", device.serial)


def shell(serial: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = ["adb", "-s", serial, "shell", *words]
    return subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)


class TestRealAdb:
    def test_shell_has_two_outputs_and_exit_codes(self, serial: str) -> None:
        done = shell(serial, "echo out; echo err >&2; exit 9")
        assert (done.returncode, done.stdout, done.stderr) == (9, b"out\n", b"err\n")
        assert shell(serial, "kill -9 $$").returncode == 137

    def test_input_ends(self, serial: str) -> None:
        data = os.urandom(3 << 20)
        command = ["adb", "-s", serial, "shell", "-T", "cat; echo -n end"]
        done = subprocess.run(command, input=data, capture_output=True, timeout=60)
        assert done.stdout == data + b"end"

    def test_exec_out_is_bare(self, serial: str) -> None:
        command = ["adb", "-s", serial, "exec-out", "head -c 100000 /dev/zero; exit 3"]
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
        assert done.stdout == bytes(100_000)

    def test_a_folder_there_and_back(self, serial: str, tmp_path: Path) -> None:
        source = tmp_path / "source"
        (source / NAME).mkdir(parents=True)
        (source / NAME / "big").write_bytes(os.urandom(5 << 20))
        (source / "program").write_text("#!/bin/sh\necho ran\n")
        (source / "program").chmod(0o755)
        (source / "empty").touch()
        os.utime(source / "program", (1_600_000_000, 1_600_000_000))
        adb("-s", serial, "push", str(source), "/data/local/tmp/copy")
        assert shell(serial, "/data/local/tmp/copy/program").stdout == b"ran\n"
        adb("-s", serial, "pull", "-a", "/data/local/tmp/copy", str(tmp_path / "back"))
        for name in (f"{NAME}/big", "program", "empty"):
            assert (tmp_path / "back" / name).read_bytes() == (source / name).read_bytes()
        found = (tmp_path / "back" / "program").stat()
        assert (found.st_mode & 0o777, int(found.st_mtime)) == (0o755, 1_600_000_000)

    def test_what_cannot_be_copied_says_why(self, serial: str, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(bytes(1 << 20))
        said = adb("-s", serial, "pull", "/data/local/tmp/none", str(tmp_path / "x"), check=False)
        assert "No such file" in said
        said = adb("-s", serial, "push", str(tmp_path / "file"), "/proc/none/x", check=False)
        assert "No such file or directory" in said
        # The connection is as good as before.
        assert shell(serial, "echo still here").stdout == b"still here\n"

    def test_forward(self, serial: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            remote = f"tcp:{server.getsockname()[1]}"
            port = int(adb("-s", serial, "forward", "tcp:0", remote))
            data = os.urandom(2 << 20)
            with socket.create_connection(("127.0.0.1", port), 30) as here:
                there, _ = server.accept()
                with there:
                    sender = threading.Thread(target=here.sendall, args=(data,))
                    sender.start()
                    arrived = _exactly(there, len(data))
                    sender.join()
                    there.sendall(b"answer")
                    assert (arrived, _exactly(here, 6)) == (data, b"answer")
                # Nothing is half closed: the end of one side is the end of both.
                assert here.recv(1) == b""
            adb("-s", serial, "forward", "--remove-all")

    def test_its_places_lie_in_its_folder(self, serial: str, device: VirtualPhone) -> None:
        shell(serial, "mkdir '/data/local/tmp/a b'; echo x > '/data/local/tmp/a b/c'")
        assert (device.root / "data/local/tmp/a b/c").read_text() == "x\n"
        boot = shell(serial, "cat /proc/sys/kernel/random/boot_id").stdout
        assert boot != Path("/proc/sys/kernel/random/boot_id").read_bytes()

    def test_it_answers_as_android(self, serial: str) -> None:
        assert shell(serial, "uname -m").stdout == b"aarch64\n"
        assert shell(serial, "getprop ro.build.version.sdk").stdout == b"34\n"
        assert b"[ro.product.model]: [Virtual Android arm64]" in shell(serial, "getprop").stdout
        assert shell(serial, "settings get global low_power").stdout == b"0\n"
        assert b"level: 100" in shell(serial, "dumpsys battery").stdout

    def test_an_unknown_service_is_refused(self, serial: str) -> None:
        assert "closed" in adb("-s", serial, "root", check=False)
        assert shell(serial, "true").returncode == 0


class OldHost:
    """Speaks adb's first version: a sum over every payload, small payloads."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.send(b"CNXN", OLD_VERSION, OLD_PAYLOAD, b"host::\0")
        command, _, _, banner = self.receive()
        assert command == b"CNXN"
        assert banner.startswith(b"device::")

    def send(self, command: bytes, arg0: int, arg1: int, payload: bytes = b"") -> None:
        number = int.from_bytes(command, "little")
        fields = (number, arg0, arg1, len(payload), sum(payload), number ^ 0xFFFFFFFF)
        self.socket.sendall(HEADER.pack(*fields) + payload)

    def receive(self) -> tuple[bytes, int, int, bytes]:
        number, arg0, arg1, size, total, magic = HEADER.unpack(self.exactly(HEADER.size))
        payload = self.exactly(size)
        assert magic == number ^ 0xFFFFFFFF
        assert total == sum(payload)
        assert size <= OLD_PAYLOAD
        return number.to_bytes(4, "little"), arg0, arg1, payload

    def exactly(self, size: int) -> bytes:
        data = _exactly(self.socket, size)
        assert len(data) == size
        return data

    def open(self, service: bytes) -> int:
        """The device's number of the stream, or 0 where it refuses."""
        self.send(b"OPEN", 7, 0, service + b"\0")
        command, theirs, mine, _ = self.receive()
        assert mine == 7
        return theirs if command == b"OKAY" else 0

    def ask(self, stream: int, request: bytes) -> None:
        self.send(b"WRTE", 7, stream, request)

    def answer(self, stream: int, size: int) -> bytes:
        """Payloads of the stream until there are ``size`` bytes, each acknowledged."""
        data = b""
        while len(data) < size:
            command, _, _, payload = self.receive()
            if command == b"WRTE":
                data += payload
                self.send(b"OKAY", 7, stream)
        return data


class TestOldHost:
    def test_shell_without_packets(self, device: VirtualPhone) -> None:
        host = OldHost(device.port)
        with host.socket:
            stream = host.open(b"shell:head -c 10000 /dev/zero; echo done")
            assert host.answer(stream, 10005) == bytes(10_000) + b"done\n"

    def test_stat_list_and_files_of_the_first_version(self, device: VirtualPhone) -> None:
        place = device.root / "data/local/tmp"
        (place / "seen").write_bytes(b"12345")
        host = OldHost(device.port)
        with host.socket:
            stream = host.open(b"sync:")
            host.ask(stream, _request(b"STAT", b"/data/local/tmp/seen"))
            kind, mode, size, changed = struct.unpack("<4s3I", host.answer(stream, 16))
            assert (kind, mode & 0o170000, size) == (b"STAT", 0o100000, 5)
            assert changed == int((place / "seen").stat().st_mtime)
            host.ask(stream, _request(b"STAT", b"/no/such"))
            assert host.answer(stream, 16) == b"STAT" + bytes(12)
            host.ask(stream, _request(b"LIST", b"/data/local/tmp"))
            listed = host.answer(stream, 20 * 4 + len("...seen"))
            assert b"DENT" in listed
            assert listed.endswith(b"DONE" + bytes(16))
            host.ask(stream, _request(b"SEND", b"/data/local/tmp/new,33261"))
            host.ask(stream, b"DATA" + struct.pack("<I", 3) + b"new")
            host.ask(stream, b"DONE" + struct.pack("<I", 1_500_000_000))
            assert host.answer(stream, 8) == b"OKAY" + bytes(4)
            found = (place / "new").stat()
            assert (found.st_mode & 0o777, found.st_mtime) == (0o755, 1_500_000_000)
            host.ask(stream, _request(b"RECV", b"/data/local/tmp/new"))
            assert host.answer(stream, 19) == b"DATA\3\0\0\0newDONE" + bytes(4)

    def test_what_is_not_there_is_refused(self, device: VirtualPhone) -> None:
        host = OldHost(device.port)
        with host.socket:
            assert host.open(b"jdwp") == 0
            assert host.open(b"tcp:1") == 0

    def test_another_user_is_sent_away(self, device: VirtualPhone) -> None:
        if os.getuid() != 0:
            pytest.skip("another user can only be played by root")
        program = (
            "import socket, sys\n"
            "connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30)\n"
            "print(connection.recv(1))"
        )
        words = ["/usr/bin/python3", "-c", program, str(device.port)]
        done = subprocess.run(words, user=65534, capture_output=True, cwd="/", timeout=60)
        assert done.stdout == b"b''\n"

    def test_nonsense_ends_the_connection_alone(self, device: VirtualPhone) -> None:
        with socket.create_connection(("127.0.0.1", device.port), 30) as other:
            other.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert other.recv(100) == b""
        host = OldHost(device.port)
        host.socket.close()


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := connection.recv(size - len(data))):
        data += chunk
    return data


def _request(kind: bytes, text: bytes) -> bytes:
    return kind + struct.pack("<I", len(text)) + text
