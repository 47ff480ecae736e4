"""The agent and its test worker, compiled here with the sanitizers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployx_edge.resources import data_folder
from deployx_edge.worker_facts import worker_names
from tests.integration.agent.session import Binaries, Session

SOURCE = data_folder("device_agent")
# Where scripts/test-cpp builds.
SANITIZED = Path(__file__).parents[3] / "build" / "sanitized"
TARGETS = ["dx-agent", "dx-test-worker"]


def configured_folder(folder: Path) -> Path:
    """A build folder of our own: the agent and its test worker, without the runtimes'."""
    launcher = [f"-DCMAKE_CXX_COMPILER_LAUNCHER={c}" for c in (shutil.which("ccache"),) if c]
    options = [
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        "-DDX_SANITIZE=address,undefined",
        "-DDX_BUILD_TESTS=ON",
        *(f"-DDX_BUILD_WORKER_{name.upper()}=OFF" for name in worker_names()),
        "-DDX_VERSION=0.0.0-test",
        "-DDX_TARGET_ID=linux-x64",
    ]
    command = ["cmake", "-G", "Ninja", "-S", str(SOURCE), "-B", str(folder)]
    subprocess.run([*command, *options, *launcher], check=True)
    return folder


@pytest.fixture(scope="session")
def binaries(tmp_path_factory: pytest.TempPathFactory) -> Binaries:
    """The sanitized agent and test worker, as fresh as their sources."""
    for program in ("cmake", "ninja", "g++", "protoc", "grpc_cpp_plugin"):
        if shutil.which(program) is None:
            pytest.skip(f"the sanitized agent needs {program}")
    build = SANITIZED
    if not (build / "CMakeCache.txt").is_file():
        build = configured_folder(tmp_path_factory.mktemp("agent-build"))
    subprocess.run(["cmake", "--build", str(build), "-j2", "--target", *TARGETS], check=True)
    agent, worker = (build / "bin" / name for name in TARGETS)
    return Binaries(agent=agent, worker=worker)


@pytest.fixture
def work(tmp_path: Path, binaries: Binaries) -> Path:
    """A work folder whose store holds the test worker."""
    folder = tmp_path / "work"
    (folder / "store").mkdir(parents=True)
    (folder / "store" / binaries.worker_sha256).symlink_to(binaries.worker)
    return folder


@pytest.fixture
def start(work: Path, binaries: Binaries) -> Iterator[Callable[..., Session]]:
    """Starts agents, and ends them; none may have tripped a sanitizer."""
    sessions = []

    def start_one(*options: str, **more) -> Session:
        # These hosts send no heartbeats, and on a busy machine a test may take long.
        options = ("--heartbeat-seconds", "900", *options)
        sessions.append(Session(binaries, work, options, **more))
        return sessions[-1]

    yield start_one
    for session in sessions:
        session.close()
        assert "ERROR: " not in session.words and "runtime error" not in session.words


@pytest.fixture
def session(start: Callable[..., Session]) -> Session:
    """An agent that has shaken hands."""
    one = start()
    one.shake()
    return one
