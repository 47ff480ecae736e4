"""Bundle, build and board held against each other, on values as boards and builds tell them."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from deployx_edge.crossbuild.finished import Build, BuiltFile
from deployx_edge.device import Device
from deployx_edge.errors import (
    AgentError,
    BuildError,
    MissingToolError,
    UnfitDeviceError,
    UsageError,
)
from deployx_edge.target import find_target
from deployx_edge.transport.adb.android import read_facts
from deployx_edge.workflows.boards.lease import LeaseEntry, busy, owner, parse_entry
from deployx_edge.workflows.boards.preflight import check_emulation, check_fit, check_system
from tests.unit.models.bundles import written
from tests.unit.report.results import BOARD


def built(*, libc="static", runtime="ncnn", library=""):
    """A build with one worker, and with the library of that C library's version beside it."""
    worker = BuiltFile(
        name=f"dx-worker-{runtime}",
        role="worker",
        runtime=runtime,
        sha256="0" * 64,
        size_bytes=1,
        machine="EM_AARCH64",
        libc=libc,
        libstdcxx="",
        needed=(),
    )
    libraries = [replace(worker, name="libthing.so.1", role="library", libc=library)]
    return Build(
        folder=Path("dist"),
        target_id="linux-arm64",
        toolchain="zig",
        reason="",
        jetpack="",
        sysroot="",
        version="0",
        compiler="zig",
        flags="",
        fingerprint="",
        imported=False,
        packages=(),
        files=(
            replace(worker, name="dx-agent", role="agent", runtime="", libc="static"),
            worker,
            *(libraries if library else ()),
        ),
    )


def board(**changes):
    return replace(BOARD, **changes)


@pytest.mark.parametrize(
    ("libc", "needed"),
    [
        ("musl; agent: musl", "static"),
        ("glibc 2.31; agent: musl", "GLIBC_2.31"),
        ("glibc 2.36; agent: musl", "GLIBC_2.31"),
        ("glibc 2.9; agent: musl", "GLIBC_2.4"),
    ],
)
def test_a_c_library_that_is_new_enough_fits(libc, needed, tmp_path):
    check_fit(board(libc=libc), built(libc=needed), written(tmp_path), device="pi")


@pytest.mark.parametrize(
    ("libc", "needed", "says"),
    [
        ("glibc 2.27; agent: musl", "GLIBC_2.31", "needs glibc 2.31, the board has 2.27"),
        ("glibc 2.4; agent: musl", "GLIBC_2.31", "needs glibc 2.31, the board has 2.4"),
        ("musl; agent: musl", "GLIBC_2.31", "needs glibc 2.31, the board has musl"),
    ],
)
def test_a_c_library_that_is_too_old_is_refused_with_both_named(libc, needed, says, tmp_path):
    bundle = written(tmp_path)
    with pytest.raises(UnfitDeviceError, match=f"cannot run on pi: .*{says}") as caught:
        check_fit(board(libc=libc), built(libc=needed), bundle, device="pi")
    assert caught.value.exit_code == 37
    # An emulated board tells the host's.
    emulated = board(libc=libc, emulated=True)
    check_fit(emulated, built(libc=needed), bundle, device="pi")


def test_a_worker_s_library_is_held_against_the_board_too(tmp_path):
    bundle = written(tmp_path)
    build = built(libc="GLIBC_2.17", library="GLIBC_2.28")
    with pytest.raises(UnfitDeviceError, match=r"libthing.* needs glibc 2\.28, the board has 2"):
        check_fit(board(libc="glibc 2.27; agent: musl"), build, bundle, device="pi")
    check_fit(board(libc="glibc 2.28; agent: musl"), build, bundle, device="pi")


def phone(level):
    properties = f"[ro.build.version.sdk]: [{level}]\n" if level else ""
    return read_facts(f"deployx-part properties\n{properties}")


@pytest.mark.parametrize(
    ("facts", "needed"),
    [
        (None, "static"),
        (phone(21), "static"),
        (phone(24), "Bionic, API level 24"),
        (phone(35), "Bionic, API level 24"),
        (phone(None), "Bionic, API level 24"),
    ],
)
def test_a_phone_that_is_new_enough_fits(facts, needed):
    check_system(facts, built(libc=needed), device="phone")


def test_a_phone_that_is_too_old_is_refused_with_both_named():
    words = "cannot run on phone: dx-worker-ncnn needs API level 30, the phone has 29"
    with pytest.raises(UnfitDeviceError, match=words) as caught:
        check_system(phone(29), built(libc="Bionic, API level 30"), device="phone")
    assert "api under [toolchains.android]" in caught.value.remedy


def test_weights_beyond_the_board_s_memory_are_refused(tmp_path):
    bundle = written(tmp_path)
    size = sum(file.size for file in bundle.files)
    check_fit(board(memory_bytes=size), built(), bundle, device="pi")
    check_fit(board(memory_bytes=None), built(), bundle, device="pi")
    with pytest.raises(UnfitDeviceError, match="of memory"):
        check_fit(board(memory_bytes=size - 1), built(), bundle, device="pi")


