"""Workers that are compiled with a board's own headers, by the compiler and options of a build.

The headers of TensorRT and CUDA are NVIDIA's. Where DEPLOYX_EDGE_TENSORRT_ROOT names a sysroot that
has them (``deployx-edge sysroot pull``), the whole worker is compiled and started under qemu; else
what every build does for jetson-arm64 before it, with the headers of the libraries that stand in.
"""

from __future__ import annotations

import itertools
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge import process
from deployx_edge.crossbuild.board_runtimes import board_version
from deployx_edge.crossbuild.device_code import assemblers
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.finished import read_build, verify_files
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.sysroot import Sysroot, cmake_options, read_sysroot, write_sysroot
from deployx_edge.operator_facts import all_operators
from deployx_edge.resources import data_folder
from deployx_edge.target import Target, find_target
from deployx_edge.worker_facts import worker_facts, worker_names
from tests.integration.crossbuild.compiling import built, cmake_commands, run

JETSON = find_target("jetson-arm64")
RUNTIME = "tensorrt"
BOARD = worker_facts(RUNTIME).board
DEVICE_AGENT = data_folder("device_agent")
STAND_IN = DEVICE_AGENT / "tests" / "worker" / "stand_in"
GIVEN = "DEPLOYX_EDGE_TENSORRT_ROOT"


def configured(folder: Path, place: Path, target: Target = JETSON) -> tuple[Path, dict[str, str]]:
    """A build folder for that worker alone, configured as a build is, and its environment."""
    built(target.id)
    selection = select(target, BuildOptions(sysroot=place))
    assert selection.sysroot is not None
    toolchain = selection.worker(RUNTIME)
    environment = dict(toolchain.environment)
    configure, _ = cmake_commands(DEVICE_AGENT, folder, toolchain.cmake_file)
    others = [name for name in worker_names() if name != RUNTIME]
    run(
        [
            *configure,
            *cmake_options(selection.sysroot),
            "-DDX_BUILD_AGENT=OFF",
            f"-DPython3_EXECUTABLE={sys.executable}",
            *(f"-DDX_BUILD_WORKER_{name.upper()}=OFF" for name in others),
        ],
        environment,
    )
    return folder, environment


@pytest.fixture
def stand_in_sysroot(tmp_path):
    """A board's folders as sysroot pull leaves them, with our own headers in NVIDIA's places."""
    root = tmp_path / "the board"
    headers = root / "usr/include/aarch64-linux-gnu"
    cuda = root / "usr/local/cuda-12.6/targets/aarch64-linux"
    for folder in (headers, cuda / "include", cuda / "lib", root / "usr/lib/aarch64-linux-gnu"):
        folder.mkdir(parents=True)
    for path in STAND_IN.glob("Nv*.h"):
        shutil.copy(path, headers)
    shutil.copy(STAND_IN / "cuda_runtime_api.h", cuda / "include")
    major, minor = BOARD.version_macros
    (headers / BOARD.version_header).write_text(f"#define {major} 10\n#define {minor} 3\n")
    for name in BOARD.libraries:
        place = cuda / "lib" if "cuda" in name else root / "usr/lib/aarch64-linux-gnu"
        (place / f"{name}.{12 if 'cuda' in name else 10}").write_text("a library")
    sysroot = Sysroot(
        folder=root,
        uri="ssh:stand-in",
        machine="aarch64",
        glibc="2.35",
        jetpack="6",
        patterns=(),
        absent=(),
        files=(),
        links=(),
    )
    write_sysroot(sysroot)
    return sysroot


def test_a_build_with_a_sysroot_finds_the_boards_headers_and_compiles_with_them(
    tmp_path, stand_in_sysroot
):
    folder, environment = configured(tmp_path / "b", stand_in_sysroot.folder)
    found = included(folder)
    assert any(f"{stand_in_sysroot.folder}/usr/include" in each for each in found)
    assert any(f"{stand_in_sysroot.folder}/usr/local/cuda-12.6" in each for each in found)
    # One file that includes all of these headers; the rest is compiled with the sanitizers' build.
    made = "workers/tensorrt/CMakeFiles/dx_worker_tensorrt.dir/elements.cpp.o"
    run(["cmake", "--build", folder, "--target", made], environment)


def included(folder: Path) -> set[str]:
    """The folders of other people's headers that TensorRT's worker is compiled with."""
    rule = (folder / "build.ninja").read_text().partition("elements.cpp.o:")[2]
    line = rule.partition("INCLUDES = ")[2].partition("\n")[0]
    words = shlex.split(line)
    folders = [path for word, path in itertools.pairwise(words) if word == "-isystem"]
    return {str(path) for each in folders for path in (each, *_linked(Path(each)))}


def _linked(folder: Path) -> list[Path]:
    """Where the folder's links lead."""
    return [path.readlink() for path in folder.glob("*") if path.is_symlink()]


