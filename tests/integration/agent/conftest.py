"""The agent and its test worker, compiled here with the sanitizers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployx_edge import __version__
from deployx_edge.resources import cache_folder, data_folder
from tests.integration.agent.session import Binaries, Session

BUILD = Path(os.environ.get("DEPLOYX_EDGE_CPP_BUILD") or cache_folder() / "build" / "cpp-tests")


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """What ``scripts/test-cpp`` builds too; it is built here where that has not run."""
    for program in ("cmake", "ninja", "g++", "grpc_cpp_plugin"):
        if shutil.which(program) is None:
            pytest.skip(f"the sanitized agent needs {program}")
    if not (BUILD / "CMakeCache.txt").is_file():
        launcher = [f"-DCMAKE_CXX_COMPILER_LAUNCHER={c}" for c in (shutil.which("ccache"),) if c]
        configure = ["cmake", "-G", "Ninja", "-S", str(data_folder("device_agent"))]
        options = [
            "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
            "-DDX_SANITIZE=address,undefined",
            "-DDX_BUILD_TESTS=ON",
            "-DDX_BUILD_WORKER_NCNN=OFF",
            "-DDX_TARGET_ID=linux-x64",
        ]
        subprocess.run([*configure, "-B", str(BUILD), *options, *launcher], check=True)
    subprocess.run(["cmake", f"-DDX_VERSION={__version__}", str(BUILD)], check=True)
    targets = ["dx-agent", "dx-test-worker"]
    subprocess.run(["cmake", "--build", str(BUILD), "-j2", "--target", *targets], check=True)
    return Binaries(agent=BUILD / "bin" / "dx-agent", worker=BUILD / "bin" / "dx-test-worker")


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
