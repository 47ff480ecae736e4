"""``sysroot pull`` from a real sshd with a foreign busybox for a userland."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deployx_edge.crossbuild.finished import hash_file
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.sysroot import read_sysroot
from deployx_edge.device import Device
from deployx_edge.errors import LinkLostError, TransportError, UsageError
from deployx_edge.progress import Stage, Transfer
from deployx_edge.target import find_target
from deployx_edge.workflows.build.sysroot import pull_sysroot
from tests.integration.board import MissingPartError, SmallDisk, running_sshd
from tests.integration.foreign import foreign_root

_COMMAND = Path(sys.executable).parent / "deployx-edge"
_APPLETS = ("find", "grep", "head", "readlink", "sh", "stat", "tar", "xargs")
_LIBRARIES = "usr/lib/aarch64-linux-gnu"
_CUDA = "usr/local/cuda-11.4/targets/aarch64-linux"
_TEGRA = "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64\n"


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board that looks like a Jetson with JetPack 5 as far as files tell, and its root here."""
    try:
        with foreign_root() as root:
            for applet in _APPLETS:
                if not (root / "bin" / applet).exists():
                    (root / "bin" / applet).symlink_to("busybox")
            folder = tmp_path_factory.mktemp("sshd-sysroot")
            with running_sshd(folder, f"ChrootDirectory {root}") as sshd:
                yield sshd, root
    except MissingPartError as missing:
        pytest.skip(f"a foreign board needs {missing}")


@pytest.fixture
def jetson(board):
    """The device, and its root with files as JetPack 5 lays them, fresh for each test."""
    sshd, root = board
    files = {
        "etc/nv_tegra_release": _TEGRA,
        "lib/aarch64-linux-gnu/libc.so.6": "\0GNU C Library … stable release version 2.31.\n\0",
        f"{_CUDA}/include/cuda.h": "// cuda\n",
        f"{_CUDA}/include/crt/host defines é.h": "// deeper\n",
        f"{_CUDA}/lib/libcudart.so.11.4.298": "cudart" * 50_000,
        f"{_LIBRARIES}/libcudnn.so.8.6.0": "cudnn" * 50_000,
        "usr/include/aarch64-linux-gnu/cudnn_v8.h": "// cudnn\n",
        "usr/include/aarch64-linux-gnu/NvInfer.h": "// TensorRT\n",
        "opt/elsewhere/deep.h": "// outside\n",
    }
    links = {
        f"{_CUDA}/lib/libcudart.so": "libcudart.so.11.4.298",
        f"{_CUDA}/include/self": ".",
        f"{_CUDA}/include/outside": "/opt/elsewhere",
        f"{_CUDA}/include/loop-a": "loop-b",
        f"{_CUDA}/include/loop-b": "loop-a",
        f"{_LIBRARIES}/libcudnn.so.8": "libcudnn.so.8.6.0",
        f"{_LIBRARIES}/libcudnn.so": "/etc/alternatives/libcudnn_so",
        "etc/alternatives/libcudnn_so": f"/{_LIBRARIES}/libcudnn.so.8",
        "etc/alternatives/cudnn": "/usr/include/aarch64-linux-gnu/cudnn_v8.h",
        "usr/include/cudnn.h": "/etc/alternatives/cudnn",
    }
    made = []
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        made.append(root / name)
    for name, target in links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target)
        made.append(root / name)
    yield Device(name="jetson", uri=sshd.uri, options=sshd.options()), root
    for path in made:
        path.unlink(missing_ok=True)


