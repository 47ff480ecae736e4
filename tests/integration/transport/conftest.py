from __future__ import annotations

from pathlib import Path

import pytest

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


_KINDS = {"local": _local, "virtual": _virtual, "ssh": _ssh, "ssh-foreign": _foreign}


@pytest.fixture(params=_KINDS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> LinkCase:
    """Every kind of link in turn."""
    return _KINDS[request.param](request, tmp_path)


@pytest.fixture(params=["ssh", "ssh-foreign"])
def remote_case(request: pytest.FixtureRequest, tmp_path: Path) -> LinkCase:
    """Every kind of link that goes over a network."""
    return _KINDS[request.param](request, tmp_path)
