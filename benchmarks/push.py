"""Push against scp and rsync, and against adb: the same bytes over the same link, in turns.

    .venv/bin/python benchmarks/push.py [--link ssh] [--agent FILE] [--rounds N] [--json FILE]
    .venv/bin/python benchmarks/push.py --link adb [--megabytes-per-second N] …

Every figure is the whole way: connect, transfer, end. A ratio above 1 means that push is
faster. scp and adb send everything each time; rsync compares times and sizes. The board is
this computer: a loopback sshd, and a virtual Android device behind a real adb server, on a
cable of any pace, by default of a fast USB 3 cable's. Without a cable all four processes share
this computer's cores, and the hash on the board, which adb does not make, is seen. The device
runs this computer's own agent, so that no emulator is part of the race; give it another by
--agent with --launcher (qemu-aarch64-static) to have one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deployx_edge.device import LinkOptions
from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.transport import open_transport
from deployx_edge.transport.hashing import file_sha256
from deployx_edge.transport.push import PushFile, install_agent, push
from tests.integration.android import VirtualPhone, adb_environment, running_phone
from tests.integration.board import USER, Sshd, running_sshd

TOTAL_BYTES = 64 << 20
FILES = 100
FAST_CABLE = 300.0


class Contest:
    """One source folder, several ways to bring it over."""

    tools: tuple[str, ...] = ()

    def __init__(
        self, uri: str, agent: Path, base: Path, options: LinkOptions, launcher: Sequence[str]
    ) -> None:
        self.uri = uri
        self.agent = agent
        self.launcher = tuple(launcher)
        self.source = base / "source"
        self.work = base / "work"
        self.copies = {tool: base / tool for tool in self.tools}
        self.options = options
        self.files: list[PushFile] = []
        self.push_only: list[float] = []

    def fill(self, count: int) -> None:
        """``count`` files that make TOTAL_BYTES together, of bytes that do not compress."""
        shutil.rmtree(self.source, ignore_errors=True)
        self.source.mkdir()
        for number in range(count):
            content = os.urandom(TOTAL_BYTES // count)
            (self.source / f"file-{number:03}.bin").write_bytes(content)
        self.describe()

    def change_one(self) -> None:
        """New content for one file. What the bundle says of it is not part of the race."""
        path = random.choice(sorted(self.source.iterdir()))
        path.write_bytes(os.urandom(path.stat().st_size))
        self.describe()

    def describe(self) -> None:
        self.files = [
            PushFile(
                local=path,
                sha256=file_sha256(path),
                size=path.stat().st_size,
                executable=False,
                name=path.name,
            )
            for path in sorted(self.source.iterdir())
        ]

    def clear(self) -> None:
        """The board forgets everything but the agent."""
        for folder in ("store", "incoming", "bundles"):
            shutil.rmtree(self.work / folder, ignore_errors=True)
        for copy in self.copies.values():
            shutil.rmtree(copy, ignore_errors=True)

    def push(self) -> None:
        with open_transport(self.uri, work_folder=str(self.work), options=self.options) as link:
            agent = install_agent(link, self.agent)
            receiver = [*self.launcher, agent, "receive", "--work", link.work_folder]
            self.push_only.append(push(link, receiver, "race", self.files).seconds)

    @staticmethod
    def _tool(command: list[str]) -> None:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


class SshContest(Contest):
    """Over a loopback sshd."""

    tools = ("scp", "rsync")

    def __init__(self, board: Sshd, agent: Path, base: Path, launcher: Sequence[str]) -> None:
        super().__init__(board.uri, agent, base, board.options(), launcher)
        self.board = board

    def scp(self) -> None:
        port = ["-P", str(self.board.port)]
        self._tool(["scp", *self._config(), *port, "-qr", str(self.source), self._remote("scp")])

    def rsync(self) -> None:
        shell = " ".join(["ssh", *self._config(), "-p", str(self.board.port)])
        self._tool(["rsync", "-a", "-e", shell, f"{self.source}/", self._remote("rsync")])

    def _config(self) -> list[str]:
        return ["-F", str(self.options.ssh_config)]

    def _remote(self, tool: str) -> str:
        return f"{USER}@127.0.0.1:{self.copies[tool]}"


class AdbContest(Contest):
    """Over a real adb server, to a virtual device that stays connected."""

    tools = ("adb",)

    def __init__(
        self, phone: VirtualPhone, agent: Path, base: Path, launcher: Sequence[str]
    ) -> None:
        super().__init__(phone.uri, agent, base, LinkOptions(), launcher)
        self.serial = phone.serial

    def adb(self) -> None:
        self._tool(["adb", "-s", self.serial, "push", str(self.source), str(self.copies["adb"])])


def race(contest: Contest, prepare: Callable[[], None], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, in turns; ``prepare`` comes before each round."""
    order = ["push", *contest.tools]
    seconds: dict[str, list[float]] = {tool: [] for tool in order}
    contest.push_only.clear()
    for number in range(rounds):
        prepare()
        first = number % len(order)
        for tool in order[first:] + order[:first]:
            started = time.monotonic()
            getattr(contest, tool)()
            seconds[tool].append(time.monotonic() - started)
    return seconds | {"push alone": list(contest.push_only)}