def test_the_copy_stands_alone(jetson, tmp_path):
    device, root = jetson
    done = pull_sysroot(device, tmp_path / "a folder é")
    sysroot = done.sysroot
    assert (sysroot.machine, sysroot.glibc, sysroot.jetpack) == ("aarch64", "2.31", "5")
    assert read_sysroot(sysroot.folder) == sysroot
    assert done.moved == len(sysroot.files) == 7
    for file in sysroot.files:
        assert hash_file(sysroot.folder / file.path) == file.sha256 == hash_file(root / file.path)
    # Every link leads to a file or folder of the copy, by a way that moves with it.
    for link in sysroot.links:
        place = sysroot.folder / link.path
        assert not place.readlink().is_absolute()
        assert place.exists()
        assert place.resolve().is_relative_to(sysroot.folder)
    cudnn = sysroot.folder / _LIBRARIES / "libcudnn.so"
    assert cudnn.readlink() == Path("libcudnn.so.8.6.0")
    assert (sysroot.folder / "usr/include/cudnn.h").read_text() == "// cudnn\n"
    # What a link leads to outside of the list comes along.
    assert (sysroot.folder / _CUDA / "include/outside/deep.h").read_text() == "// outside\n"
    assert sorted(done.broken) == [f"/{_CUDA}/include/loop-{x}" for x in "ab"]
    assert f"/{_LIBRARIES}/libnvinfer*.so*" in sysroot.absent
    assert select(find_target("jetson"), BuildOptions(sysroot=sysroot.folder)).jetpack == "5"


def test_a_second_pull_moves_what_has_changed(jetson, tmp_path):
    device, root = jetson
    first = pull_sysroot(device, tmp_path)
    again = pull_sysroot(device, tmp_path)
    assert (again.moved, again.kept, again.removed) == (0, 7, 0)
    assert again.sysroot == first.sysroot
    # Changed on the board; of the same size and time, but damaged here; gone from the board.
    (root / _CUDA / "include/cuda.h").write_text("// a newer cuda\n")
    library = tmp_path / _CUDA / "lib/libcudart.so.11.4.298"
    before = library.stat()
    library.write_bytes(b"x" * before.st_size)
    os.utime(library, ns=(before.st_mtime_ns, before.st_mtime_ns))
    (root / "usr/include/aarch64-linux-gnu/NvInfer.h").unlink()
    third = pull_sysroot(device, tmp_path)
    assert (third.moved, third.kept, third.removed) == (2, 4, 1)
    assert (tmp_path / _CUDA / "include/cuda.h").read_text() == "// a newer cuda\n"
    assert library.read_bytes()[:6] == b"cudart"
    assert not (tmp_path / "usr/include/aarch64-linux-gnu/NvInfer.h").exists()


def test_what_came_is_held_against_the_boards_own_hashes(jetson, tmp_path):
    device, root = jetson
    header = root / _CUDA / "include/cuda.h"

    def change(event):
        if isinstance(event, Stage) and event.text == "Comparing hashes":
            header.write_text("// CUDA\n")

    with pytest.raises(TransportError, match=r"1 files are not what the board has, .*/cuda\.h"):
        pull_sysroot(device, tmp_path, progress=change)
    # The wrong one is gone, so that the next pull copies it alone.
    assert not (tmp_path / _CUDA / "include/cuda.h").exists()
    assert not (tmp_path / "sysroot.json").exists()
    done = pull_sysroot(device, tmp_path)
    assert (done.moved, done.kept, done.compared) == (1, 6, True)
    assert (tmp_path / _CUDA / "include/cuda.h").read_text() == "// CUDA\n"


