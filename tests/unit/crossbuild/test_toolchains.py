"""One target, one name: the row, the toolchain file and the profile are held together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from deployx_edge.crossbuild import toolchain
from deployx_edge.crossbuild.commands import Command, run_command
from deployx_edge.crossbuild.generators import GRPC_VERSION, PROTOBUF_VERSION
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.toolchain import gnu_triple
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target, targets
from deployx_edge.worker_facts import worker_facts, worker_names

_TOOLCHAINS = data_folder("toolchains")
_SHARED = {"zig", "gnu"}
_BUILD_MACHINE = {"build"}


def _cmake_files():
    return {path.stem for path in _TOOLCHAINS.glob("*.cmake")} - _SHARED


def _profiles():
    return {path.name for path in (_TOOLCHAINS / "profiles").iterdir()}


def _by_zig(name):
    return select(find_target(name), BuildOptions(toolchain="zig"))


def _own(target):
    """Toolchains by which a target is built, by the default compiler."""
    names = {target.agent_toolchain, target.worker_toolchain, target.loading_toolchain}
    return names - {""}


def test_every_target_has_its_toolchain_file_and_profile_and_nothing_else_has():
    gnu = {name for name in _cmake_files() if name.endswith("-gnu")}
    own = {name for target in targets().values() for name in _own(target)}
    assert _cmake_files() == own | gnu | _BUILD_MACHINE
    # An NDK brings its own toolchain file.
    assert _profiles() == _cmake_files() | {"android-arm64-ndk"}
    assert {name.removesuffix("-gnu") for name in gnu} <= set(targets())
    assert {name.removesuffix("-glibc") for name in own} <= set(targets())


@pytest.mark.parametrize("path", sorted(_TOOLCHAINS.glob("*.cmake")), ids=lambda path: path.name)
def test_toolchain_files_are_short_and_leave_flags_to_others(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 25
    # A cached flag variable would silently drop the flags that Conan adds.
    assert not re.search(r"set\(CMAKE_\w*FLAGS\w*\b.*CACHE", text)
    assert not re.search(r"set\(CMAKE_(C|CXX|ASM|EXE_LINKER)_FLAGS\s", text)


@pytest.mark.parametrize("id", list(targets()))
def test_files_of_a_target_name_its_processor(id):
    target = find_target(id)
    for name in _own(target):
        text = (_TOOLCHAINS / f"{name}.cmake").read_text()
        assert f"set(CMAKE_SYSTEM_PROCESSOR {target.machines[0]})" in text
        profile = (_TOOLCHAINS / "profiles" / name).read_text()
        assert f"/{name}.cmake" in profile
        assert "build_type=Release" in profile


def test_all_profiles_keep_packages_of_other_compilers_apart():
    for name in _profiles():
        text = (_TOOLCHAINS / "profiles" / name).read_text()
        assert 'tools.info.package_id:confs=["user.deployx:toolchain"]' in text, name


@pytest.mark.parametrize("id", list(targets()))
def test_the_default_toolchain_is_there_without_anything_to_install(id):
    target, selection = find_target(id), _by_zig(id)
    agent, workers = selection.agent, selection.worker("ncnn")
    assert agent.static
    assert workers.static == (not target.dynamic_workers)
    assert agent.cmake_file == _TOOLCHAINS / f"{target.agent_toolchain}.cmake"
    assert workers.cmake_file == _TOOLCHAINS / f"{target.worker_toolchain}.cmake"
    assert dict(agent.environment)["DX_ZIG"].endswith("/zig")


@pytest.mark.parametrize("id", list(targets()))
def test_a_target_has_runtimes_that_have_workers_and_what_compiles_them(id):
    target = find_target(id)
    assert target.runtimes
    assert set(target.runtimes) <= set(worker_names())
    loading = [name for name in _by_zig(id).runtimes if worker_facts(name).glibc]
    assert bool(loading) == bool(target.loading_toolchain)
    for name in loading:
        linked, needed = (
            _numbers(_by_zig(id).worker(name).glibc),
            _numbers(worker_facts(name).glibc),
        )
        # A Jetson's glibc is known, and has to do for the libraries; elsewhere a worker needs no
        # newer one than its libraries.
        assert linked >= needed if target.dynamic_workers else linked <= needed


def _numbers(version):
    return [int(part) for part in version.split(".")]


def test_every_worker_is_built_for_a_target_and_its_packages_are_ours():
    assert {name for target in targets().values() for name in target.runtimes} == set(
        worker_names()
    )
    known = {f"{name}/{one}" for name, versions in _recipe_versions().items() for one in versions}
    for name in worker_names():
        assert set(worker_facts(name).packages) <= known


def test_toolchains_of_two_targets_are_the_same_where_they_share_their_packages_only():
    prints = {
        toolchain.cmake_file: toolchain.fingerprint
        for id in targets()
        for toolchain in (_by_zig(id).agent, _by_zig(id).worker("ncnn"))
    }
    assert len(set(prints.values())) == len(prints)
    one, other = _by_zig("linux-arm64").agent, _by_zig("android-arm64").agent
    # What Conan computes a package's id from.
    assert (one.profile, one.fingerprint) == (other.profile, other.fingerprint)
    # Two builds at once must not remove each other's objects.
    folders = [dict(toolchain.environment)["ZIG_LOCAL_CACHE_DIR"] for toolchain in (one, other)]
    assert folders[0] != folders[1]


def test_installations_of_one_zig_share_its_library(tmp_path, monkeypatch):
    # zig takes a file for another one by its inode, and then compiles its libraries again.
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "the cache"))
    commands = []
    for name in ("one", "another"):
        header = tmp_path / name / "lib" / "libc" / "stdio.h"
        header.parent.mkdir(parents=True)
        header.write_text(f"// of {name}")
        zig = tmp_path / name / "zig"
        monkeypatch.setattr(toolchain, "find_zig", lambda zig=zig: (zig, "0.17.0"))
        built_by = toolchain.zig_toolchain("linux-arm64", objects="x")
        build = Command(title="", argv=(), environment=built_by.environment)
        commands.append(toolchain.library_commands([build]))
        for command in commands[-1]:
            run_command(command, tmp_path / "log", lambda event: None)
    assert [len(made) for made in commands] == [1, 0]
    library = Path(dict(built_by.environment)["ZIG_LIB_DIR"])
    assert library.is_relative_to(tmp_path / "the cache")
    assert (library / "libc" / "stdio.h").read_text() == "// of one"
    plain = Command(title="", argv=(), environment=())
    assert toolchain.library_commands([plain]) == ()


def test_debian_names_its_compilers_by_the_machine():
    assert gnu_triple(find_target("linux-arm64")) == "aarch64-linux-gnu"
    assert gnu_triple(find_target("linux-x64")) == "x86_64-linux-gnu"


def _recipe_versions():
    return {
        path.parent.name: list(yaml.safe_load(path.read_text())["versions"])
        for path in data_folder("recipes").glob("*/config.yml")
    }


def test_every_recipe_has_its_archive_its_lock_and_a_test():
    lock = (data_folder("device_agent") / "conan.lock").read_text()
    for name, versions in _recipe_versions().items():
        folder = data_folder("recipes") / name / "all"
        sources = yaml.safe_load((folder / "conandata.yml").read_text())["sources"]
        assert list(sources) == versions
        assert (folder / "test_package" / "conanfile.py").is_file()
        for version in versions:
            assert re.search(rf'"{name}/{re.escape(version)}#[0-9a-f]{{32}}"', lock), name


def test_code_generators_are_of_the_libraries_versions():
    versions = _recipe_versions()
    assert versions["protobuf"] == [PROTOBUF_VERSION]
    assert versions["grpc"] == [GRPC_VERSION]


def test_the_lockfile_holds_only_our_recipes():
    lock = (data_folder("device_agent") / "conan.lock").read_text()
    assert set(re.findall(r'"([\w-]+)/[^"]+#', lock)) == set(_recipe_versions())
