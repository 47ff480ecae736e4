"""What a Transport promises, over every link there is."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployx_edge.errors import ArchitectureError, LinkLostError, TransportError
from deployx_edge.target import find_target
from deployx_edge.transport.board import check_machine, target_of_board
from deployx_edge.transport.output import LineReader
from deployx_edge.transport.protocol import Channel, Transport
from deployx_edge.transport.push import file_sha256
from tests.integration.processes import wait_until_gone
from tests.integration.transport.links import LinkCase

MEBIBYTE = 1 << 20


class TestRun:
    def test_gives_output_and_exit_code(self, case: LinkCase) -> None:
        with case.open() as link:
            done = link.run(["sh", "-c", "echo out; echo 'err ü' >&2; exit 7"])
        assert (done.returncode, done.stdout, done.stderr.decode()) == (7, b"out\n", "err ü\n")

    def test_arguments_arrive_as_they_are(self, case: LinkCase) -> None:
        words = ["two words", "quote'\"s", "$HOME `id` \\ *", "ü", ""]
        with case.open() as link:
            done = link.run(["printf", "%s\n", *words])
        assert done.stdout.decode() == "".join(f"{word}\n" for word in words)

    def test_a_missing_program_is_127(self, case: LinkCase) -> None:
        with case.open() as link:
            done = link.run(["no-such-program-here"])
        assert done.returncode == 127
        assert b"no-such-program-here" in done.stderr

    def test_a_signal_is_128_and_its_number(self, case: LinkCase) -> None:
        with case.open() as link:
            assert link.run(["sh", "-c", "kill -9 $$"]).returncode == 137

    def test_large_input_arrives_whole(self, case: LinkCase) -> None:
        with case.open() as link:
            done = link.run(["wc", "-c"], input=bytes(16 * MEBIBYTE))
        assert int(done.stdout) == 16 * MEBIBYTE

    def test_a_program_need_not_read_its_input(self, case: LinkCase) -> None:
        with case.open() as link:
            done = link.run(["sh", "-c", "exit 3"], input=bytes(16 * MEBIBYTE))
        assert done.returncode == 3

    def test_much_standard_error_does_not_block(self, case: LinkCase) -> None:
        with case.open() as link:
            done = link.run(["sh", "-c", "head -c 8388608 /dev/zero >&2; echo end"])
        assert (done.stdout, len(done.stderr)) == (b"end\n", 8 * MEBIBYTE)

    def test_the_timeout_ends_the_program(self, case: LinkCase) -> None:
        with case.open() as link:
            with pytest.raises(LinkLostError, match="did not end within 1 seconds"):
                link.run(["sleep", "86311"], timeout=1.0)
            assert link.run(["true"]).returncode == 0
        wait_until_gone("86311")


class TestStream:
    def test_64_mebibytes_both_ways(self, case: LinkCase) -> None:
        block = os.urandom(MEBIBYTE)
        sent, received = hashlib.sha256(block * 64), hashlib.sha256()
        with case.open() as link:
            channel = link.stream(["cat"])
            writer = threading.Thread(target=_write_blocks, args=(channel, block, 64))
            writer.start()
            size = 0
            while chunk := channel.read(MEBIBYTE):
                received.update(chunk)
                size += len(chunk)
            writer.join()
            assert channel.wait(60) == 0
            channel.close()
        assert size == 64 * MEBIBYTE
        assert received.digest() == sent.digest()

    def test_lines_and_the_tail_of_errors(self, case: LinkCase) -> None:
        with case.open() as link:
            channel = link.stream(["sh", "-c", "echo ready; read w; echo got $w; echo bye >&2"])
            lines = LineReader(channel)
            assert lines.next(60) == "ready"
            channel.write(b"it\n")
            assert lines.next(60) == "got it"
            assert lines.next(60) is None
            assert channel.wait(60) == 0
            assert channel.error_tail() == "bye"
            channel.close()

    def test_a_silent_program_is_given_up(self, case: LinkCase) -> None:
        with case.open() as link:
            channel = link.stream(["sleep", "86321"])
            with pytest.raises(LinkLostError, match="wrote nothing for 1 seconds"):
                channel.read(1, timeout=1.0)
            with pytest.raises(LinkLostError, match="did not end within"):
                channel.wait(0.1)
            channel.close()
            channel.close()
        wait_until_gone("86321")

    def test_closing_the_link_ends_its_programs(self, case: LinkCase) -> None:
        link = case.open()
        channel = link.stream(["sleep", "86331"])
        link.close()
        link.close()
        wait_until_gone("86331")
        with pytest.raises(LinkLostError):
            channel.read(1, timeout=5)
        with pytest.raises(LinkLostError):
            channel.write(b"x")

    def test_close_wakes_a_reader(self, case: LinkCase) -> None:
        with case.open() as link:
            channel = link.stream(["sleep", "86341"])
            outcome: list[BaseException] = []
            reader = threading.Thread(target=_read_into, args=(channel, outcome))
            reader.start()
            channel.close()
            reader.join(30)
            assert not reader.is_alive()
        assert isinstance(outcome[0], LinkLostError)

    def test_writing_to_an_ended_program_is_an_error(self, case: LinkCase) -> None:
        with case.open() as link:
            channel = link.stream(["sh", "-c", "echo gone >&2; exit 4"])
            assert channel.wait(60) == 4
            with pytest.raises(LinkLostError, match="exit code 4: gone"):
                for _ in range(64):
                    channel.write(bytes(MEBIBYTE))
            channel.close()


class TestFiles:
    def test_pull(self, case: LinkCase, tmp_path: Path) -> None:
        remote, here = case.new_folder()
        here.mkdir(parents=True)
        (here / "größe 1.bin").write_bytes(os.urandom(5 * MEBIBYTE + 1))
        with case.open() as link:
            link.pull(f"{remote}/größe 1.bin", tmp_path / "copy")
        assert file_sha256(tmp_path / "copy") == file_sha256(here / "größe 1.bin")

    def test_pull_of_nothing_leaves_nothing(self, case: LinkCase, tmp_path: Path) -> None:
        with case.open() as link, pytest.raises(TransportError, match="/no/such/file"):
            link.pull("/no/such/file", tmp_path / "copy")
        assert list(tmp_path.glob("copy*")) == []

    def test_put_program_sends_once(self, case: LinkCase) -> None:
        remote, here = case.new_folder()
        with case.open(remote) as link:
            path = link.put_program(case.agent, "agent-1")
            assert path == f"{remote}/bin/agent-1"
            first = (here / "bin" / "agent-1").stat()
            assert link.put_program(case.agent, "agent-1") == path
            done = link.run([*link.launcher, path, "--version"])
        again = (here / "bin" / "agent-1").stat()
        assert (first.st_ino, first.st_mtime_ns) == (again.st_ino, again.st_mtime_ns)
        assert first.st_mode & 0o777 == 0o755
        assert done.stdout.startswith(b"dx-agent ")
        assert [file.name for file in (here / "bin").iterdir()] == ["agent-1"]

    def test_a_damaged_program_is_replaced(self, case: LinkCase) -> None:
        remote, here = case.new_folder()
        told: list[str] = []

        def put(link: Transport) -> str:
            return link.put_program(case.agent, "agent-1", on_replaced=lambda: told.append("x"))

        with case.open(remote) as link:
            path = put(link)
            with (here / "bin" / "agent-1").open("r+b") as file:
                file.seek(case.agent.stat().st_size // 2)
                file.write(bytes(4096))
            assert link.find_program("agent-1", file_sha256(case.agent)) is None
            assert (put(link), told) == (path, ["x"])
            assert link.find_program("agent-1", file_sha256(case.agent)) == path
        assert file_sha256(here / "bin" / "agent-1") == file_sha256(case.agent)

    def test_work_folder_is_absolute(self, case: LinkCase) -> None:
        remote, _ = case.new_folder()
        with case.open(remote) as link:
            assert link.work_folder == remote


class TestBoard:
    def test_machine(self, case: LinkCase) -> None:
        with case.open() as link:
            assert link.machine() == case.machine
            assert link.system() == case.system
            target = target_of_board(link)
        assert (target.machines[0], target.system) == (case.machine, case.system)

    def test_another_architecture_is_refused(self, case: LinkCase) -> None:
        right, wrong = find_target("linux-x64"), find_target("linux-arm64")
        if case.machine == "aarch64":
            right, wrong = wrong, right
        fitting = "android-arm64" if case.system == "android" else right.id
        with case.open() as link:
            check_machine(link, right)
            with pytest.raises(ArchitectureError) as caught:
                check_machine(link, wrong)
        assert f"uname -m says {case.machine}" in str(caught.value)
        assert f"target {wrong.id} wants {wrong.machines[0]}" in str(caught.value)
        assert f"target = '{fitting}' in deployx.toml" in caught.value.remedy

    def test_only_virtual_is_emulated(self, case: LinkCase) -> None:
        with case.open() as link:
            assert link.emulated == case.emulated
            assert bool(link.launcher) == case.emulated
            assert link.uri == case.uri


class TestForward:
    def test_several_connections_at_once(self, case: LinkCase) -> None:
        block = os.urandom(3 * MEBIBYTE)
        with _echo_server() as port, case.open() as link:
            local = link.forward(port)
            connections = [socket.create_connection(("127.0.0.1", local), 30) for _ in range(5)]
            answers: list[bytes] = [b""] * 5
            threads = [
                threading.Thread(
                    target=_exchange, args=(connection, block, answers, number, case.half_closes)
                )
                for number, connection in enumerate(connections)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [answer == block for answer in answers] == [True] * 5

    def test_ends_with_close(self, case: LinkCase) -> None:
        with _echo_server() as port:
            link = case.open()
            local = link.forward(port)
            connection = socket.create_connection(("127.0.0.1", local), 30)
            connection.sendall(b"x")
            assert connection.recv(1) == b"x"
            link.close()
            if local != port:
                connection.settimeout(30)
                assert _recv_to_end(connection) == b""
                with pytest.raises(OSError, match="refused"):
                    socket.create_connection(("127.0.0.1", local), 30)
            connection.close()


def _write_blocks(channel: Channel, block: bytes, count: int) -> None:
    for _ in range(count):
        channel.write(block)
    channel.close_input()


def _read_into(channel: Channel, outcome: list[BaseException]) -> None:
    try:
        channel.read(1)
    except LinkLostError as error:
        outcome.append(error)


def _recv_to_end(connection: socket.socket) -> bytes:
    data = b""
    try:
        while chunk := connection.recv(MEBIBYTE):
            data += chunk
    except ConnectionResetError:
        return data
    return data


def _exchange(
    connection: socket.socket, block: bytes, answers: list[bytes], number: int, half_closes: bool
) -> None:
    with connection:
        sender = threading.Thread(target=_send_all, args=(connection, block, half_closes))
        sender.start()
        if half_closes:
            answers[number] = _recv_to_end(connection)
        else:
            answers[number] = _recv_exactly(connection, len(block))
        sender.join()


def _send_all(connection: socket.socket, block: bytes, half_closes: bool) -> None:
    connection.sendall(block)
    if half_closes:
        connection.shutdown(socket.SHUT_WR)


def _recv_exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (chunk := connection.recv(MEBIBYTE)):
        data += chunk
    return data


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(MEBIBYTE):
                connection.sendall(data)
        except OSError:
            return


@contextmanager
def _echo_server() -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            connection, _ = server.accept()
            if stop.is_set():
                connection.close()
                return
            threads.append(threading.Thread(target=_echo, args=(connection,), daemon=True))
            threads[-1].start()

    stop = threading.Event()
    acceptor = threading.Thread(target=accept)
    acceptor.start()
    port = int(server.getsockname()[1])
    try:
        yield port
    finally:
        stop.set()
        socket.create_connection(("127.0.0.1", port), 30).close()
        acceptor.join()
        server.close()
        for thread in threads:
            thread.join(30)
