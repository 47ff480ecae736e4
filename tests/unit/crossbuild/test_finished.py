from __future__ import annotations

import json
from dataclasses import replace

import pytest

from deployx_edge.crossbuild import finished
from deployx_edge.crossbuild.finished import (
    Build,
    BuiltFile,
    hash_file,
    read_build,
    verify_files,
    write_build,
)
from deployx_edge.crossbuild.workers import built_names, other_processor
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.target import find_target
from deployx_edge.worker_facts import worker_facts
from tests.unit.crossbuild.binaries import AARCH64, QDSP6, elf

ARM64 = find_target("linux-arm64")


@pytest.fixture
def runtime(tmp_path):
    return make_build(tmp_path)


# What a build has that nobody brought anything for.
OWN = tuple(name for name in ARM64.runtimes if not worker_facts(name).is_brought_for(ARM64.id))


def make_build(folder, *, runtimes=OWN, **changes):
    """A whole build in ``folder``, its executables without code."""
    files = []
    for one in built_names(ARM64, runtimes):
        name, role, kind = one.name, one.role, one.runtime
        content = elf(QDSP6 if other_processor(one) else AARCH64, filler=name.encode())
        (folder / name).write_bytes(content)
        file = BuiltFile(
            name=name,
            role=role,
            runtime=kind,
            sha256=hash_file(folder / name),
            size_bytes=len(content),
            machine=other_processor(one) or "EM_AARCH64",
            libc="static",
            libstdcxx="",
            needed=(),
        )
        files.append(file)
    facts = {
        "folder": folder,
        "target_id": "linux-arm64",
        "toolchain": "zig",
        "reason": "static, and nothing to install",
        "jetpack": "",
        "sysroot": "",
        "version": "0.1.0",
        "compiler": "some clang",
        "flags": "-O3",
        "fingerprint": "f" * 64,
        "imported": False,
        "packages": (("ncnn", "1.0.20261020"),),
        "files": tuple(files),
    }
    build = Build(**{**facts, **changes})
    write_build(build)
    return build


def test_what_was_written_is_read(runtime):
    assert read_build(runtime.folder) == runtime
    verify_files(runtime)


def test_files_are_found_by_role(runtime):
    assert runtime.agent == runtime.folder / "dx-agent"
    assert runtime.worker("ncnn") == runtime.folder / "dx-worker-ncnn"
    assert runtime.worker_sha256("ncnn") == hash_file(runtime.worker("ncnn"))
    assert runtime.agent_sha256 == hash_file(runtime.agent)


def test_libraries_travel_with_their_worker(runtime):
    library, operators = runtime.libraries("onnxruntime")
    assert (library.name, library.role) == ("libonnxruntime.so.1.31.1", "library")
    assert (operators.name, operators.role) == ("libdx_operators_onnxruntime.so", "library")
    assert runtime.libraries("ncnn") == ()
    assert [file.name for file in runtime.of_worker("onnxruntime")] == [
        "dx-worker-onnxruntime",
        "libonnxruntime.so.1.31.1",
        "libdx_operators_onnxruntime.so",
    ]


def test_a_worker_that_was_not_built_is_named(runtime):
    with pytest.raises(UsageError, match="no worker for 'tensorrt'; it has dx-agent, dx-worker-nc"):
        runtime.worker("tensorrt")


def test_an_altered_executable_is_named(runtime):
    runtime.agent.write_bytes(b"altered")
    with pytest.raises(BuildError, match=f"dx-agent should have the sha256 {runtime.agent_sha256}"):
        verify_files(runtime)


def test_an_executable_that_is_altered_behind_a_first_look_is_named(runtime):
    verify_files(runtime)
    content = runtime.agent.read_bytes()
    runtime.agent.write_bytes(bytes(byte ^ 1 for byte in content))  # of the same size
    with pytest.raises(BuildError, match="dx-agent should have the sha256"):
        verify_files(runtime)
    runtime.agent.write_bytes(content)
    verify_files(runtime)


def test_what_was_found_right_is_read_again_only_once_it_changed(runtime, monkeypatch):
    read = []
    monkeypatch.setattr(finished, "_SETTLED_SECONDS", 0.0)
    monkeypatch.setattr(
        finished, "hash_file", lambda path: read.append(path.name) or hash_file(path)
    )
    verify_files(runtime)
    assert read == [file.name for file in runtime.files]
    read.clear()
    verify_files(runtime)
    assert read == []
    runtime.agent.touch()
    verify_files(runtime)
    assert read == ["dx-agent"]
    (runtime.folder / ".hashed.json").write_text("[]")
    read.clear()
    verify_files(runtime)
    assert len(read) == len(runtime.files)


def test_what_was_found_right_says_nothing_of_another_builds_file(runtime, monkeypatch):
    monkeypatch.setattr(finished, "_SETTLED_SECONDS", 0.0)
    verify_files(runtime)
    first, *rest = runtime.files
    with pytest.raises(BuildError, match=f"dx-agent should have the sha256 {'0' * 64}"):
        verify_files(replace(runtime, files=(replace(first, sha256="0" * 64), *rest)))


def test_a_missing_executable_is_named(runtime):
    runtime.worker("ncnn").unlink()
    with pytest.raises(BuildError, match=r"dx-worker-ncnn .* but has nothing"):
        verify_files(runtime)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 1}', '{"schema": 2, "files": []}']
)
def test_a_broken_runtime_file_is_an_error(tmp_path, text):
    (tmp_path / "build.json").write_text(text)
    with pytest.raises(BuildError, match=r"build\.json"):
        read_build(tmp_path)


@pytest.mark.parametrize("name", ["../dx-agent", "/bin/sh", ".hidden"])
def test_names_outside_the_folder_are_refused(runtime, name):
    first, *rest = runtime.files
    write_build(replace(runtime, files=(replace(first, name=name), *rest)))
    with pytest.raises(BuildError, match="outside its folder"):
        read_build(runtime.folder)


def test_the_file_says_what_a_person_looks_for(runtime):
    document = json.loads((runtime.folder / "build.json").read_text())
    assert document["schema"] == 3
    assert document["packages"] == {"ncnn": "1.0.20261020"}
    assert document["files"][0]["sha256"] == runtime.agent_sha256
    assert "folder" not in document
