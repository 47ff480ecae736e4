"""Real compiles with the toolchain files alone, and what the checks say of their results."""

from __future__ import annotations

import re
import subprocess

import pytest

from deployx_edge import process
from deployx_edge.crossbuild.commands import Command, run_command
from deployx_edge.crossbuild.elf import check_archive, check_executable, inspect_executable
from deployx_edge.crossbuild.events import ObjectsCompiled
from deployx_edge.errors import BuildError
from deployx_edge.target import find_target, targets
from tests.integration.crossbuild.compiling import (
    PART,
    TOOLCHAINS,
    built,
    cmake_commands,
    compile_object,
    run,
    write_project,
    zig_environment,
)

# Targets that take no other one's toolchain.
_TOOLCHAINS = [id for id, target in targets().items() if target.agent_toolchain == id]
_GNU_TOOLCHAINS = [id for id in _TOOLCHAINS if (TOOLCHAINS / f"{id}-gnu.cmake").is_file()]


@pytest.mark.parametrize("target_id", _TOOLCHAINS)
def test_a_toolchain_file_alone_makes_a_program_that_runs_there(tmp_path, target_id):
    built(target_id)
    target = find_target(target_id)
    source = write_project(tmp_path / "source")
    for command in cmake_commands(source, tmp_path / "b", TOOLCHAINS / f"{target_id}.cmake"):
        run(command, zig_environment(target_id))
    program = tmp_path / "b" / "tiny"
    found = check_executable(program, machine=target.elf_machine, static=True)
    assert found.needed == ()
    assert check_archive(tmp_path / "b" / "libpart.a", machine=target.elf_machine) == 1
    assert b".symtab" not in program.read_bytes()
    # Read too, as the environment strips: without that zig would compile another C++ library.
    cache = (tmp_path / "b" / "CMakeCache.txt").read_text()
    assert "\nCMAKE_EXE_LINKER_FLAGS_RELEASE:STRING=-s\n" in cache
    emulator = process.find_program(target.qemu)
    if emulator is None:
        pytest.skip(f"running it needs {target.qemu} (package qemu-user-static)")
    assert run([emulator, program]) == "hello caught 42\n"


@pytest.mark.parametrize("target_id", _GNU_TOOLCHAINS)
def test_the_gnu_toolchain_file_alone_makes_a_program_that_says_its_libc(tmp_path, target_id):
    target = find_target(target_id)
    compiler = f"{target.machines[0]}-linux-gnu-g++"
    if process.find_program(compiler) is None:
        pytest.skip(f"needs {compiler}")
    source = write_project(tmp_path / "source")
    for command in cmake_commands(source, tmp_path / "b", TOOLCHAINS / f"{target_id}-gnu.cmake"):
        run(command)
    found = inspect_executable(tmp_path / "b" / "tiny")
    assert found.machine == target.elf_machine
    assert re.fullmatch(r"GLIBC_2\.\d+", found.libc)
    assert not any("stdc++" in name or "gcc_s" in name for name in found.needed)
    with pytest.raises(BuildError, match=r"tiny should be static, but needs libc\.so\.6"):
        check_executable(tmp_path / "b" / "tiny", machine=target.elf_machine, static=True)


def test_a_real_host_object_smuggled_into_an_archive_is_found(tmp_path):
    source = tmp_path / "part.c"
    source.write_text(PART)
    ours = compile_object("linux-arm64", source, tmp_path / "ours.o")
    hosts = compile_object("linux-x64", source, tmp_path / "compiled_by_the_wrong_compiler.o")
    library = tmp_path / "libmixed.a"
    zig = zig_environment("linux-arm64")["DX_ZIG"]
    run([zig, "ar", "qc", library, ours])
    assert check_archive(library, machine="EM_AARCH64") == 1
    run([zig, "ar", "q", library, hosts])
    with pytest.raises(BuildError, match=r"compiled_by_the_wrong_compiler\.o for EM_X86_64"):
        check_archive(library, machine="EM_AARCH64")


def test_a_failed_compile_ends_with_the_compilers_words_and_the_log(tmp_path):
    broken = "int main() { return not_declared; }\n"
    source = write_project(tmp_path / "source", main=broken)
    configure, build = cmake_commands(source, tmp_path / "b", TOOLCHAINS / "linux-arm64.cmake")
    environment = tuple(zig_environment("linux-arm64").items())
    run(configure, dict(environment))
    log, events = tmp_path / "build.log", []
    command = Command(title="Compiling tiny", argv=tuple(build), environment=environment)
    with pytest.raises(BuildError) as caught:
        run_command(command, log, events.append)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("Compiling tiny: failed with exit code ")
    assert any("not_declared" in line for line in lines)
    assert lines[-1] == f"The whole log: {log}"
    assert len(lines) <= 14
    assert command.text() in log.read_text()
    compiled = [event for event in events if isinstance(event, ObjectsCompiled)]
    assert compiled
    assert {event.total for event in compiled} == {4}


def test_zigs_features_reach_the_compiler(tmp_path):
    """A feature check as ncnn makes it: intrinsics that only exist with the feature on."""
    source = tmp_path / "dot.c"
    source.write_text(
        "#include <arm_neon.h>\n"
        "int32x4_t f(int32x4_t s, int8x16_t a, int8x16_t b) { return vdotq_s32(s, a, b); }\n"
    )
    compiler = [TOOLCHAINS / "bin" / "zig-cc", "-target", "aarch64-linux-musl", "-c", source]
    output = ["-o", tmp_path / "dot.o"]
    run([*compiler, *output, "-march=armv8.2-a+dotprod"], zig_environment("linux-arm64"))
    without = subprocess.run(
        [str(word) for word in [*compiler, *output]],
        capture_output=True,
        env=zig_environment("linux-arm64") | {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
    )
    assert without.returncode != 0
    assert b"dotprod" in without.stderr
