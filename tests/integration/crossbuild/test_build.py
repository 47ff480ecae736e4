"""The whole build, as users meet it. The binaries are built before the suite runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deployx_edge.crossbuild.finished import read_build, verify_files
from deployx_edge.crossbuild.locking import exclusive
from deployx_edge.crossbuild.packages import without_times
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target
from deployx_edge.workflows.build.build import (
    BuildOptions,
    build_target,
    explain,
    export_target,
    import_target,
    write_lockfile,
)
from deployx_edge.workflows.build.built import ensure_built

_COMMAND = Path(sys.executable).parent / "deployx-edge"
_X64 = find_target("linux-x64")


@pytest.fixture
def runtime():
    """The finished build of this computer's kind."""
    return build_target(_X64)


def test_a_second_build_does_nothing(runtime):
    before = (runtime.folder / "build.json").stat().st_mtime_ns
    events = []
    assert build_target(_X64, on_event=events.append) == runtime
    assert ensure_built(_X64, events.append) == runtime
    assert events == []
    assert (runtime.folder / "build.json").stat().st_mtime_ns == before
    plan = explain(_X64, BuildOptions())
    assert (plan.archives, plan.commands) == ((), ())
    assert plan.toolchain == "By zig: static, and nothing to install" == f"By zig: {runtime.reason}"


def test_a_lost_executable_is_put_back_without_a_compile(runtime, tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path))
    first = build_target(_X64)
    assert [file.sha256 for file in first.files] == [file.sha256 for file in runtime.files]
    first.agent.write_bytes(b"damaged")
    again = build_target(_X64)
    verify_files(again)
    assert again == first


def test_explain_tells_the_order_and_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "dist"))
    plan = explain(_X64, BuildOptions(jobs=3))
    # Six of sources; ONNX Runtime's header; its library, OpenVINO's and QNN's for this machine.
    assert len(plan.archives) == 10
    words = [" ".join(command.argv) for command in plan.commands]
    order = [
        "remote add",
        "conan install",
        "-DDX_TARGET_ID=linux-x64",
        "--build ",
    ]
    places = [next(i for i, line in enumerate(words) if word in line) for word in order]
    assert places == sorted(places)
    assert "tools.build:jobs=3" in words[places[1]]
    assert f"--lockfile={data_folder('device_agent') / 'conan.lock'}" in words[places[1]]
    assert list(tmp_path.iterdir()) == []


def test_a_build_travels_in_a_file(runtime, tmp_path, monkeypatch):
    file = tmp_path / "build.tar.gz"
    export_target(runtime, file)
    # Another computer: nothing cached, nothing built.
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "dist"))
    taken = import_target(_X64, file)
    assert taken.imported
    assert [one.sha256 for one in taken.files] == [one.sha256 for one in runtime.files]
    events = []
    assert ensure_built(_X64, events.append) == taken
    assert events == []
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_corrupted_file_is_refused_and_leaves_nothing(runtime, tmp_path, monkeypatch):
    file = tmp_path / "build.tar.gz"
    export_target(runtime, file)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x55
    file.write_bytes(content)
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "dist"))
    with pytest.raises(BuildError):
        import_target(_X64, file)
    assert not (tmp_path / "dist" / "linux-x64").exists()
    with pytest.raises(UsageError, match="There is no file"):
        import_target(_X64, tmp_path / "nothing.tar.gz")


def test_two_builds_at_once_both_end_whole(runtime, tmp_path):
    environment = {**os.environ, "DEPLOYX_EDGE_DIST": str(tmp_path / "dist")}
    words = [_COMMAND, "build", "--target", "linux-x64", "--json"]
    pair = [
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [child.communicate() for child in pair]
    assert [child.returncode for child in pair] == [0, 0], answers
    for out, _ in answers:
        hashes = [file["sha256"] for file in json.loads(out)["files"]]
        assert hashes == [file.sha256 for file in runtime.files]
    verify_files(read_build(tmp_path / "dist" / "linux-x64"))
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["linux-x64"]


def test_a_lock_is_waited_for_and_freed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, tmp_path / "lock"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout.readline() == b"held\n"
    events = []

    def free(event):
        events.append(event.text)
        holder.kill()
        holder.communicate()

    with exclusive(tmp_path / "lock", free):
        assert events == ["Waiting for another build on this computer"]
    with exclusive(tmp_path / "lock", free):
        assert len(events) == 1


_HOLDER = """
import sys
from pathlib import Path
from deployx_edge.crossbuild.locking import exclusive
with exclusive(Path(sys.argv[1]), lambda event: None):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lockfile_is_of_the_recipes_as_they_are(tmp_path):
    fresh = write_lockfile(tmp_path / "conan.lock").read_text()
    committed = (data_folder("device_agent") / "conan.lock").read_text()
    assert without_times(fresh) == committed, "recipes/ changed: run ./scripts/lock"


def test_a_missing_source_is_one_line_with_its_remedy(tmp_path):
    environment = {
        **os.environ,
        "DEPLOYX_EDGE_CACHE": str(tmp_path / "cache"),
        "DEPLOYX_EDGE_DIST": str(tmp_path / "dist"),
        # No registry answers, and no address resolves but by a proxy that is not there.
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path),
        "APT_CONFIG": str(_no_repositories(tmp_path)),
        "https_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [_COMMAND, "build", "--target", "linux-x64"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 21
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: The source abseil_20220623.1.orig.tar.gz (sha256 abfe2897f3a3")
    assert "deployx-edge sources add abseil_20220623.1.orig.tar.gz" in last
    assert not (tmp_path / "dist").exists()


def _no_repositories(folder):
    """An apt configuration that knows no repository."""
    path = folder / "apt.conf"
    path.write_text('Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "/dev/null";\n')
    return path


def test_the_gnu_compiler_that_is_not_there_is_named(tmp_path):
    """With a PATH that has everything but compilers."""
    (tmp_path / "bin").mkdir()
    environment = {
        **os.environ,
        "PATH": str(tmp_path / "bin"),
        "DEPLOYX_EDGE_DIST": str(tmp_path / "dist"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "deployx_edge", "build", "-t", "linux-arm64", "--toolchain", "gnu"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        "error: No compiler: aarch64-linux-gnu-gcc and aarch64-linux-gnu-g++ not found. "
        "Run 'apt-get install g++-aarch64-linux-gnu', or build with zig."
    )


def test_a_source_that_was_brought_by_hand_is_taken(tmp_path, monkeypatch):
    from deployx_edge.crossbuild.sources import archives
    from deployx_edge.workflows.build.sources import add_source, list_sources

    have = next(archive for archive in archives() if archive.present)
    brought = shutil.copyfile(have.path, tmp_path / "any-name.gz")
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    assert not any(archive.present for archive in list_sources())
    assert add_source(Path(brought)).filename == have.filename
    assert [a.filename for a in list_sources() if a.present] == [have.filename]
