"""Small real compiles for the tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deployx_edge import process
from deployx_edge.crossbuild.finished import Build, read_build
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.resources import data_folder, dist_folder
from deployx_edge.target import find_target

TOOLCHAINS = data_folder("toolchains")

PROJECT = """\
cmake_minimum_required(VERSION 3.20)
project(tiny C CXX)
add_library(part STATIC part.c)
add_executable(tiny main.cpp)
target_link_libraries(tiny PRIVATE part)
"""
MAIN = """\
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
extern "C" int part(void);
int main() {
  std::string said;
  std::thread([&] { said = "hello"; }).join();
  try {
    throw std::runtime_error("caught");
  } catch (const std::exception& error) {
    std::printf("%s %s %d\\n", said.c_str(), error.what(), part());
  }
}
"""
PART = "int part(void) { return 42; }\n"


def built(target_id: str) -> Build:
    """The finished build; a skip where it takes ``--all-targets``: zig compiles its C++ library
    anew for each target, which takes minutes that a new machine should not spend."""
    if not (dist_folder(target_id) / "build.json").is_file():
        pytest.skip(f"dist/{target_id} is not built (./scripts/test --all-targets builds it)")
    return read_build(dist_folder(target_id))


def write_project(folder: Path, *, main: str = MAIN) -> Path:
    """A program with a C part and a C++ part, as a CMake project."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"CMakeLists.txt": PROJECT, "main.cpp": main, "part.c": PART}.items():
        (folder / name).write_text(text)
    return folder


def cmake_commands(source: Path, build: Path, toolchain_file: Path) -> list[list[str]]:
    """Configure and build, as a person would who has never heard of this tool."""
    cmake, ninja = process.find_program("cmake"), process.find_program("ninja")
    configure = [
        str(cmake),
        *("-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={ninja}", "-DCMAKE_BUILD_TYPE=Release"),
        f"-DCMAKE_TOOLCHAIN_FILE={toolchain_file}",
        *("-S", str(source), "-B", str(build)),
    ]
    return [configure, [str(cmake), "--build", str(build)]]


def zig_environment(target_id: str) -> dict[str, str]:
    """zig, its caches, and the flags by which it finds its C++ library there; no ccache."""
    environment = dict(
        select(find_target(target_id), BuildOptions(toolchain="zig")).worker("ncnn").environment
    )
    return {
        name: value
        for name, value in environment.items()
        if "CCACHE" not in name and not name.endswith("_LAUNCHER")
    }


def compile_object(target_id: str, source: Path, output: Path) -> Path:
    """One object by the target's compiler."""
    zig = select(find_target(target_id), BuildOptions(toolchain="zig")).worker("ncnn")
    triple = {"linux-arm64": "aarch64-linux-musl", "linux-x64": "x86_64-linux-musl"}[target_id]
    run(
        [TOOLCHAINS / "bin" / "zig-cc", "-target", triple, "-O2", "-c", source, "-o", output],
        dict(zig.environment),
    )
    return output


def run(argv: list[str | Path], environment: dict[str, str] | None = None) -> str:
    """Standard output; fails the test with everything the program said."""
    done = subprocess.run(
        [str(word) for word in argv],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
