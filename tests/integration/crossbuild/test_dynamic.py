"""Workers that load a vendor's libraries: a program by the Jetson's toolchain, a library by GCC."""

from __future__ import annotations

import shutil

import pytest

from deployx_edge import process
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.jetpack import jetpacks
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.sysroot import Sysroot, cmake_options
from deployx_edge.errors import BuildError
from deployx_edge.target import find_target
from tests.integration.crossbuild.compiling import TOOLCHAINS, built, cmake_commands, run

_JETSON = find_target("jetson")
_GCC = "aarch64-linux-gnu-g++"
_GLIBC = "/usr/aarch64-linux-gnu"

_LIBRARY = """\
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>
// What vendor libraries do: C++ objects, threads, exceptions of their own, the C library.
extern "C" __attribute__((visibility("default"))) int vendor_answer(const char* question) {
  std::map<std::string, int> known{{"life", 42}};
  int found = 0;
  std::thread([&] {
    try {
      found = known.at(question);
    } catch (const std::out_of_range& error) {
      found = -1;
    }
  }).join();
  std::cout << "vendor: " << question << " " << found << std::endl;
  return found;
}
"""
_PROGRAM = """\
#include <dlfcn.h>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
int main(int argc, char** argv) {
  try {
    void* library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    auto answer = reinterpret_cast<int (*)(const char*)>(dlsym(library, "vendor_answer"));
    std::string said;
    std::thread([&] { said = std::to_string(answer("life")); }).join();
    std::printf("%s %d\\n", said.c_str(), answer("nothing"));
    throw std::invalid_argument("caught here");
  } catch (const std::invalid_argument& error) {
    std::printf("%s\\n", error.what());
  } catch (const std::exception& error) {
    std::printf("failed: %s\\n", error.what());
    return 1;
  }
}
"""
_PROJECT = """\
cmake_minimum_required(VERSION 3.20)
project(worker CXX)
add_executable(worker main.cpp)
target_link_libraries(worker PRIVATE ${CMAKE_DL_LIBS})
"""
_LINKED = """\
cmake_minimum_required(VERSION 3.20)
project(worker CXX)
find_path(VENDOR_HEADERS vendor.h REQUIRED)
find_library(VENDOR vendor REQUIRED)
find_path(CUDA_HEADERS cuda_like.h REQUIRED)
add_executable(worker main.cpp)
target_include_directories(worker PRIVATE ${VENDOR_HEADERS} ${CUDA_HEADERS})
target_link_libraries(worker PRIVATE ${VENDOR})
"""
_LINKED_PROGRAM = """\
#include <cuda_like.h>
#include <vendor.h>
int main() { return vendor_answer("life") == CUDA_LIKE ? 0 : 1; }
"""


def _vendor_library(folder):
    """A shared library by Debian's GCC, with libstdc++."""
    if process.find_program(_GCC) is None:
        pytest.skip(f"needs {_GCC} (package g++-aarch64-linux-gnu)")
    source = folder / "vendor.cpp"
    source.write_text(_LIBRARY)
    library = folder / "libvendor.so"
    run([_GCC, "-std=c++17", "-O2", "-fPIC", "-shared", "-pthread", source, "-o", library])
    return library


def _environment(release):
    toolchain = select(_JETSON, BuildOptions(jetpack=release)).worker("ncnn")
    return {name: value for name, value in toolchain.environment if "CCACHE" not in name}


def _build(folder, project, program, *options, release="5"):
    built(_JETSON.id)
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(project)
    (folder / "main.cpp").write_text(program)
    configure, build = cmake_commands(folder, folder / "b", TOOLCHAINS / "jetson-arm64.cmake")
    environment = {k: v for k, v in _environment(release).items() if "LAUNCHER" not in k}
    run([*configure, *options], environment)
    run(build, environment)
    return folder / "b" / "worker"


def _run_there(*words):
    qemu = process.find_program(_JETSON.qemu)
    if qemu is None:
        pytest.skip(f"running it needs {_JETSON.qemu} (package qemu-user-static)")
    return run([qemu, "-L", _GLIBC, *words])


@pytest.mark.parametrize("release", list(jetpacks()))
def test_a_worker_loads_a_library_by_gcc_and_needs_no_newer_glibc(tmp_path, release):
    library = _vendor_library(tmp_path)
    worker = _build(tmp_path / "project", _PROJECT, _PROGRAM, release=release)
    glibc = jetpacks()[release].glibc
    found = check_executable(worker, machine="EM_AARCH64", static=False, glibc=glibc)
    # The board's C library alone: libc++ is inside, and stays out of the way of libstdc++.
    assert {name.partition(".")[0] for name in found.needed} <= {
        "libc",
        "libm",
        "libdl",
        "libpthread",
        "ld-linux-aarch64",
    }
    assert _run_there(worker, library).splitlines() == [
        "vendor: life 42",
        "vendor: nothing -1",
        "42 -1",
        "caught here",
    ]
    missing = _build(tmp_path / "other", _PROJECT, _PROGRAM, release=release)
    with pytest.raises(AssertionError, match=r"failed: .*nowhere"):
        _run_there(missing, tmp_path / "nowhere.so")


def test_a_program_for_a_newer_glibc_is_refused(tmp_path):
    _vendor_library(tmp_path)
    program = tmp_path / "main.cpp"
    program.write_text(_PROGRAM)
    run([_GCC, program, "-o", tmp_path / "worker"])
    # Debian's own glibc is newer than JetPack 5's.
    with pytest.raises(
        BuildError, match=r"should run with glibc 2\.31, but what it needs is GLIBC_2\.3"
    ):
        check_executable(tmp_path / "worker", machine="EM_AARCH64", static=False, glibc="2.31")
    with pytest.raises(BuildError, match=r"worker should be static, but needs .*libc\.so\.6"):
        check_executable(tmp_path / "worker", machine="EM_AARCH64", static=True)


def test_a_sysroot_is_where_headers_and_libraries_are_found(tmp_path, monkeypatch):
    """By the options that a build with --sysroot gives to CMake."""
    library = _vendor_library(tmp_path)
    board = tmp_path / "board"
    cuda = board / "usr/local/cuda-11.4/targets/aarch64-linux/include"
    for folder in (cuda, board / "usr/include", board / "usr/lib/aarch64-linux-gnu"):
        folder.mkdir(parents=True)
    (cuda / "cuda_like.h").write_text("#define CUDA_LIKE 42\n")
    (board / "usr/include/vendor.h").write_text('extern "C" int vendor_answer(const char*);\n')
    shutil.copy(library, board / "usr/lib/aarch64-linux-gnu" / library.name)
    sysroot = _as_sysroot(board)
    worker = _build(tmp_path / "project", _LINKED, _LINKED_PROGRAM, *cmake_options(sysroot))
    found = check_executable(worker, machine="EM_AARCH64", static=False, glibc="2.31")
    assert "libvendor.so" in found.needed
    place = board / "usr/lib/aarch64-linux-gnu"
    assert "vendor: life 42" in _run_there("-E", f"LD_LIBRARY_PATH={place}", worker)


def _as_sysroot(folder):
    return Sysroot(
        folder=folder,
        uri="ssh:jetson",
        machine="aarch64",
        glibc="2.31",
        jetpack="5",
        patterns=(),
        absent=(),
        files=(),
        links=(),
    )
