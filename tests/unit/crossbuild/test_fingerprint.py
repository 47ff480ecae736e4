from __future__ import annotations

import pytest

from deployx_edge.crossbuild.fingerprint import build_fingerprint, hash_tree, packages_fingerprint
from deployx_edge.crossbuild.packages import PARTS
from deployx_edge.crossbuild.toolchain import find_toolchain
from deployx_edge.target import find_target


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
    arm64, x64 = find_target("linux-arm64"), find_target("linux-x64")
    one = find_toolchain(arm64, "zig")
    other = find_toolchain(x64, "zig")
    prints = {
        build_fingerprint(arm64, one, PARTS),
        build_fingerprint(x64, other, PARTS),
        build_fingerprint(arm64, one, PARTS[:1]),
        packages_fingerprint(one, PARTS),
    }
    assert len(prints) == 4