def test_a_runtime_that_is_the_boards_own_is_told_with_what_builds_its_worker(tmp_path):
    build = replace(built(), target_id="jetson-arm64")
    bundle = replace(written(tmp_path), runtime="tensorrt")
    with pytest.raises(BuildError, match="this build of jetson-arm64 has no worker") as caught:
        check_fit(board(), build, bundle, device="nano")
    assert "sysroot pull --device nano -o DIR" in caught.value.remedy
    assert "build --target jetson-arm64 --sysroot DIR --runtime tensorrt" in caught.value.remedy


def test_a_runtime_that_was_not_built_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match=r"no worker for 'ncnn'.*dx-worker-tensorrt"):
        check_fit(board(), built(runtime="tensorrt"), written(tmp_path), device="pi")
    bundle = replace(written(tmp_path), runtime="tensorrt")
    with pytest.raises(UsageError, match=r"boards of linux-arm64 have ncnn, .* not tensorrt"):
        check_fit(board(), built(), bundle, device="pi")


def test_without_the_target_s_libraries_no_dynamic_worker_runs_under_our_qemu(tmp_path):
    bundle, dynamic = written(tmp_path), built(libc="GLIBC_2.28")
    agent, worker = dynamic.files
    dynamic = replace(dynamic, files=(agent, replace(worker, needed=("libc.so.6", "libm.so.6"))))
    (tmp_path / "there" / "lib").mkdir(parents=True)
    (tmp_path / "there" / "lib" / "libc.so.6").touch()
    target = replace(find_target("linux-arm64"), qemu_libraries=str(tmp_path / "there"))
    check_emulation((), target, dynamic, bundle, device="pi")
    check_emulation(("qemu",), target, built(), bundle, device="pi")
    with pytest.raises(MissingToolError, match=r"its worker needs libm\.so\.6 in .*/there/lib"):
        check_emulation(("qemu",), target, dynamic, bundle, device="pi")


ID = "0123456789abcdef"


def test_a_lease_is_read_as_the_agent_writes_it():
    entry = parse_entry(f"{ID} 12 200 - ann@desk: bench resnet 50")
    assert entry == LeaseEntry(
        id=ID, pid=12, seconds=200, user=None, text="ann@desk: bench resnet 50"
    )
    assert entry.since == "ann@desk: bench resnet 50 (since 3 min)"
    other = parse_entry(f"{ID} 12 200 bob ann@desk: bench")
    assert other.since == "the board's user bob as 'ann@desk: bench' (since 3 min)"
    assert parse_entry(f"{ID} 12 200 - ").text == ""


@pytest.mark.parametrize(
    "words",
    [
        "",
        "1",
        "12 200 ann@desk: bench",
        f"{ID} x 1 - a",
        f"{ID} 1 x - a",
        f"{ID} 1 1 -",
        f"{ID} \N{SUPERSCRIPT TWO} 1 - a",
        f"{ID} {'9' * 5000} 1 - a",
        f"{ID} 1 {'9' * 5000} - a",
        f"{ID} 1 1 \x1b[2J a",
        f"{ID[:-1]} 1 1 - a",
    ],
)
def test_what_is_no_lease_is_refused(words):
    with pytest.raises(AgentError, match="ID PID SECONDS USER WHO"):
        parse_entry(words)


@pytest.mark.parametrize(
    ("user", "text", "ours"),
    [(None, f"{owner()}: x", True), ("bob", f"{owner()}: x", False), (None, "bob@lab: x", False)],
)
def test_a_run_is_ours_by_the_board_s_word_and_its_own(user, text, ours):
    assert LeaseEntry(id=ID, pid=1, seconds=0, user=user, text=text).is_ours is ours


def test_the_way_to_a_board_in_use_can_be_typed_as_it_stands():
    holder = LeaseEntry(id=ID, pid=12, seconds=200, user=None, text="ann@desk: bench resnet")
    refusal = busy(Device(name="Ann's pi", uri="ssh:pi"), holder)
    words = shlex.split(refusal.remedy.partition("end that run: ")[2])
    assert words == ["deployx-edge", "devices", "release", "Ann's pi", "--force"]


def test_a_build_that_lacks_an_operator_is_named_with_the_command(tmp_path):
    bundle = replace(written(tmp_path), operators=("top_k",))
    build = built()
    worker = replace(build.files[1], operators=("gather_elements", "top_k"))
    check_fit(board(), replace(build, files=(build.files[0], worker)), bundle, device="pi")
    with pytest.raises(
        BuildError, match=r"in the build of linux-arm64 has no operator top_k"
    ) as found:
        check_fit(board(), build, bundle, device="pi")
    assert found.value.remedy == "Run 'deployx-edge build --target linux-arm64'."
    foreign = replace(bundle, operators=("my_shift",))
    with pytest.raises(BuildError, match="has no operator my_shift") as found:
        check_fit(board(), build, foreign, device="pi")
    assert "the folder my_shift of whoever made the bundle" in found.value.remedy
