"""Workers compiled with a board's own files: when a build has them, and what is refused."""

import json
import platform

import pytest

from deployx_edge.crossbuild.board_runtimes import board_version
from deployx_edge.crossbuild.fingerprint import build_fingerprint
from deployx_edge.crossbuild.jetpack import find_jetpack, jetpacks
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.sysroot import Sysroot, cmake_options, read_sysroot, write_sysroot
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.target import find_target, targets
from deployx_edge.worker_facts import read_worker_facts, worker_facts, worker_names
from deployx_edge.workflows.build.build import package_prefix

JETSON = find_target("jetson-arm64")
# Those that some target's boards bring themselves.
OWN = [name for name in worker_names() if worker_facts(name).board is not None]
RUNTIME = OWN[0]
BOARD = worker_facts(RUNTIME).board
INCLUDE = "usr/include/aarch64-linux-gnu"
LIBRARIES = "usr/lib/aarch64-linux-gnu"


def board_files(folder, *, version="8.5", library=None, glibc="2.31", leave_out=()):
    """A sysroot with all that the worker is compiled with, of that version."""
    (folder / INCLUDE).mkdir(parents=True)
    (folder / LIBRARIES).mkdir(parents=True)
    major, minor = version.split(".")
    names = zip(BOARD.version_macros, (major, minor), strict=True)
    text = "".join(f"#define {name} {number} //!< it\n" for name, number in names)
    (folder / INCLUDE / BOARD.version_header).write_text("#pragma once\n" + text)
    for name in BOARD.headers:
        (folder / INCLUDE / name).write_text("// a header\n")
    for name in BOARD.libraries:
        (folder / LIBRARIES / f"{name}.{library or major}").write_text("a library")
    for name in leave_out:
        for path in folder.rglob(f"{name}*"):
            path.unlink()
    sysroot = Sysroot(
        folder=folder,
        uri="ssh:nano@192.0.2.8",
        machine="aarch64",
        glibc=glibc,
        jetpack="",
        patterns=(),
        absent=(),
        files=(),
        links=(),
    )
    write_sysroot(sysroot)
    return folder


def runtimes(sysroot=None, **options):
    return select(JETSON, BuildOptions(sysroot=sysroot, **options)).runtimes


def refused(sysroot=None, **options):
    with pytest.raises(UsageError) as caught:
        runtimes(sysroot, **options)
    return caught.value


def test_without_a_sysroot_such_a_worker_is_left_out_and_asked_for_it_says_what_to_do():
    assert RUNTIME in JETSON.runtimes
    assert RUNTIME not in runtimes()
    error = refused(runtimes=(RUNTIME,))
    assert f"The worker for {RUNTIME} is compiled with a board's own headers" in error.message
    assert "deployx-edge sysroot pull" in error.remedy
    assert "--sysroot DIR" in error.remedy


@pytest.mark.parametrize(("version", "glibc"), [("8.5", "2.31"), ("8.6", "2.35"), ("10.3", "2.35")])
def test_with_a_sysroot_that_has_its_headers_it_is_built(tmp_path, version, glibc):
    folder = board_files(tmp_path / "root", version=version, glibc=glibc)
    assert runtimes(folder) == JETSON.runtimes
    assert runtimes(folder, runtimes=(RUNTIME,)) == JETSON.runtimes
    assert board_version(read_sysroot(folder), BOARD) == version
    selection = select(JETSON, BuildOptions(sysroot=folder))
    # By the same compiler as the others, for the board's glibc.
    assert selection.worker(RUNTIME) == selection.worker("ncnn")


def test_a_sysroot_of_a_board_without_it_is_no_error_until_it_is_asked_for(tmp_path):
    folder = board_files(tmp_path / "root", leave_out=BOARD.headers)
    assert RUNTIME not in runtimes(folder)
    error = refused(folder, runtimes=(RUNTIME,))
    assert f"has no {BOARD.headers[0]}" in error.message
    assert "ssh:nano@192.0.2.8" in error.message


