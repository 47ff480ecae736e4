"""Pushing by content: what is sent, what is resumed, and what a board may refuse."""

from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from deployx_edge.errors import BundleError, DeviceStorageError, TransportError
from deployx_edge.transport.protocol import Transport
from deployx_edge.transport.push import (
    Progress,
    PushFile,
    PushReport,
    file_sha256,
    install_agent,
    push,
)
from tests.integration.board import MissingPartError, SmallDisk
from tests.integration.transport.links import LinkCase

MEBIBYTE = 1 << 20
BIG = 64 * MEBIBYTE


def a_file(folder: Path, name: str, size: int, *, executable: bool = False) -> PushFile:
    local = folder / name
    local.parent.mkdir(parents=True, exist_ok=True)
    local.write_bytes(os.urandom(size))
    return described(local, name, executable=executable)


def described(local: Path, name: str, *, executable: bool = False) -> PushFile:
    size = local.stat().st_size
    return PushFile(
        local=local, sha256=file_sha256(local), size=size, executable=executable, name=name
    )


def send(
    link: Transport,
    case: LinkCase,
    files: list[PushFile],
    on_progress: Progress | None = None,
    *,
    name: str = "bundle",
    work: str | None = None,
) -> PushReport:
    receiver = [*link.launcher, install_agent(link, case.agent), "receive", "--work"]
    return push(link, [*receiver, work or link.work_folder], name, files, on_progress)


def stored(here: Path, file: PushFile) -> bool:
    """Whether the board's store holds the content, whole."""
    path = here / "store" / file.sha256
    return path.is_file() and file_sha256(path) == file.sha256


