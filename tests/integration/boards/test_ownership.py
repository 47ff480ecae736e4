"""What another user of a board could change is refused by name, and nothing of it runs."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.errors import DeviceStorageError
from deployx_edge.transport import open_device
from deployx_edge.transport.push import install_agent
from deployx_edge.workflows.boards.clean import clean_device
from deployx_edge.workflows.boards.session import push_to_device
from tests.integration.conftest import built_agent

# Debian's "nobody" and "nogroup".
OTHER = 65534


@pytest.fixture
def base() -> Iterator[Path]:
    """A folder that only root can write, in one that is everybody's and sticky."""
    if os.geteuid() != 0:
        pytest.skip("files of another user need root")
    folder = Path(tempfile.mkdtemp(prefix="deployx-ownership-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["local", "ssh"])
def board_at(request: pytest.FixtureRequest) -> Callable[[Path], Device]:
    def device(work: Path) -> Device:
        if request.param == "local":
            return Device(name="board", uri="local:", work_folder=str(work))
        sshd = request.getfixturevalue("sshd")
        return Device(name="board", uri=sshd.uri, work_folder=str(work), options=sshd.options())

    return device


def install(board: Device) -> str:
    with open_device(board) as link:
        return install_agent(link, built_agent("linux-x64"))


def refused(board: Device, path: Path, reason: str) -> None:
    with pytest.raises(DeviceStorageError) as caught:
        install(board)
    assert f"{path} {reason}" in caught.value.message
    assert "work_folder" in caught.value.remedy
    with pytest.raises(DeviceStorageError, match="cannot be trusted"):
        clean_with_an_agent(board)


def clean_with_an_agent(board: Device) -> None:
    """A clean asks the agent that lies there, and must not start one that others could change."""
    assert board.work_folder
    place = Path(board.work_folder) / "bin" / f"dx-agent-{'0' * 64}"
    if not place.exists():
        place.parent.mkdir(exist_ok=True, parents=True)
        place.write_text(f"#!/bin/sh\ntouch '{place.parent.parent}/started'\n")
        place.chmod(0o755)
    try:
        clean_device(board)
    finally:
        assert not (place.parent.parent / "started").exists()


def other_owner(path: Path) -> str:
    os.chown(path, OTHER, 0)
    return f"belongs to the user {OTHER}"


def open_to_all(path: Path) -> str:
    path.chmod(0o777)
    return "may be written by every user"


def open_to_a_group(path: Path) -> str:
    os.chown(path, 0, OTHER)
    path.chmod(0o775)
    return f"may be written by the group {OTHER}"


def test_places_that_others_could_change(board_at: Callable[[Path], Device], base: Path) -> None:
    parent = base / "für alle"
    work = parent / "work"
    board = board_at(work)
    agent = Path(install(board))
    spoilers = itertools.cycle([other_owner, open_to_all, open_to_a_group])
    # Every place meets every way here, where that costs no connections.
    times = 3 if board.uri == "local:" else 1
    for place in (parent, work, work / "bin", agent):
        for spoil in itertools.islice(spoilers, times):
            refused(board, place, spoil(place))
            os.chown(place, 0, 0)
            place.chmod(0o755)
    install(board)


def test_a_sticky_parent_is_good_as_long_as_what_lies_in_it_is_ours(
    board_at: Callable[[Path], Device], base: Path
) -> None:
    parent = base / "like tmp"
    parent.mkdir()
    parent.chmod(0o1777)
    install(board_at(parent / "work"))
    (parent / "theirs").mkdir()
    refused(board_at(parent / "theirs"), parent / "theirs", other_owner(parent / "theirs"))
    # So it may be the work folder itself, unless somebody was there first.
    install(board_at(parent))
    refused(board_at(parent), parent / "bin", other_owner(parent / "bin"))


def test_a_link_of_another_user_is_refused_wherever_it_leads(
    board_at: Callable[[Path], Device], base: Path
) -> None:
    real = base / "real"
    real.mkdir()
    link = base / "link"
    link.symlink_to(real)
    install(board_at(link / "work"))
    os.chown(link, OTHER, OTHER, follow_symlinks=False)
    refused(board_at(link / "work"), link, f"belongs to the user {OTHER}")


@pytest.mark.parametrize("leads", ["{base}/middle/next", "./middle/next", "over/../middle/next"])
def test_each_folder_on_the_way_through_links_is_judged(
    board_at: Callable[[Path], Device], base: Path, leads: str
) -> None:
    """Who may write ``middle`` may lead the way elsewhere, whoever owns both ends of it."""
    middle = base / "middle"
    for folder in (middle, base / "real", base / "over"):
        folder.mkdir()
    (base / "link").symlink_to(leads.format(base=base))
    (middle / "next").symlink_to(base / "real")
    board = board_at(base / "link" / "work")
    install(board)
    reason = open_to_all(middle)
    with pytest.raises(DeviceStorageError, match=f"/middle {reason}"):
        install(board)
    with pytest.raises(DeviceStorageError, match=f"/middle {reason}"):
        clean_with_an_agent(board)
    middle.chmod(0o755)
    os.chown(middle / "next", OTHER, OTHER, follow_symlinks=False)
    with pytest.raises(DeviceStorageError, match=f"/next belongs to the user {OTHER}"):
        install(board)


@pytest.mark.parametrize("spoil", [other_owner, open_to_all, open_to_a_group])
def test_contents_that_others_could_change_are_not_used(
    base: Path, digits: Bundle, spoil: Callable[[Path], str]
) -> None:
    board = Device(name="board", uri="local:", work_folder=str(base / "work"))
    push_to_device(board, digits)
    store = base / "work" / "store"
    content = store / next(file.sha256 for file in digits.files if file.role == "bin")
    for place in (content, store):
        reason = spoil(place)
        with pytest.raises(DeviceStorageError) as caught:
            push_to_device(board, digits)
        assert f"{place} {reason}" in caught.value.message
        os.chown(place, 0, 0)
        place.chmod(0o755)
    push_to_device(board, digits)


def test_what_is_made_is_private(
    board_at: Callable[[Path], Device], base: Path, digits: Bundle
) -> None:
    before = os.umask(0)
    try:
        work = base / "made" / "work"
        push_to_device(board_at(work), digits)
    finally:
        os.umask(before)
    for folder in (work.parent, work, work / "bin", work / "store", work / "bundles"):
        assert folder.stat().st_mode & 0o077 == 0, folder