@pytest.mark.parametrize("name", [*BOARD.headers[1:], *BOARD.libraries])
def test_half_of_it_is_named_once_it_is_asked_for(tmp_path, name):
    folder = board_files(tmp_path / "root", leave_out=[name])
    assert RUNTIME not in runtimes(folder)
    error = refused(folder, runtimes=(RUNTIME,))
    assert f"has a part of {RUNTIME} only: {name} is missing" in error.message


def test_headers_of_another_version_than_the_library_are_refused_with_both(tmp_path):
    error = refused(board_files(tmp_path / "root", version="8.6", library="10", glibc="2.35"))
    assert f"headers are of {RUNTIME} 8.6, its library is {BOARD.libraries[0]}.10" in error.message


def test_a_version_of_another_jetpack_is_refused_with_both(tmp_path):
    error = refused(board_files(tmp_path / "root", version="10.3"))
    assert f"has {RUNTIME} 10.3; JetPack 5 has 8.4 or 8.5" in error.message
    newer = board_files(tmp_path / "newer", version="8.6", glibc="2.35")
    assert runtimes(newer, jetpack="6") == JETSON.runtimes
    assert f"{RUNTIME} 8.6; JetPack 5" in refused(newer, jetpack="5").message


def test_a_version_that_the_worker_is_not_written_for_is_refused_with_both(tmp_path):
    error = refused(board_files(tmp_path / "root", version="8.4"))
    assert f"has {RUNTIME} 8.4; its worker is written for {BOARD.oldest}" in error.message


def test_a_version_is_read_through_names_of_other_macros(tmp_path):
    folder = board_files(tmp_path / "root")
    header = folder / INCLUDE / BOARD.version_header
    major, minor = BOARD.version_macros
    header.write_text(f"#define A_MAJOR 10\n  #  define {major} A_MAJOR\n#define {minor} 3\n")
    assert board_version(read_sysroot(folder), BOARD) == "10.3"
    header.write_text(f"#define {major} {minor}\n#define {minor} {major}\n")
    assert "does not say which version" in refused(folder).message
    header.unlink()
    assert "does not say which version" in refused(folder).message


X64 = find_target("linux-x64")
CUDA = "usr/local/cuda-12.6/targets/x86_64-linux/include"
needs_x64 = pytest.mark.skipif(
    platform.machine() not in X64.machines, reason="this computer is no 64-bit x86"
)


def own_files(folder, *, version="10.3", include="include", lib="lib", leave_out=()):
    """A vendor's folder with all that the worker is compiled with, CUDA's headers among it."""
    made = board_files(folder.with_name("board"), version=version, leave_out=leave_out)
    for old, new in ((INCLUDE, include), (LIBRARIES, lib)):
        (folder / new).parent.mkdir(parents=True, exist_ok=True)
        (made / old).rename(folder / new)
    # Without a folder of CUDA's it would take this computer's.
    (folder / CUDA).mkdir(parents=True)
    return folder


def selected(folder=None, *asked):
    return select(X64, BuildOptions(sysroot=folder, runtimes=asked))


@needs_x64
@pytest.mark.parametrize(
    ("include", "lib"),
    [("include", "lib"), ("usr/include/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")],
)
def test_a_folder_of_this_computer_brings_its_own_target_the_worker(tmp_path, include, lib):
    folder = own_files(tmp_path / "own", include=include, lib=lib)
    selection = selected(folder)
    assert selection.runtimes == X64.runtimes
    assert selected(folder, RUNTIME).runtimes == X64.runtimes
    (option,) = cmake_options(selection.sysroot)
    assert option.startswith(f"-DCMAKE_INCLUDE_PATH={folder / include};")
    assert option.endswith(f";{folder / CUDA}")
    # Headers of another version are another build, and a build of nothing of it is not disturbed.
    first = build_fingerprint(X64, selection)
    assert first != build_fingerprint(X64, selected())
    header = folder / include / BOARD.version_header
    header.write_text(header.read_text().replace(" 3 ", " 4 "))
    assert first != build_fingerprint(X64, selected(folder))


