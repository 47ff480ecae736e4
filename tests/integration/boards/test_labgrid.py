"""``labgrid:PLACE`` against a real coordinator and exporter; the board is a real sshd."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import DeployxError, DeviceBusyError, TransportError, UsageError
from deployx_edge.resources import cache_folder
from deployx_edge.transport import open_transport
from deployx_edge.workflows.boards.session import open_session
from tests.integration.board import USER, Sshd, free_port, options_toml, running_sshd
from tests.integration.processes import wait_until, with_words

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"
TOOLS = Path(sys.executable).parent
OURS = f"{socket.gethostname()}/{USER}"


@dataclass
class Lab:
    """A coordinator with an exporter, and the board that it lends as ``bench-7``."""

    address: str
    folder: Path
    exporter: subprocess.Popen[bytes]
    board: Sshd

    def client(self, *words: str, user: str = "") -> str:
        """labgrid-client's own output; ``user`` is another person."""
        environment = {**os.environ, "LG_COORDINATOR": self.address}
        if user:
            environment |= {"LG_USERNAME": user, "LG_HOSTNAME": "desk"}
        done = subprocess.run(
            [TOOLS / "labgrid-client", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def owner(self, place: str = "bench-7") -> str | None:
        """``host/user`` of whoever has the place, as labgrid-client shows it."""
        for line in self.client("-p", place, "show").splitlines():
            if line.strip().startswith("acquired:"):
                found = line.partition(":")[2].strip()
                return None if found == "None" else found
        raise AssertionError("the place has no owner line")

    def start_exporter(self) -> subprocess.Popen[bytes]:
        command = [TOOLS / "labgrid-exporter", "-c", self.address, "--name", "rack"]
        with (self.folder / "exporter.log").open("ab") as log:
            return subprocess.Popen(
                [*command, self.folder / "rack.yaml"], stdout=log, stderr=log, cwd=self.folder
            )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    with running_sshd(folder / "sshd") as board:
        (folder / "rack.yaml").write_text(
            f"bench:\n  NetworkService:\n    address: 127.0.0.1\n    username: {USER}\n"
            f"    port: {board.port}\n"
            "power:\n  NetworkPowerPort:\n    model: rest\n    host: 192.0.2.1\n    index: 0\n"
        )
        address = f"127.0.0.1:{free_port()}"
        with (folder / "coordinator.log").open("wb") as log:
            coordinator = subprocess.Popen(
                [TOOLS / "labgrid-coordinator", "-l", address], cwd=folder, stdout=log, stderr=log
            )
        lab = Lab(address=address, folder=folder, exporter=coordinator, board=board)
        try:
            wait_until(lambda: _listens(address), "the coordinator")
            lab.exporter = lab.start_exporter()
            wait_until(lambda: "NetworkService" in lab.client("resources"), "the exporter")
            for place, group in (("bench-7", "bench"), ("switch", "power")):
                lab.client("-p", place, "create")
                lab.client("-p", place, "add-match", f"rack/{group}/*")
            lab.client("-p", "bench-7", "add-alias", "pi")
            yield lab
        finally:
            for process in (lab.exporter, coordinator):
                process.kill()
                process.wait()
            # Named after a coordinator that nobody will meet again.
            for left in (cache_folder() / "labgrid").glob(f"{quote(address, safe='')}*"):
                left.unlink()


def _listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.fixture
def device(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """The place, free before the test and after it."""
    monkeypatch.setenv("LG_COORDINATOR", lab.address)
    yield Device(
        name="lab board",
        uri="labgrid:bench-7",
        work_folder=str(tmp_path / "work"),
        options=lab.board.options(),
    )
    wait_until(lambda: not with_words("labgrid.holder", lab.address), "the end of the holders")
    assert lab.owner() is None


def opened(device: Device, **changes: object):
    options: LinkOptions = changes.pop("options", device.options)  # type: ignore[assignment]
    uri = str(changes.pop("uri", device.uri))
    return open_transport(uri, work_folder=device.work_folder, options=options)


def test_a_bench_by_the_name_of_a_place(device: Device, lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "deployx.toml").write_text(
        f'[devices."lab board"]\nuri = "labgrid:bench-7@{lab.address}"\n'
        f'work_folder = "{device.work_folder}"\n{options_toml(device.options)}'
    )
    command = [sys.executable, "-m", "deployx_edge", "bench", DIGITS]
    bench = subprocess.Popen(
        [*command, "-d", "lab board", "--seconds", "3", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    shown = wait_until(
        lambda: bench.poll() is not None or (lab.owner() == OURS and lab.client("who")),
        "the place to be acquired",
    )
    output, errors = bench.communicate(timeout=120)
    assert bench.returncode == 0, errors
    assert USER in shown
    document = json.loads(output)
    assert document["results"][0]["device"]["uri"] == f"labgrid:bench-7@{lab.address}"
    assert lab.owner() is None


def test_the_place_is_given_back_after_an_error(device: Device, lab: Lab) -> None:
    with pytest.raises(RuntimeError, match="on purpose"), opened(device) as link:
        assert link.machine() == os.uname().machine
        assert lab.owner() == OURS
        raise RuntimeError("on purpose")
    assert lab.owner() is None


def test_a_board_that_cannot_be_reached_gives_the_place_back(
    device: Device, lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "empty").write_text("Host *\nIdentityFile none\nUserKnownHostsFile none\n")
    with (
        pytest.raises(DeployxError),
        opened(device, options=LinkOptions(ssh_config=tmp_path / "empty")),
    ):
        pass
    assert lab.owner() is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_place_is_given_back_when_its_user_is_killed(
    device: Device, lab: Lab, tmp_path: Path, number: int
) -> None:
    code = (
        "import signal, sys, time\nfrom pathlib import Path\n"
        # A shell that starts this suite in the background has it ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from deployx_edge.device import LinkOptions\n"
        "from deployx_edge.transport import open_transport\n"
        "uri, folder, config = sys.argv[1:]\n"
        "with open_transport(uri, work_folder=folder, "
        "options=LinkOptions(ssh_config=Path(config))):\n"
        "    print('open', flush=True)\n    time.sleep(600)\n"
    )
    words = [device.uri, str(device.work_folder), str(device.options.ssh_config)]
    user = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert user.stdout is not None
    try:
        assert user.stdout.readline() == b"open\n"
        assert lab.owner() == OURS
        user.send_signal(number)
        user.communicate(timeout=60)
    finally:
        user.kill()
        user.communicate()
    wait_until(lambda: lab.owner() is None, "the end of the dead user's place")


def test_a_place_of_somebody_else_is_refused_with_who_it_is(device: Device, lab: Lab) -> None:
    lab.client("-p", "bench-7", "acquire", user="ann")
    try:
        with pytest.raises(DeviceBusyError, match="acquired by desk/ann, since ") as caught:
            opened(device)
        assert f"allow {OURS}" in caught.value.remedy
        assert lab.owner() == "desk/ann"
        lab.client("-p", "bench-7", "allow", OURS, user="ann")
        with opened(device) as link:
            assert link.uri == "labgrid:bench-7"
        assert lab.owner() == "desk/ann"
    finally:
        lab.client("-p", "bench-7", "release", user="ann")


def test_a_place_that_is_ours_already_is_used_and_not_given_back(device: Device, lab: Lab) -> None:
    lab.client("-p", "bench-7", "acquire")
    try:
        with opened(device) as link:
            assert link.run(["echo", "hello"]).stdout == b"hello\n"
        assert lab.owner() == OURS
    finally:
        lab.client("-p", "bench-7", "release")


def test_the_last_of_several_runs_gives_the_place_back(device: Device, lab: Lab) -> None:
    first, second = opened(device), opened(device, uri="labgrid:pi")  # an alias of it
    first.close()
    assert lab.owner() == OURS
    assert second.run(["true"]).returncode == 0
    second.close()
    assert lab.owner() is None


def test_runs_on_one_board_take_turns(device: Device, lab: Lab) -> None:
    served: list[str] = []

    def one(name: str) -> None:
        with open_session(device, purpose=name):
            served.append(name)

    threads = [threading.Thread(target=one, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(served) == ["a", "b"]
    assert lab.owner() is None


def test_what_a_killed_holder_left_is_taken_up_and_given_back(device: Device, lab: Lab) -> None:
    link = opened(device)
    (holder,) = with_words("labgrid.holder", lab.address)
    os.kill(holder, signal.SIGKILL)
    link.close()
    assert lab.owner() == OURS  # labgrid keeps it for its owner
    with opened(device):
        pass
    assert lab.owner() is None


def test_an_unknown_place_names_the_nearest(device: Device, lab: Lab) -> None:
    with pytest.raises(UsageError, match=f"coordinator at {lab.address} has no place") as caught:
        opened(device, uri="labgrid:bench-8")
    assert caught.value.remedy == "Did you mean bench-7?"


def test_without_a_coordinator(device: Device) -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(TransportError, match=f"No labgrid coordinator answers at {address}"):
        opened(device, uri=f"labgrid:bench-7@{address}")


def test_a_place_without_a_network_service(device: Device, lab: Lab) -> None:
    with pytest.raises(TransportError, match="found NetworkPowerPort") as caught:
        opened(device, uri="labgrid:switch")
    assert "NetworkService" in caught.value.remedy
    assert lab.owner("switch") is None


def test_an_exporter_that_is_gone(device: Device, lab: Lab) -> None:
    lab.exporter.kill()
    lab.exporter.wait()
    try:
        wait_until(lambda: "NetworkService" not in lab.client("resources"), "its end to be seen")
        with pytest.raises(TransportError, match="has no matching remote resource") as caught:
            opened(device)
        assert "exporter" in caught.value.remedy
    finally:
        lab.exporter = lab.start_exporter()
        wait_until(lambda: "NetworkService" in lab.client("resources"), "the exporter")


def test_an_address_without_a_place() -> None:
    for uri in ("labgrid:", "labgrid:@host:1", "labgrid:pi@"):
        with pytest.raises(UsageError, match="names no labgrid place"):
            open_transport(uri)


def test_without_labgrid_the_remedy_is_its_extra(tmp_path: Path) -> None:
    """In an environment with all packages but this one."""
    for package in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not package.name.startswith("labgrid"):
            (tmp_path / package.name).symlink_to(package)
    code = "from deployx_edge.transport import open_transport; open_transport('labgrid:pi')"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "MissingToolError: labgrid:pi needs labgrid's client" in done.stderr
    assert "pip install 'deployx-edge[labgrid]'" in done.stderr