class TestContent:
    def test_unchanged_sends_nothing(self, case: LinkCase, tmp_path: Path) -> None:
        remote, here = case.new_folder()
        source = tmp_path / "quelle ü"
        files = [
            a_file(source, "modell größe.bin", 3 * MEBIBYTE),
            a_file(source, "with space/worker", 100_000, executable=True),
            a_file(source, "empty", 0),
        ]
        total = sum(file.size for file in files)
        with case.open(remote) as link:
            first = send(link, case, files)
            again = send(link, case, files)
        assert (first.sent_bytes, first.sent_files, first.skipped_files) == (total, 3, 0)
        assert (again.sent_bytes, again.sent_files, again.skipped_files) == (0, 0, 3)
        assert first.total_bytes == again.total_bytes == total
        assert all(stored(here, file) for file in files)
        modes = [(here / "store" / file.sha256).stat().st_mode & 0o111 for file in files]
        assert [bool(mode) for mode in modes] == [False, True, False]
        assert files[0].name in (here / "bundles" / "bundle").read_text()

    def test_one_changed_of_many_is_sent_alone(self, case: LinkCase, tmp_path: Path) -> None:
        files = [a_file(tmp_path, f"f{number}", 50_000 + number) for number in range(20)]
        with case.open() as link:
            send(link, case, files)
            files[7] = a_file(tmp_path, "f7", 60_000)
            report = send(link, case, files)
        assert (report.sent_bytes, report.sent_files, report.skipped_files) == (60_000, 1, 19)

    def test_the_same_content_goes_once(self, case: LinkCase, tmp_path: Path) -> None:
        first = a_file(tmp_path, "first", 300_000)
        (tmp_path / "second").write_bytes(first.local.read_bytes())
        with case.open() as link:
            report = send(link, case, [first, described(tmp_path / "second", "second")])
        assert (report.total_bytes, report.sent_bytes, report.sent_files) == (300_000, 300_000, 2)

    def test_many_small_files(self, case: LinkCase, tmp_path: Path) -> None:
        files = [a_file(tmp_path, f"f{number}", 10 + number % 7) for number in range(500)]
        with case.open() as link:
            report = send(link, case, files)
        assert report.sent_files == 500

    def test_progress_counts_what_is_sent(self, case: LinkCase, tmp_path: Path) -> None:
        seen: list[tuple[int, int]] = []
        file = a_file(tmp_path, "f", MEBIBYTE)
        with case.open() as link:
            send(link, case, [file], lambda sent, total: seen.append((sent, total)))
        assert seen[0] == (0, MEBIBYTE)
        assert seen[-1] == (MEBIBYTE, MEBIBYTE)
        assert seen == sorted(seen)

    def test_at_once_by_several(self, case: LinkCase, tmp_path: Path) -> None:
        remote, here = case.new_folder()
        files = [a_file(tmp_path, f"f{number}", 4 * MEBIBYTE) for number in range(3)]
        reports: list[PushReport] = []
        with case.open(remote) as link:
            install_agent(link, case.agent)

        def one(number: int) -> None:
            with case.open(remote) as link:
                reports.append(send(link, case, files, name=f"bundle-{number}"))

        threads = [threading.Thread(target=one, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(reports) == 4
        assert all(stored(here, file) for file in files)
        assert list((here / "incoming").iterdir()) == []
        assert len(list((here / "bundles").iterdir())) == 4


class TestResume:
    def test_a_cut_at_60_percent_costs_at_most_45(self, case: LinkCase, tmp_path: Path) -> None:
        remote, here = case.new_folder()
        old = a_file(tmp_path, "old", 1000)
        new = a_file(tmp_path, "new", BIG)
        with case.open(remote) as link:
            send(link, case, [old])
            bundle = (here / "bundles" / "bundle").read_bytes()
            with pytest.raises(TransportError):
                send(link, case, [new], _cut_at(case, 0.6))
        # The old bundle is whole as long as the new one is not.
        assert (here / "bundles" / "bundle").read_bytes() == bundle
        assert stored(here, old)
        assert not stored(here, new)
        with case.open(remote) as link:
            report = send(link, case, [new])
        assert stored(here, new)
        assert report.sent_bytes <= 0.45 * BIG
        assert report.sent_bytes + report.resumed_bytes == BIG
        assert (here / "bundles" / "bundle").read_bytes() != bundle

    def test_damage_is_noticed_and_sent_anew(self, case: LinkCase, tmp_path: Path) -> None:
        remote, here = case.new_folder()
        file = a_file(tmp_path, "f", MEBIBYTE)
        (here / "incoming").mkdir(parents=True)
        (here / "incoming" / f"{file.sha256}.part").write_bytes(bytes(MEBIBYTE // 2))
        with case.open(remote) as link:
            report = send(link, case, [file])
        assert (report.sent_bytes, report.resumed_bytes) == (MEBIBYTE, 0)
        assert stored(here, file)

    def test_what_the_disk_changes_meanwhile_is_sent_anew(
        self, case: LinkCase, tmp_path: Path
    ) -> None:
        remote, here = case.new_folder()
        file = a_file(tmp_path, "f", 8 * MEBIBYTE)
        part = here / "incoming" / f"{file.sha256}.part"
        done: list[int] = []

        def change(sent: int, total: int) -> None:
            # The board holds all but the last two MiB of what was sent.
            if sent >= 6 * MEBIBYTE and not done:
                done.append(sent)
                with part.open("r+b") as written:
                    written.seek(MEBIBYTE)
                    written.write(bytes(64))

        with case.open(remote) as link:
            send(link, case, [file], change)
        assert done
        assert stored(here, file)


class TestLocalFiles:
    def test_a_file_that_is_not_as_promised(self, case: LinkCase, tmp_path: Path) -> None:
        remote, here = case.new_folder()
        file = a_file(tmp_path, "f", 100_000)
        file.local.write_bytes(os.urandom(100_000))
        with case.open(remote) as link, pytest.raises(BundleError, match="sha256 is another"):
            send(link, case, [file])
        file.local.write_bytes(b"short")
        with case.open(remote) as link, pytest.raises(BundleError, match="found 5"):
            send(link, case, [file])
        assert not (here / "bundles" / "bundle").exists()

    def test_a_file_that_changes_under_us(self, case: LinkCase, tmp_path: Path) -> None:
        file = a_file(tmp_path, "f", 4 * MEBIBYTE)

        def truncate(sent: int, total: int) -> None:
            if sent:
                os.truncate(file.local, MEBIBYTE)

        def touch(sent: int, total: int) -> None:
            os.utime(file.local, ns=(sent, sent))

        with case.open() as link:
            with pytest.raises(BundleError, match=r"ended \d+ bytes early"):
                send(link, case, [file], truncate)
            file.local.write_bytes(bytes(4 * MEBIBYTE))
            with pytest.raises(BundleError, match="written to meanwhile"):
                send(link, case, [file], touch, name="other")


class TestRefusals:
    def test_a_full_disk(self, case: LinkCase, tmp_path: Path) -> None:
        remote, _ = case.new_folder()
        disk, disk_here = case.new_folder()
        file = a_file(tmp_path, "f", 9 * MEBIBYTE)
        with _disk(disk_here, 8), case.open(remote) as link:
            with pytest.raises(DeviceStorageError) as caught:
                send(link, case, [file], work=disk)
            free = os.statvfs(disk_here)
            assert free.f_bfree * free.f_frsize > 7 * MEBIBYTE
        text = str(caught.value)
        assert "full" in text
        assert str(9 * MEBIBYTE) in text
        numbers = [int(number) for number in re.findall(r"\d+", text)]
        assert any(7 * MEBIBYTE < number <= 8 * MEBIBYTE for number in numbers)
        assert "work_folder" in caught.value.remedy

    def test_a_disk_that_fills_up_meanwhile(self, case: LinkCase, tmp_path: Path) -> None:
        remote, _ = case.new_folder()
        disk, disk_here = case.new_folder()
        file = a_file(tmp_path, "f", 24 * MEBIBYTE)

        def fill(sent: int, total: int) -> None:
            if sent == 0:
                (disk_here / "other").write_bytes(bytes(20 * MEBIBYTE))

        with (
            _disk(disk_here, 32),
            case.open(remote) as link,
            pytest.raises(DeviceStorageError, match="full"),
        ):
            send(link, case, [file], fill, work=disk)

    def test_a_full_disk_has_no_room_for_the_agent(self, case: LinkCase) -> None:
        disk, disk_here = case.new_folder()
        with _disk(disk_here, 1):
            (disk_here / "other").write_bytes(bytes(MEBIBYTE - 8192))
            with case.open(disk) as link, pytest.raises(DeviceStorageError, match="No space"):
                install_agent(link, case.agent)
            assert list((disk_here / "bin").iterdir()) == []

    def test_a_read_only_folder(self, case: LinkCase, tmp_path: Path) -> None:
        remote, _ = case.new_folder()
        disk, disk_here = case.new_folder()
        file = a_file(tmp_path, "f", 1000)
        with _disk(disk_here, 8, "ro"), case.open(remote) as link:
            with pytest.raises(DeviceStorageError, match=r"cannot be written.*Read-only"):
                send(link, case, [file], work=f"{disk}/inside")
            with case.open(disk) as other, pytest.raises(DeviceStorageError) as caught:
                install_agent(other, case.agent)
        assert disk in str(caught.value)
        assert "work_folder" in caught.value.remedy

    def test_a_folder_that_runs_no_programs(self, case: LinkCase) -> None:
        if case.emulated:
            return  # qemu reads the program; nothing is started from the folder.
        disk, disk_here = case.new_folder()
        with (
            _disk(disk_here, 64, "noexec"),
            case.open(disk) as link,
            pytest.raises(DeviceStorageError, match="noexec"),
        ):
            install_agent(link, case.agent)

    def test_a_receiver_that_is_none(self, case: LinkCase, tmp_path: Path) -> None:
        file = a_file(tmp_path, "f", 1000)
        with case.open() as link, pytest.raises(TransportError, match=r"exit code 3.*no agent"):
            push(link, ["sh", "-c", "echo no agent >&2; exit 3"], "bundle", [file])


def _cut_at(case: LinkCase, part: float) -> Progress:
    done: list[int] = []

    def on_progress(sent: int, total: int) -> None:
        if sent >= part * total and not done:
            done.append(sent)
            case.cut()

    return on_progress


def _disk(place: Path, megabytes: int, option: str = "rw") -> SmallDisk:
    try:
        return SmallDisk(place, megabytes, option)
    except MissingPartError as missing:
        pytest.skip(f"a small disk needs {missing}")