def test_the_whole_command_makes_a_jetsons_build_with_all_plugins(
    tmp_path, stand_in_sysroot, request, monkeypatch
):
    """To its end, with our own headers in NVIDIA's places: minutes, so with --all."""
    if not request.config.getoption("--all"):
        pytest.skip("builds all of a target; with --all")
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "dist"))
    words = ("--target", JETSON.id, "--runtime", RUNTIME, "--sysroot", stand_in_sysroot.folder)
    run([sys.executable, "-m", "deployx_edge", "build", *words], dict(os.environ))
    made = read_build(tmp_path / "dist" / JETSON.id)
    verify_files(made)
    assert (made.jetpack, made.sysroot) == ("6", str(stand_in_sysroot.folder))
    (file, *libraries) = made.of_worker(RUNTIME)
    assert not libraries  # they are the board's own
    having = [facts.name for facts in all_operators().values() if RUNTIME in facts.runtimes]
    assert list(file.operators) == having
    found = check_executable(made.worker(RUNTIME), machine="EM_AARCH64", static=False, glibc="2.35")
    assert not [name for name in found.needed if "nv" in name or "cuda" in name]
    content = made.worker(RUNTIME).read_bytes()
    # PTX for any GPU, and where a ptxas is found code of each of the Jetsons' own.
    assert content.count(b".target sm_72") >= len(having)
    known = {float(each.version) for each in assemblers()}
    wanted = {87} if known else set()
    assert device_gpus(content) == wanted | ({72} if any(each < 13 for each in known) else set())


def device_gpus(content: bytes) -> set[int]:
    """The Jetsons' GPUs whose own code lies within: ELF files of CUDA's, whose flags say which."""
    places = [found.start() for found in re.finditer(rb"\x7fELF", content)]
    heads = [content[at : at + 64] for at in places]
    # ptxas 13 moved it by a byte.
    told = [byte for head in heads if head[18:20] == b"\xbe\x00" for byte in head[48:50]]
    return {72, 87}.intersection(told)


@pytest.fixture
def own_headers(tmp_path):
    """Makes a folder with what lies among the headers of this computer's own system."""
    if platform.machine() not in find_target("linux-x64").machines:
        pytest.skip("this computer is no 64-bit x86")

    def make(name: str) -> Path:
        root = tmp_path / name
        headers, libraries = (root / f"usr/{each}/x86_64-linux-gnu" for each in ("include", "lib"))
        cuda = root / "usr/local/cuda-12.6/targets/x86_64-linux"
        for folder in (headers / "sys", libraries, cuda / "include", cuda / "lib"):
            folder.mkdir(parents=True)
        for path in STAND_IN.glob("Nv*.h"):
            shutil.copy(path, headers)
        shutil.copy(STAND_IN / "cuda_runtime_api.h", cuda / "include")
        (headers / "sys" / "types.h").write_text("#error the C library of another system\n")
        major, minor = BOARD.version_macros
        (headers / BOARD.version_header).write_text(f"#define {major} 10\n#define {minor} 3\n")
        for library in BOARD.libraries:
            place = cuda / "lib" if "cuda" in library else libraries
            (place / f"{library}.{12 if 'cuda' in library else 10}").write_text("a library")
        return root

    return make


def test_linux_x64_compiles_with_the_headers_of_the_system_that_is_named(tmp_path, own_headers):
    """Also in a folder that was built in with others, which are still there. The C library of those
    is another than the worker's: its headers are not taken along."""
    target = find_target("linux-x64")
    first, second = own_headers("first"), own_headers("second")
    for root in (first, second):
        folder, environment = configured(tmp_path / "b", root, target)
        assert [each for each in included(folder) if str(root) in each]
    assert not [each for each in included(folder) if str(first) in each]
    made = "workers/tensorrt/CMakeFiles/dx_worker_tensorrt.dir/elements.cpp.o"
    run(["cmake", "--build", folder, "--target", made], environment)


def test_without_its_headers_the_worker_is_no_part_of_a_build(stand_in_sysroot):
    folder = stand_in_sysroot.folder
    assert RUNTIME in select(JETSON, BuildOptions(sysroot=folder)).runtimes
    for path in (folder / "usr/include/aarch64-linux-gnu").iterdir():
        path.unlink()
    assert RUNTIME not in select(JETSON, BuildOptions(sysroot=folder)).runtimes


def test_the_whole_worker_is_compiled_with_the_makers_own_headers(tmp_path):
    given = os.environ.get(GIVEN)
    if not given:
        pytest.skip(f"{GIVEN} names no sysroot with TensorRT's headers, which are NVIDIA's")
    sysroot = read_sysroot(Path(given))
    folder, environment = configured(tmp_path / "b", sysroot.folder)
    run(["cmake", "--build", folder, "--target", f"dx-worker-{RUNTIME}"], environment)
    worker = folder / "bin" / f"dx-worker-{RUNTIME}"
    glibc = select(JETSON, BuildOptions(sysroot=sysroot.folder)).worker(RUNTIME).glibc
    found = check_executable(worker, machine="EM_AARCH64", static=False, glibc=glibc)
    # The board's libraries are opened when a model comes, so that a board without them says so.
    assert not [name for name in found.needed if "nv" in name or "cuda" in name]
    qemu = process.find_program(JETSON.qemu)
    if qemu is None:
        pytest.skip(f"starting it needs {JETSON.qemu}")
    model = tmp_path / "model.onnx"
    model.write_bytes(b"")
    done = subprocess.run(
        [qemu, "-L", JETSON.qemu_libraries, worker, "--bare", "--file", f"onnx={model}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "CUDA's libcudart.so" in done.stderr
    assert "is not on this board" in done.stderr
    assert board_version(sysroot, BOARD)
