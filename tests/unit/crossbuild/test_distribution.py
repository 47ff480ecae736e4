from __future__ import annotations

import io
import tarfile

import pytest

from deployx_edge import __version__
from deployx_edge.crossbuild.distribution import export_build, import_build, publish
from deployx_edge.crossbuild.finished import read_build, verify_files
from deployx_edge.crossbuild.workers import built_names
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.target import find_target
from tests.unit.crossbuild.test_finished import OWN, make_build

_ARM64 = find_target("linux-arm64")


@pytest.fixture
def exported(tmp_path):
    (tmp_path / "made").mkdir()
    runtime = make_build(tmp_path / "made", version=__version__)
    file = tmp_path / "build.tar.gz"
    export_build(runtime, file)
    return file


def test_a_build_goes_there_and_back(tmp_path, exported):
    taken = import_build(exported, _ARM64, tmp_path / "dist" / "linux-arm64")
    verify_files(taken)
    assert taken.imported
    assert taken == read_build(tmp_path / "dist" / "linux-arm64")
    assert taken.agent.stat().st_mode & 0o777 == 0o755
    assert taken.agent_sha256 == read_build(tmp_path / "made").agent_sha256
    assert [path.name for path in (tmp_path / "dist").iterdir()] == ["linux-arm64"]


def test_publishing_replaces_the_whole_folder(tmp_path):
    (tmp_path / "made").mkdir()
    runtime = make_build(tmp_path / "made")
    old = tmp_path / "dist" / "linux-arm64"
    old.mkdir(parents=True)
    (old / "left-over").write_text("of an older build")
    published = publish(runtime, old)
    files = {one.name for one in built_names(_ARM64, OWN)}
    assert {"dx-agent", "dx-worker-ncnn", "libonnxruntime.so.1.31.1"} < files
    assert {path.name for path in old.iterdir()} == {"build.json", *files}
    assert read_build(old) == published


@pytest.mark.parametrize("at", [0, 40, -20])
def test_a_damaged_file_is_refused_and_the_old_build_stays(tmp_path, exported, at):
    damaged = bytearray(exported.read_bytes())
    damaged[at] ^= 0xFF
    exported.write_bytes(damaged)
    _refused(exported, tmp_path, BuildError, "build.tar.gz|sha256")


def test_a_cut_file_is_refused(tmp_path, exported):
    exported.write_bytes(exported.read_bytes()[: exported.stat().st_size // 2])
    _refused(exported, tmp_path, BuildError, "cannot be read as an exported build")


def test_an_altered_executable_is_refused(tmp_path, exported):
    members = _members(exported)
    members["dx-agent"] = members["dx-agent"][:-1] + b"X"
    _pack(exported, members)
    _refused(exported, tmp_path, BuildError, "dx-agent should have the sha256")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "extra"])
def test_other_members_are_refused(tmp_path, exported, name):
    _pack(exported, {**_members(exported), name: b"evil"})
    _refused(exported, tmp_path, BuildError, "which no build has")


def test_links_are_refused(tmp_path, exported):
    with tarfile.open(exported, "w:gz") as archive:
        link = tarfile.TarInfo("dx-agent")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    _refused(exported, tmp_path, BuildError, "holds dx-agent, which no build has")


def test_another_target_is_refused(tmp_path, exported):
    with pytest.raises(UsageError, match="holds a build of linux-arm64, not of linux-x64"):
        import_build(exported, find_target("linux-x64"), tmp_path / "dist" / "linux-x64")


def test_another_version_is_refused(tmp_path):
    (tmp_path / "made").mkdir()
    file = tmp_path / "build.tar.gz"
    export_build(make_build(tmp_path / "made", version="9.9.9"), file)
    _refused(file, tmp_path, BuildError, f"is of deployx-edge 9.9.9, this is {__version__}")


def test_a_build_that_was_altered_is_not_exported(tmp_path):
    runtime = make_build(tmp_path)
    runtime.agent.write_bytes(b"altered")
    with pytest.raises(BuildError, match="dx-agent should have"):
        export_build(runtime, tmp_path / "build.tar.gz")
    assert not (tmp_path / "build.tar.gz").exists()


def _refused(file, tmp_path, error, match):
    dist = tmp_path / "dist" / "linux-arm64"
    dist.mkdir(parents=True)
    (dist / "old").write_text("what was there")
    with pytest.raises(error, match=match):
        import_build(file, _ARM64, dist)
    assert [path.name for path in dist.iterdir()] == ["old"]
    assert [path.name for path in dist.parent.iterdir()] == ["linux-arm64"]


def _members(file):
    with tarfile.open(file) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive}


def _pack(file, members):
    with tarfile.open(file, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
