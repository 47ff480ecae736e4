from __future__ import annotations

import pytest

from deployx_edge.crossbuild.fingerprint import build_fingerprint, hash_tree, packages_fingerprint
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.target import find_target

_PARTS = ("agent", "worker_ncnn")


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "device_agent"
    (root / "agent").mkdir(parents=True)
    (root / "agent" / "main.cpp").write_text("int main() {}\n")
    (root / "CMakeLists.txt").write_text("project(x)\n")
    return root


def test_a_changed_file_changes_it(tree):
    before = hash_tree(tree)
    assert hash_tree(tree) == before
    (tree / "agent" / "main.cpp").write_text("int main() { return 0; }\n")
    assert hash_tree(tree) != before


def test_a_new_or_renamed_file_changes_it(tree):
    before = hash_tree(tree)
    (tree / "agent" / "main.cpp").rename(tree / "agent" / "start.cpp")
    renamed = hash_tree(tree)
    (tree / "agent" / "empty.cpp").write_text("")
    assert len({before, renamed, hash_tree(tree)}) == 3


def test_what_is_not_built_does_not_count(tree):
    before = hash_tree(tree)
    for name in ("tests", "test_package", "__pycache__", ".cache"):
        (tree / name).mkdir()
        (tree / name / "file").write_text("x")
    assert hash_tree(tree) == before


def test_the_time_of_a_file_does_not_count(tree):
    before = hash_tree(tree)
    (tree / "CMakeLists.txt").touch()
    assert hash_tree(tree) == before


def test_builds_that_differ_differ():
    names = ("linux-arm64", "linux-x64", "android-arm64")
    prints = {
        build_fingerprint(find_target(name), select(find_target(name), BuildOptions()))
        for name in names
    }
    jetson = find_target("jetson-arm64")
    prints |= {
        build_fingerprint(jetson, select(jetson, BuildOptions(jetpack=release)))
        for release in ("5", "6")
    }
    assert len(prints) == 5


def test_targets_that_share_their_packages_have_one_fingerprint_of_them():
    arm64, android, jetson = (
        select(find_target(name), BuildOptions(toolchain="zig"))
        for name in ("linux-arm64", "android-arm64", "jetson-arm64")
    )
    assert packages_fingerprint(arm64.agent, _PARTS) == packages_fingerprint(android.agent, _PARTS)
    assert packages_fingerprint(arm64.agent, _PARTS) == packages_fingerprint(jetson.agent, _PARTS)
    assert packages_fingerprint(arm64.agent, _PARTS) != packages_fingerprint(
        jetson.worker("ncnn"), _PARTS
    )
    assert packages_fingerprint(arm64.agent, _PARTS) != packages_fingerprint(
        arm64.agent, _PARTS[:1]
    )