def test_what_a_board_brings_itself_has_no_package():
    """Every worker of a target is asked for its package by the builds for sanitizers."""
    prefix = package_prefix(X64, RUNTIME, BuildOptions(toolchain="gnu"))
    assert (prefix / "include").is_dir()


@needs_x64
def test_nothing_of_this_computer_is_taken_that_nobody_asked_for():
    assert RUNTIME not in selected().runtimes
    assert selected().sysroot is None


@needs_x64
@pytest.mark.parametrize("missing", [*BOARD.headers, *BOARD.libraries])
def test_a_folder_that_lacks_a_part_is_refused_once_it_is_asked_for(tmp_path, missing):
    folder = own_files(tmp_path / "own", leave_out=(missing,))
    assert RUNTIME not in selected(folder).runtimes
    with pytest.raises(UsageError) as caught:
        selected(folder, RUNTIME)
    assert missing in caught.value.message
    assert str(folder) in caught.value.message
    assert "on this computer with its headers" in caught.value.remedy
    assert "include/" in caught.value.remedy


@needs_x64
def test_what_of_a_folder_does_not_fit_is_refused_with_both(tmp_path):
    with pytest.raises(UsageError, match=f"has {RUNTIME} 8.4; its worker is written for 8.5"):
        selected(own_files(tmp_path / "old" / "own", version="8.4"))
    folder = own_files(tmp_path / "new" / "own")
    for path in (folder / "lib").glob(f"{BOARD.libraries[0]}*"):
        path.rename(path.with_name(f"{BOARD.libraries[0]}.8"))
    with pytest.raises(UsageError, match="does not fit together"):
        selected(folder)
    with pytest.raises(UsageError, match=r"neither sysroot\.json nor a folder include"):
        selected(tmp_path / "nothing")


@needs_x64
def test_a_computer_without_it_says_what_to_do():
    try:
        assert RUNTIME in selected(None, RUNTIME).runtimes
    except UsageError as error:
        assert "This computer has" in error.message
        assert "on this computer with its headers" in error.remedy


def test_a_runtime_that_the_target_lacks_is_refused():
    with pytest.raises(UsageError, match=f"linux-arm64 have no worker for '{RUNTIME}'"):
        select(find_target("linux-arm64"), BuildOptions(runtimes=(RUNTIME,)))
    assert runtimes(runtimes=("ncnn",)) == tuple(r for r in JETSON.runtimes if r not in OWN)


@pytest.mark.parametrize("runtime", OWN)
def test_each_jetpack_says_which_versions_it_has(runtime):
    having = [id for id, target in targets().items() if runtime in target.runtimes]
    assert JETSON.id in having
    for id in jetpacks():
        assert find_jetpack(id).runtimes[runtime]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"more": 1}, '"board" has an unknown member "more"'),
        ({"headers": []}, "names no headers"),
        ({"version_macros": ["A"]}, "not two macros"),
        ({"oldest": "8"}, '"oldest" is not a text'),
        ({"libraries": "libx.so"}, '"libraries" is not a list'),
    ],
)
def test_facts_of_a_board_that_are_broken_are_refused(tmp_path, change, said):
    (tmp_path / RUNTIME).mkdir()
    path = tmp_path / RUNTIME / "worker.json"
    board = {
        "headers": ["a.h"],
        "version_header": "v.h",
        "version_macros": ["A", "B"],
        "libraries": ["liba.so"],
        "oldest": "8.5",
    }
    path.write_text(json.dumps({"name": RUNTIME, "board": board}))
    assert read_worker_facts(path).board.oldest == "8.5"
    path.write_text(json.dumps({"name": RUNTIME, "board": {**board, **change}}))
    with pytest.raises(BuildError, match=said):
        read_worker_facts(path)
