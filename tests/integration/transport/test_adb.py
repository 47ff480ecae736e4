"""Links over the real adb server: which device is meant, what keeps it, and how it goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from deployx_edge.device import LinkOptions
from deployx_edge.errors import (
    AuthenticationError,
    LinkLostError,
    MissingToolError,
    TransportError,
)
from deployx_edge.transport import open_transport
from deployx_edge.transport.adb.finding import find_ready
from deployx_edge.transport.adb.server import AdbServer, KnownDevice
from deployx_edge.transport.protocol import Channel, Transport
from deployx_edge.transport.push import PushFile, PushReport, file_sha256, install_agent, push
from tests.integration.android import (
    VirtualPhone,
    adb,
    end_server,
    listed_serials,
    running_phone,
)
from tests.integration.board import MissingPartError, free_port
from tests.integration.busybox import busybox
from tests.integration.conftest import built_agent
from tests.integration.foreign import register
from tests.integration.processes import wait_until, wait_until_gone, with_words

MEBIBYTE = 1 << 20
SILENCE = 2.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"

pytestmark = pytest.mark.usefixtures("adb_server")


@pytest.fixture
def fresh_phone(phone: VirtualPhone, tmp_path: Path) -> Iterator[VirtualPhone]:
    """A device for one test, which may kill it."""
    with running_phone(tmp_path / "its 'own' größe") as device:
        yield device
    adb("disconnect", device.serial, check=False)


class TestWhichDevice:
    def test_four_at_once(self, phone: VirtualPhone, tmp_path: Path) -> None:
        with ExitStack() as stack:
            phones = [
                stack.enter_context(running_phone(tmp_path / f"phone {number}"))
                for number in range(4)
            ]
            links = [stack.enter_context(open_transport(one.uri)) for one in phones]
            answers: list[bytes] = [b""] * 4

            def use(number: int) -> None:
                link, place = links[number], "/data/local/tmp/who is it"
                link.run(["sh", "-c", f"cat > '{place}'"], input=b"%d" % number * MEBIBYTE)
                answers[number] = link.run(["cat", place]).stdout

            threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            boots = {link.run(["cat", BOOT_ID]).stdout for link in links}
            for one in phones:
                adb("disconnect", one.serial)
        assert answers == [b"%d" % number * MEBIBYTE for number in range(4)]
        assert len(boots) == 4

    def test_an_unknown_serial_is_refused_with_the_nearest(self, phone: VirtualPhone) -> None:
        adb("connect", phone.serial)
        with pytest.raises(TransportError, match="knows no device '127001'") as caught:
            open_transport("adb:127001")
        assert f"adb:{phone.serial}" in caught.value.remedy

    def test_without_a_serial_it_is_the_only_one(
        self, phone: VirtualPhone, fresh_phone: VirtualPhone
    ) -> None:
        adb("disconnect")
        with pytest.raises(TransportError, match="knows no device") as none:
            open_transport("adb:")
        assert "USB debugging" in none.value.remedy
        adb("connect", phone.serial)
        with open_transport("adb:") as link:
            assert link.run(["true"]).returncode == 0
        adb("connect", fresh_phone.serial)
        with pytest.raises(TransportError, match="there are 2") as several:
            open_transport("adb:")
        assert phone.serial in several.value.message
        assert fresh_phone.serial in several.value.message

    def test_a_port_is_connected_to_by_itself(self, fresh_phone: VirtualPhone) -> None:
        assert fresh_phone.serial not in adb("devices")
        with open_transport(fresh_phone.uri) as link:
            assert link.run(["echo", "hello"]).stdout == b"hello\n"

    def test_nobody_at_the_port(self) -> None:
        with pytest.raises(TransportError, match="cannot connect to 127"):
            open_transport(f"adb:127.0.0.1:{free_port()}")

    def test_unauthorized_is_explained(self, tmp_path: Path) -> None:
        with running_phone(tmp_path / "phone", "--unauthorized") as stranger:
            with pytest.raises(AuthenticationError, match="has not accepted") as caught:
                open_transport(stranger.uri, options=LinkOptions(connect_seconds=5))
            assert "Always allow" in caught.value.remedy
            adb("disconnect", stranger.serial, check=False)

    def test_a_device_that_says_nothing(self, fresh_phone: VirtualPhone) -> None:
        fresh_phone.process.send_signal(signal.SIGSTOP)
        options = LinkOptions(connect_seconds=SILENCE, silence_seconds=SILENCE)
        started = time.monotonic()
        with pytest.raises(TransportError) as caught:
            open_transport(fresh_phone.uri, options=options)
        fresh_phone.process.send_signal(signal.SIGCONT)
        assert time.monotonic() - started < 30
        assert fresh_phone.serial in caught.value.message

    def test_a_connection_that_was_about_to_end_is_made_anew(
        self, fresh_phone: VirtualPhone
    ) -> None:
        class ServerThatIsLate(AdbServer):
            """Lists a connection as ready once more, as long as its end was not noticed."""

            lists = 0

            def devices(self) -> list[KnownDevice]:
                listed = super().devices()
                self.lists += 1
                if self.lists == 1:
                    adb("disconnect", fresh_phone.serial)
                return listed

        adb("connect", fresh_phone.serial)
        server = ServerThatIsLate(connect_seconds=10)
        assert find_ready(server, fresh_phone.serial, 10).serial == fresh_phone.serial
        assert server.lists > 1

    def test_offline_is_connected_to_again(self, fresh_phone: VirtualPhone) -> None:
        with open_transport(fresh_phone.uri) as link:
            boot = link.run(["cat", BOOT_ID]).stdout
        fresh_phone.process.kill()
        fresh_phone.process.wait()
        ready = f"{fresh_phone.serial}\tdevice"
        wait_until(lambda: ready not in adb("devices"), "the server's notice")
        with pytest.raises(TransportError, match="cannot connect"):
            open_transport(fresh_phone.uri)
        with (
            running_phone(fresh_phone.root, "--port", str(fresh_phone.port)) as again,
            open_transport(again.uri) as link,
        ):
            # The same device: its cable was pulled, it did not reboot.
            assert link.run(["cat", BOOT_ID]).stdout == boot


class TestTheServer:
    def test_it_is_started_where_none_runs(
        self, fresh_phone: VirtualPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        monkeypatch.setenv("HOME", str(tmp_path))
        try:
            with open_transport(fresh_phone.uri) as link:
                assert link.run(["true"]).returncode == 0
        finally:
            adb("kill-server")

    def test_without_adb_it_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(MissingToolError) as caught:
            open_transport("adb:anything")
        assert "apt-get install adb" in caught.value.remedy

    def test_none_is_started_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADB_SERVER_SOCKET", f"tcp:localhost.invalid:{free_port()}")
        with pytest.raises(TransportError, match=r"No adb server listens at localhost\.invalid"):
            open_transport("adb:anything")


class TestForward:
    def test_a_closed_port_is_refused(self, phone: VirtualPhone) -> None:
        with (
            open_transport(phone.uri) as link,
            pytest.raises(TransportError, match="Nothing listens"),
        ):
            link.forward(free_port())


def kill_server(phone: VirtualPhone) -> None:
    adb("kill-server")


def kill_device(phone: VirtualPhone) -> None:
    phone.process.kill()


def freeze_device(phone: VirtualPhone) -> None:
    phone.process.send_signal(signal.SIGSTOP)


def reboot(phone: VirtualPhone) -> None:
    # Where the device is gone before adb has its answer, adb says so and fails.
    adb("-s", phone.serial, "reboot", check=False)


def read_for_ever(channel: Channel) -> None:
    while channel.read(MEBIBYTE):
        pass


def write_for_ever(channel: Channel) -> None:
    while True:
        channel.write(bytes(MEBIBYTE))


def wait_for_ever(channel: Channel) -> None:
    channel.wait()


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that the test may kill; another may come in its place."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    yield
    end_server()


FAULTS = pytest.mark.parametrize("fault", [kill_server, kill_device, freeze_device, reboot])
OPTIONS = LinkOptions(connect_seconds=5, silence_seconds=SILENCE)


def _opened_when_back(phone: VirtualPhone) -> Transport:
    """A device that starts anew refuses connections for a moment."""

    def opened() -> Transport | None:
        with suppress(TransportError):
            return open_transport(phone.uri)
        return None

    return wait_until(opened, "the device's return")


@FAULTS
@pytest.mark.usefixtures("own_server")
class TestFaults:
    @pytest.mark.parametrize("work", [read_for_ever, write_for_ever, wait_for_ever])
    def test_every_wait_ends_with_a_reason(
        self,
        fresh_phone: VirtualPhone,
        fault: Callable[[VirtualPhone], None],
        work: Callable[[Channel], None],
    ) -> None:
        command = ["cat", "/dev/zero"] if work is read_for_ever else ["sleep", "86461"]
        with open_transport(fresh_phone.uri, options=OPTIONS) as link:
            channel = link.stream(command)
            timer = threading.Timer(0.3, fault, [fresh_phone])
            timer.start()
            with pytest.raises(LinkLostError, match=r"The link to 127\.0\.0\.1:\d+ was lost"):
                work(channel)
            timer.join()
            channel.close()
            with pytest.raises(LinkLostError):
                link.run(["true"])

    def test_a_push_resumes(
        self, fresh_phone: VirtualPhone, fault: Callable[[VirtualPhone], None], tmp_path: Path
    ) -> None:
        register("aarch64")
        file = _a_file(tmp_path, 24 * MEBIBYTE)
        done: list[int] = []

        def at_half(sent: int, total: int) -> None:
            if sent > total // 2 and not done:
                done.append(sent)
                fault(fresh_phone)

        with (
            open_transport(fresh_phone.uri, options=OPTIONS) as link,
            pytest.raises(LinkLostError, match="was lost"),
        ):
            _push(link, file, at_half)
        with ExitStack() as stack:
            if fault is kill_device:
                port = str(fresh_phone.port)
                stack.enter_context(running_phone(fresh_phone.root, "--port", port))
            fresh_phone.process.send_signal(signal.SIGCONT)
            # As long as the old receiver lives, what it got is its own.
            root = f"/proc/{fresh_phone.process.pid}/cwd"
            wait_until(lambda: not with_words("receive", root), "the receiver's end")
            again = stack.enter_context(_opened_when_back(fresh_phone))
            report = _push(again, file)
        assert report.sent_bytes + report.resumed_bytes == 24 * MEBIBYTE
        assert report.resumed_bytes > 8 * MEBIBYTE


def test_a_reboot_kills_what_runs_and_is_seen_by_the_boot_id(fresh_phone: VirtualPhone) -> None:
    with open_transport(fresh_phone.uri) as link:
        before = link.run(["cat", BOOT_ID]).stdout
        # A program that left its group and its parent is the device's all the same.
        link.run(["sh", "-c", "setsid sleep 86471 > /dev/null 2>&1 < /dev/null &"])
        reboot(fresh_phone)
        wait_until_gone("86471")
        with pytest.raises(LinkLostError, match="was lost"):
            link.run(["true"])
    with open_transport(fresh_phone.uri) as link:
        after = link.run(["cat", BOOT_ID]).stdout
    assert len(before) == len(after) == 37
    assert before != after


def test_a_device_that_went_in_silence_is_missed_at_the_next_use(
    fresh_phone: VirtualPhone,
) -> None:
    with open_transport(fresh_phone.uri) as link:
        fresh_phone.process.kill()
        with pytest.raises(LinkLostError, match="the device is offline"):
            link.run(["true"])


def test_a_quiet_link_lives(fresh_phone: VirtualPhone) -> None:
    """Silence of the program is none of the link: signs of life are asked for."""
    with open_transport(fresh_phone.uri, options=OPTIONS) as link:
        channel = link.stream(["sh", "-c", f"sleep {int(SILENCE * 3)}; echo awake"])
        assert channel.read(100) == b"awake\n"


def test_a_frozen_link_says_for_how_long_nothing_came(fresh_phone: VirtualPhone) -> None:
    with open_transport(fresh_phone.uri, options=OPTIONS) as link:
        channel = link.stream(["sleep", "86481"])
        freeze_device(fresh_phone)
        with pytest.raises(LinkLostError, match="nothing came from it for 2 seconds"):
            channel.read(1)
        fresh_phone.process.send_signal(signal.SIGCONT)


class TestVirtual:
    def test_it_is_an_emulated_android(self, tmp_path: Path) -> None:
        before = listed_serials()
        with open_transport("virtual:android-arm64") as link:
            assert link.work_folder == "/data/local/tmp/deployx-edge"
            assert (link.machine(), link.system(), link.emulated) == ("aarch64", "android", True)
            agent = install_agent(link, built_agent("linux-arm64"))
            assert link.run([*link.launcher, agent, "--version"]).returncode == 0
            (serial,) = listed_serials() - before
        assert serial not in listed_serials()

    def test_its_programs_see_the_shell_s_boot_id(self, tmp_path: Path) -> None:
        with open_transport("virtual:android-arm64") as link:
            by_shell = link.run(["cat", BOOT_ID]).stdout
            root = Path(link.launcher[link.launcher.index("-L") + 1])
            assert (root / BOOT_ID[1:]).read_bytes() == by_shell
            program = [*link.launcher, str(_busybox()), "cat"]
            assert link.run([*program, BOOT_ID]).stdout == by_shell
            assert link.run([*program, "/sys/class/thermal/thermal_zone0/type"]).stdout == (
                b"soc-thermal\n"
            )
        with open_transport("virtual:android-arm64") as link:
            assert link.run(["cat", BOOT_ID]).stdout == by_shell

    def test_the_processor_is_chosen_by_the_address(self) -> None:
        with open_transport("virtual:android-arm64?cpu=cortex-a53") as link:
            assert link.launcher[-2:] == ("-cpu", "cortex-a53")
            assert link.launcher[2].endswith("virtual/android-arm64-cortex-a53")

    def test_it_ends_with_its_user(self) -> None:
        program = (
            "import sys; from deployx_edge.transport import open_transport\n"
            "link = open_transport('virtual:android-arm64')\n"
            "channel = link.stream(['sleep', '86491'])\n"
            "print(link._device.pid, flush=True); sys.stdin.read()"
        )
        user = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert user.stdin and user.stdout
        with user:
            device = int(user.stdout.readline())
            process = Path(f"/proc/{device}")
            assert process.exists()
            user.kill()
        wait_until_gone("86491")
        wait_until(lambda: not process.exists(), "the end of the device", seconds=10)


def _busybox() -> Path:
    """A program of the device's architecture that reads what it is told to."""
    try:
        return busybox("aarch64")
    except MissingPartError as missing:
        pytest.skip(f"an arm64 program needs {missing}")


def _a_file(folder: Path, size: int) -> PushFile:
    path = folder / "big"
    path.write_bytes(os.urandom(size))
    return PushFile(local=path, sha256=file_sha256(path), size=size, executable=False, name="big")


def _push(
    link: Transport, file: PushFile, on_progress: Callable[[int, int], None] | None = None
) -> PushReport:
    agent = install_agent(link, built_agent("linux-arm64"))
    receiver = [agent, "receive", "--work", link.work_folder]
    return push(link, receiver, "bundle", [file], on_progress)
