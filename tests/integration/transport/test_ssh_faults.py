"""A link that dies or freezes in the middle ends every wait, with a reason."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployx_edge.errors import LinkLostError
from deployx_edge.transport.protocol import Channel, Transport
from deployx_edge.transport.push import PushFile, file_sha256, install_agent, push
from tests.integration.transport.links import LinkCase

MEBIBYTE = 1 << 20
SILENCE = 2.0


@pytest.fixture
def link(remote_case: LinkCase) -> Iterator[Transport]:
    assert remote_case.sshd is not None
    options = remote_case.sshd.options(silence_seconds=SILENCE)
    with remote_case.open(options=options) as opened:
        yield opened
        remote_case.sshd.signal_sessions(signal.SIGKILL)


def kill(case: LinkCase) -> None:
    assert case.sshd is not None
    case.sshd.signal_sessions(signal.SIGKILL)


def freeze(case: LinkCase) -> None:
    assert case.sshd is not None
    case.sshd.signal_sessions(signal.SIGSTOP)


FAULTS = pytest.mark.parametrize("fault", [kill, freeze])


def read_for_ever(channel: Channel) -> None:
    while channel.read(MEBIBYTE):
        pass


def write_for_ever(channel: Channel) -> None:
    while True:
        channel.write(bytes(MEBIBYTE))


def wait_for_ever(channel: Channel) -> None:
    channel.wait()


@FAULTS
class TestEveryWait:
    @pytest.mark.parametrize("work", [read_for_ever, write_for_ever, wait_for_ever])
    def test_of_a_channel(
        self,
        link: Transport,
        remote_case: LinkCase,
        fault: Callable[[LinkCase], None],
        work: Callable[[Channel], None],
    ) -> None:
        command = ["cat", "/dev/zero"] if work is read_for_ever else ["sleep", "86361"]
        channel = link.stream(command)
        timer = threading.Timer(0.3, fault, [remote_case])
        timer.start()
        with pytest.raises(LinkLostError, match=r"The link to 127\.0\.0\.1:\d+ was lost"):
            work(channel)
        timer.join()
        channel.close()

    def test_of_run(
        self, link: Transport, remote_case: LinkCase, fault: Callable[[LinkCase], None]
    ) -> None:
        timer = threading.Timer(0.3, fault, [remote_case])
        timer.start()
        with pytest.raises(LinkLostError, match="was lost"):
            link.run(["sleep", "86371"], input=bytes(64 * MEBIBYTE), timeout=None)
        timer.join()
        with pytest.raises(LinkLostError):
            link.run(["true"])

    def test_of_a_forwarded_connection(
        self, link: Transport, remote_case: LinkCase, fault: Callable[[LinkCase], None]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = link.forward(server.getsockname()[1])
            server.accept()[0].close()  # The look whether anybody listens.
            with socket.create_connection(("127.0.0.1", port), 30) as connection:
                accepted, _ = server.accept()
                with accepted:
                    fault(remote_case)
                    assert connection.recv(1) == b""

    def test_of_a_push(
        self,
        link: Transport,
        remote_case: LinkCase,
        fault: Callable[[LinkCase], None],
        tmp_path: Path,
    ) -> None:
        path = tmp_path / "big"
        path.write_bytes(os.urandom(24 * MEBIBYTE))
        file = PushFile(
            local=path,
            sha256=file_sha256(path),
            size=24 * MEBIBYTE,
            executable=False,
            name="big",
        )
        agent = install_agent(link, remote_case.agent)
        done: list[int] = []

        def at_half(sent: int, total: int) -> None:
            if sent > total // 2 and not done:
                done.append(sent)
                fault(remote_case)

        receiver = [agent, "receive", "--work", link.work_folder]
        with pytest.raises(LinkLostError, match="was lost"):
            push(link, receiver, "bundle", [file], at_half)


def test_a_frozen_link_says_for_how_long_nothing_came(
    link: Transport, remote_case: LinkCase
) -> None:
    channel = link.stream(["sleep", "86381"])
    freeze(remote_case)
    with pytest.raises(LinkLostError, match="nothing came from it for 2 seconds"):
        channel.read(1)


def test_a_quiet_link_lives(link: Transport) -> None:
    """Silence of the program is none of the link: signs of life are asked for."""
    channel = link.stream(["sh", "-c", f"sleep {int(SILENCE * 3)}; echo awake"])
    assert channel.read(100) == b"awake\n"
    channel.close()
