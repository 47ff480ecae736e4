from __future__ import annotations

import pytest

from deployx_edge.errors import UsageError
from deployx_edge.target import find_target, target_of_machine, targets


def test_a_board_is_given_the_target_of_its_machine_and_system():
    assert target_of_machine("x86_64").id == "linux-x64"
    assert target_of_machine("aarch64").id == "linux-arm64"
    assert target_of_machine("aarch64", system="android").id == "android-arm64"
    assert target_of_machine("x86_64", system="android") is None
    assert target_of_machine("pdp11") is None


def test_names_are_nobody_elses():
    names = [name for target in targets().values() for name in (target.id, *target.aliases)]
    assert len(set(names)) == len(names)
    for name in names:
        assert find_target(name) in targets().values()


def test_a_row_without_toolchains_has_its_own():
    arm64, android = find_target("linux-arm64"), find_target("android-arm64")
    assert (arm64.agent_toolchain, arm64.worker_toolchain) == ("linux-arm64", "linux-arm64")
    assert (android.agent_toolchain, android.worker_toolchain) == ("linux-arm64", "linux-arm64")


def test_a_target_that_there_is_not_is_told_with_the_nearest():
    with pytest.raises(UsageError, match=r"no target 'andriod-arm64'\. Did you mean android-arm64"):
        find_target("andriod-arm64")