def test_a_pull_that_was_killed_goes_on_where_it_ended(jetson, tmp_path):
    device, root = jetson
    big = root / "opt" / "big"
    big.mkdir(parents=True)
    for number in range(8):
        (big / f"{number}.bin").write_bytes(os.urandom(4 << 20))
    (tmp_path / "deployx.toml").write_text(
        f'[devices.jetson]\nuri = "{device.uri}"\nssh_config = "{device.options.ssh_config}"\n'
    )
    words = [_COMMAND, "sysroot", "pull", "--device", "jetson", "--path", "/opt/big", "-o", "copy"]
    child = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL)
    place = tmp_path / "copy" / "opt" / "big"
    try:
        until = time.monotonic() + 60
        while not list(place.glob("*.bin")):
            assert child.poll() is None
            assert time.monotonic() < until
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
        arrived = sorted(place.glob("*.bin"))
        # Whole or not at all.
        for path in arrived:
            assert hash_file(path) == hash_file(big / path.name)
        assert not (tmp_path / "copy" / "sysroot.json").exists()
        done = pull_sysroot(device, tmp_path / "copy", paths=["/opt/big"])
    finally:
        for path in big.iterdir():
            path.unlink()
        big.rmdir()
    assert done.kept >= len(arrived) > 0
    assert done.moved == 15 - done.kept
    assert list((tmp_path / "copy").glob(".incoming")) == []


def test_a_cut_link_leaves_whole_files(board, jetson, tmp_path):
    device, root = jetson
    sshd, _ = board
    big = root / "opt" / "cut.bin"
    big.write_bytes(os.urandom(32 << 20))

    def cut(event):
        if isinstance(event, Transfer):
            sshd.signal_sessions(signal.SIGKILL)

    try:
        with pytest.raises((LinkLostError, TransportError)):
            pull_sysroot(device, tmp_path, paths=["/opt/*.bin"], progress=cut)
        assert not (tmp_path / "opt" / "cut.bin").exists()
        assert pull_sysroot(device, tmp_path, paths=["/opt/*.bin"]).kept >= 1
        assert hash_file(tmp_path / "opt" / "cut.bin") == hash_file(big)
    finally:
        big.unlink()


def test_any_board_gives_what_is_asked_for_by_path(jetson, tmp_path):
    device, root = jetson
    (root / "etc" / "nv_tegra_release").unlink()
    with pytest.raises(UsageError, match=r"does not say that it is a Jetson .*--jetpack 5"):
        pull_sysroot(device, tmp_path)
    done = pull_sysroot(device, tmp_path, paths=["/usr/include/aarch64-linux-gnu/", "/no/such"])
    assert [file.path for file in done.sysroot.files] == [
        "usr/include/aarch64-linux-gnu/NvInfer.h",
        "usr/include/aarch64-linux-gnu/cudnn_v8.h",
    ]
    assert done.sysroot.absent == ("/no/such",)
    assert done.sysroot.jetpack == ""
    with pytest.raises(UsageError, match=r"jetson has none of /no/such\."):
        pull_sysroot(device, tmp_path, paths=["/no/such"])
    with pytest.raises(UsageError, match=r"--path \.\./x must be an absolute path"):
        pull_sysroot(device, tmp_path, paths=["../x"])


def test_a_folder_of_another_board_is_left_alone(jetson, tmp_path):
    device, _ = jetson
    pull_sysroot(device, tmp_path)
    here = Device(name="here", uri="local:")
    with pytest.raises(UsageError, match=r"\(aarch64\); this board is x86_64"):
        pull_sysroot(here, tmp_path, paths=["/etc/hostname"])


def test_a_folder_that_cannot_be_written_is_named(jetson, tmp_path):
    device, _ = jetson
    with (
        SmallDisk(tmp_path / "disk", 4, "ro"),
        pytest.raises(UsageError, match=r"disk/copy cannot be written \(Read-only file system\)"),
    ):
        pull_sysroot(device, tmp_path / "disk" / "copy")


def test_too_little_room_is_told_before_anything_moves(jetson, tmp_path):
    device, root = jetson
    (root / "opt" / "large.bin").write_bytes(bytes(3 << 20))
    try:
        with SmallDisk(tmp_path / "disk", 2) as disk:
            with pytest.raises(UsageError, match=r"MiB free; the files take 3\.\d MiB"):
                pull_sysroot(device, disk / "copy", paths=["/opt/*.bin"])
            assert list((disk / "copy").rglob("*.bin")) == []
    finally:
        (root / "opt" / "large.bin").unlink()
