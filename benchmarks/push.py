"""Push against scp and rsync: the same bytes, the same loopback sshd, in turns.

    .venv/bin/python benchmarks/push.py [--agent FILE] [--rounds N] [--json FILE]

Every figure is the whole way: connect, transfer, end. A ratio above 1 means that push is
faster. scp sends everything each time; rsync compares times and sizes.
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
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.transport import open_transport
from deployx_edge.transport.push import PushFile, file_sha256, install_agent, push
from tests.integration.board import USER, Sshd, running_sshd

TOTAL_BYTES = 64 << 20
FILES = 100


class Contest:
    """One source folder, three ways to bring it over."""

    def __init__(self, board: Sshd, agent: Path, base: Path) -> None:
        self.board = board
        self.agent = agent
        self.source = base / "source"
        self.work = base / "work"
        self.copies = {tool: base / tool for tool in ("scp", "rsync")}
        self.options = board.options()
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
        with open_transport(
            self.board.uri, work_folder=str(self.work), options=self.options
        ) as link:
            agent = install_agent(link, self.agent)
            receiver = [agent, "receive", "--work", link.work_folder]
            self.push_only.append(push(link, receiver, "race", self.files).seconds)

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

    @staticmethod
    def _tool(command: list[str]) -> None:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def race(contest: Contest, prepare: Callable[[], None], rounds: int) -> dict[str, list[float]]:
    """Seconds of each way, in turns; ``prepare`` comes before each round."""
    seconds: dict[str, list[float]] = {"push": [], "scp": [], "rsync": []}
    contest.push_only.clear()
    for number in range(rounds):
        prepare()
        order = ["push", "scp", "rsync"]
        for tool in order[number % 3 :] + order[: number % 3]:
            started = time.monotonic()
            getattr(contest, tool)()
            seconds[tool].append(time.monotonic() - started)
    return seconds | {"push alone": list(contest.push_only)}


def cold(contest: Contest, count: int) -> Callable[[], None]:
    contest.fill(count)
    return contest.clear


def summary(name: str, seconds: dict[str, list[float]]) -> dict[str, object]:
    medians = {tool: statistics.median(values) for tool, values in seconds.items()}
    ratios = {tool: medians[tool] / medians["push"] for tool in ("scp", "rsync")}
    print(
        f"{name:28} push {medians['push']:6.3f} s (after connecting {medians['push alone']:.3f})"
        f"   scp {medians['scp']:6.3f} s   rsync {medians['rsync']:6.3f} s"
        f"   {ratios['scp']:6.2f} x scp   {ratios['rsync']:6.2f} x rsync"
    )
    return {"case": name, "seconds": seconds, "median_seconds": medians, "ratios": ratios}


def run(agent: Path, rounds: int) -> list[dict[str, object]]:
    results = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running_sshd(Path(folder) / "sshd", "Subsystem sftp internal-sftp") as board,
    ):
        contest = Contest(board, agent, Path(folder))
        contest.fill(1)
        contest.push()  # places the agent, once
        results.append(summary("cold, one file", race(contest, cold(contest, 1), rounds)))
        results.append(summary("cold, 100 files", race(contest, cold(contest, FILES), rounds)))
        results.append(summary("unchanged, 100 files", race(contest, lambda: None, rounds)))
        results.append(summary("1 of 100 files changed", race(contest, contest.change_one, rounds)))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agent", type=Path, default=dist_folder(host_target_id()) / "dx-agent")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=Path("build/benchmarks/push.json"))
    arguments = parser.parse_args()
    print(f"{TOTAL_BYTES >> 20} MiB over a loopback sshd, medians of {arguments.rounds} rounds")
    results = run(arguments.agent, arguments.rounds)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    content = {"machine": platform.machine(), "bytes": TOTAL_BYTES, "results": results}
    arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(f"written to {arguments.json}")


if __name__ == "__main__":
    main()
