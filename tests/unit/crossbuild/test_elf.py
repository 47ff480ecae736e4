from __future__ import annotations

import pytest

from deployx_edge.crossbuild.elf import check_archive, check_executable, inspect_executable
from deployx_edge.errors import BuildError
from tests.unit.crossbuild.binaries import (
    AARCH64,
    X86_64,
    android_executable,
    archive,
    elf,
    object_file,
)

_LONG = "a_name_that_is_longer_than_fifteen.cpp.o"


def test_every_object_of_an_archive_is_counted(tmp_path):
    members = {
        "a.o": object_file(AARCH64, b"x"),
        _LONG: object_file(AARCH64),
        "c.o": object_file(AARCH64),
    }
    path = archive(tmp_path / "lib.a", members)
    assert check_archive(path, machine="EM_AARCH64") == 3


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_host_object_is_found_wherever_it_hides(tmp_path, place):
    members = {name: object_file(AARCH64, b"odd") for name in ("a.o", _LONG, "c.o")}
    name = list(members)[place]
    members[name] = object_file(X86_64)
    path = archive(tmp_path / "lib.a", members)
    with pytest.raises(BuildError, match=rf"lib\.a holds {name} for EM_X86_64.*EM_AARCH64"):
        check_archive(path, machine="EM_AARCH64")


def test_something_else_than_an_object_is_refused(tmp_path):
    path = archive(tmp_path / "lib.a", {"a.o": b"BC\xc0\xde bitcode of some compiler"})
    with pytest.raises(BuildError, match=r"a\.o, which is not an object of EM_AARCH64"):
        check_archive(path, machine="EM_AARCH64")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "lib.a"
    path.write_bytes(b"INPUT(other.a)")
    with pytest.raises(BuildError, match="should be a static library"):
        check_archive(path, machine="EM_AARCH64")


def test_a_static_executable_is_told(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(elf(AARCH64))
    found = check_executable(path, machine="EM_AARCH64", static=True)
    assert (found.machine, found.libc, found.needed) == ("EM_AARCH64", "static", ())


@pytest.mark.parametrize("level", [21, 35])
def test_an_executable_by_an_ndk_tells_its_api_level(tmp_path, level):
    path = tmp_path / "program"
    path.write_bytes(android_executable(level))
    assert inspect_executable(path).libc == f"Bionic, API level {level}"


def test_an_executable_for_another_machine_is_refused(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(elf(X86_64))
    with pytest.raises(BuildError, match="program should be for EM_AARCH64, but is for EM_X86_64"):
        check_executable(path, machine="EM_AARCH64", static=True)


def test_a_static_executable_is_refused_where_glibc_is_wanted(tmp_path):
    path = tmp_path / "program"
    path.write_bytes(elf(AARCH64))
    with pytest.raises(
        BuildError, match=r"should run with glibc 2\.31, but what it needs is static"
    ):
        check_executable(path, machine="EM_AARCH64", static=False, glibc="2.31")


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"\x7fELF", object_file(AARCH64)])
def test_what_is_no_executable_is_refused(tmp_path, content):
    path = tmp_path / "program"
    path.write_bytes(content)
    with pytest.raises(BuildError, match="program should be an"):
        inspect_executable(path)
