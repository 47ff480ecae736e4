from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.android import VirtualPhone
from tests.integration.board import Sshd
from tests.integration.conftest import built_agent
from tests.integration.transport.links import LinkCase


def _local(request: pytest.FixtureRequest, base: Path) -> LinkCase:
    return LinkCase(
        name="local",
        uri="local:",
        machine="x86_64",
        agent=built_agent("linux-x64"),
        root=Path("/"),
        work_base=base,
    )


def _virtual(request: pytest.FixtureRequest, base: Path) -> LinkCase:
    return LinkCase(
        name="virtual",
        uri="virtual:linux-arm64",
        machine="aarch64",
        agent=built_agent("linux-arm64"),
        root=Path("/"),
        work_base=base,
        emulated=True,
    )


def _ssh(request: pytest.FixtureRequest, base: Path) -> LinkCase:
    board: Sshd = request.getfixturevalue("sshd")
    return LinkCase(
        name="ssh",
        uri=board.uri,
        machine="x86_64",
        agent=built_agent("linux-x64"),
        root=Path("/"),
        work_base=base,
        options=board.options(),
        sshd=board,
    )


def _foreign(request: pytest.FixtureRequest, base: Path) -> LinkCase:
    board, root = request.getfixturevalue("foreign_sshd")
    return LinkCase(
        name="foreign",
        uri=board.uri,
        machine="aarch64",
        agent=built_agent("linux-arm64"),
        root=root,
        work_base=Path("/work"),
        options=board.options(),
        sshd=board,
    )


def _adb(request: pytest.FixtureRequest, base: Path) -> LinkCase:
    phone: VirtualPhone = request.getfixturevalue("phone")
    return LinkCase(
        name="adb",
        uri=phone.uri,
        machine="aarch64",
        agent=built_agent("linux-arm64"),
        root=Path("/"),
        work_base=base,
        system="android",
        phone=phone,
    )


def _virtual_android(request: pytest.FixtureRequest, base: Path) -> LinkCase:
    request.getfixturevalue("adb_server")
    return LinkCase(
        name="virtual-android",
        uri="virtual:android-arm64",
        machine="aarch64",
        agent=built_agent("linux-arm64"),
        root=Path("/"),
        work_base=base,
        emulated=True,
        system="android",
    )


_KINDS = {
    "local": _local,
    "virtual": _virtual,
    "ssh": _ssh,
    "ssh-foreign": _foreign,
    "adb": _adb,
    "virtual-android": _virtual_android,
}


@pytest.fixture(params=_KINDS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> LinkCase:
    """Every kind of link in turn."""
    return _KINDS[request.param](request, tmp_path)


@pytest.fixture(params=["ssh", "ssh-foreign"])
def remote_case(request: pytest.FixtureRequest, tmp_path: Path) -> LinkCase:
    """Every kind of link that goes over a network."""
    return _KINDS[request.param](request, tmp_path)