def cold(contest: Contest, count: int) -> Callable[[], None]:
    contest.fill(count)
    return contest.clear


def summary(name: str, seconds: dict[str, list[float]]) -> dict[str, object]:
    medians = {tool: statistics.median(values) for tool, values in seconds.items()}
    others = [tool for tool in medians if not tool.startswith("push")]
    ratios = {tool: medians[tool] / medians["push"] for tool in others}
    print(
        f"{name:28} push {medians['push']:6.3f} s (after connecting {medians['push alone']:.3f})"
        + "".join(f"   {tool} {medians[tool]:6.3f} s" for tool in others)
        + "".join(f"   {ratios[tool]:6.2f} x {tool}" for tool in others)
    )
    return {"case": name, "seconds": seconds, "median_seconds": medians, "ratios": ratios}


def run(contest: Contest, rounds: int) -> list[dict[str, object]]:
    contest.fill(1)
    contest.push()  # places the agent, once
    return [
        summary("cold, one file", race(contest, cold(contest, 1), rounds)),
        summary("cold, 100 files", race(contest, cold(contest, FILES), rounds)),
        summary("unchanged, 100 files", race(contest, lambda: None, rounds)),
        summary("1 of 100 files changed", race(contest, contest.change_one, rounds)),
    ]


def run_ssh(arguments: argparse.Namespace) -> list[dict[str, object]]:
    print(f"{TOTAL_BYTES >> 20} MiB over a loopback sshd, medians of {arguments.rounds} rounds")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_sshd(Path(folder) / "sshd", "Subsystem sftp internal-sftp") as board,
    ):
        contest = SshContest(board, arguments.agent, Path(folder), arguments.launcher.split())
        return run(contest, arguments.rounds)


def run_adb(arguments: argparse.Namespace) -> list[dict[str, object]]:
    pace = arguments.megabytes_per_second
    print(
        f"{TOTAL_BYTES >> 20} MiB over adb to a virtual device, "
        + (f"cable of {pace:g} MB/s" if pace else "as fast as this computer copies")
        + f", medians of {arguments.rounds} rounds"
    )
    options = ["--megabytes-per-second", f"{pace:g}"] if pace else []
    with (
        tempfile.TemporaryDirectory() as folder,
        adb_environment(),
        running_phone(Path(folder) / "phone", *options) as phone,
    ):
        contest = AdbContest(phone, arguments.agent, Path(folder), arguments.launcher.split())
        return run(contest, arguments.rounds)


_LINKS = {"ssh": run_ssh, "adb": run_adb}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--link", choices=_LINKS, default="ssh")
    parser.add_argument("--agent", type=Path, default=dist_folder(host_target_id()) / "dx-agent")
    parser.add_argument("--launcher", default="", help="words before the agent, e.g. an emulator")
    parser.add_argument(
        "--megabytes-per-second",
        type=float,
        default=FAST_CABLE,
        help="the pace of adb's cable, %(default)s; 0: as fast as this computer copies",
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = _LINKS[arguments.link](arguments)
    place = arguments.json or Path(f"build/benchmarks/push-{arguments.link}.json")
    place.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": platform.machine(), "bytes": TOTAL_BYTES, "results": results}
    place.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"written to {place}")


if __name__ == "__main__":
    main()
