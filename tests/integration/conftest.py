"""Boards for all integration tests. A board that this computer cannot have is a skip that
says what is missing; the binaries are built before the suite runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployx_edge.resources import dist_folder
from tests.integration.android import VirtualPhone, adb_environment, running_phone
from tests.integration.board import MissingPartError, Sshd, running_sshd
from tests.integration.foreign import foreign_root, register


def built_agent(target: str) -> Path:
    """The agent of ``dist/``; without it the suite was started in the wrong way."""
    agent = dist_folder(target) / "dx-agent"
    assert agent.is_file(), f"{agent} is missing: deployx-edge build --target {target}"
    return agent


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """This computer as a board on the network."""
    with running_sshd(tmp_path_factory.mktemp("sshd"), "Subsystem sftp internal-sftp") as board:
        yield board


@pytest.fixture(scope="session")
def foreign_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sshd, Path]]:
    """A board whose ``uname -m`` is aarch64, without SFTP and sha256sum, and its root here."""
    try:
        with (
            foreign_root() as root,
            running_sshd(
                tmp_path_factory.mktemp("foreign-sshd"), f"ChrootDirectory {root}"
            ) as board,
        ):
            yield board, root
    except MissingPartError as missing:
        pytest.skip(f"a board of another architecture needs {missing}")


@pytest.fixture(scope="session")
def adb_server() -> Iterator[int]:
    """A real adb server of the tests' own; its port."""
    try:
        with adb_environment() as port:
            yield port
    except MissingPartError as missing:
        pytest.skip(f"links over adb need {missing}")


@pytest.fixture(scope="session")
def phone(adb_server: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPhone]:
    """A device that runs its arm64 programs itself, as a real one does."""
    try:
        register("aarch64")
    except MissingPartError as missing:
        pytest.skip(f"a device that runs arm64 programs by itself needs {missing}")
    with running_phone(tmp_path_factory.mktemp("phone")) as device:
        yield device
