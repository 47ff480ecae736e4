from __future__ import annotations

import pytest

from deployx_edge.crossbuild.fingerprint import build_fingerprint
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.sysroot import Sysroot, cmake_options, write_sysroot
from deployx_edge.errors import UsageError
from deployx_edge.target import find_target
from deployx_edge.worker_facts import worker_facts
from tests.unit.crossbuild.ndks import make_ndk

_ANDROID = find_target("android-arm64")
_JETSON = find_target("jetson")


@pytest.fixture(autouse=True)
def no_ndk(tmp_path, monkeypatch):
    """What this computer has configured is not asked."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)


@pytest.mark.parametrize("name", ["linux-x64", "linux-arm64", "linux-armv7", "linux-riscv64"])
def test_linux_is_built_by_zig_and_says_so(name):
    selection = select(find_target(name), BuildOptions())
    assert selection.text() == "By zig: static, and nothing to install"
    assert selection.agent == selection.worker("ncnn")
    assert selection.shares()[0] == (selection.agent, ("agent", "worker_ncnn"))


@pytest.mark.parametrize("name", ["linux-x64", "linux-arm64"])
def test_a_worker_that_loads_its_runtime_is_made_for_glibc_beside_static_ones(name):
    selection = select(find_target(name), BuildOptions())
    _, (workers, parts) = selection.shares()
    # The libraries of one ask for a newer glibc; what loads them is linked for the oldest.
    dynamic = ("worker_onnxruntime", "worker_openvino", "worker_qnn")
    assert parts == (*dynamic, *(["worker_rknn"] if name == "linux-arm64" else []))
    assert workers == selection.worker("onnxruntime") == selection.worker("openvino")
    assert worker_facts("openvino").glibc == "2.34"
    assert (workers.static, workers.glibc) == (False, "2.28")
    assert dict(workers.environment)["DX_GLIBC"] == "2.28"
    # Debian's compiler makes all of them dynamic.
    gnu = select(find_target(name), BuildOptions(toolchain="gnu"))
    assert [parts for _, parts in gnu.shares()] == [("agent", "worker_ncnn", *parts)]


@pytest.mark.parametrize("name", ["android-arm64", "linux-armv7", "linux-riscv64"])
def test_a_runtime_that_a_target_does_not_have_is_refused_by_name(name):
    selection = select(find_target(name), BuildOptions())
    assert [parts for _, parts in selection.shares()] == [("agent", "worker_ncnn")]
    with pytest.raises(UsageError, match="no worker for 'onnxruntime'") as caught:
        selection.worker("onnxruntime")
    assert caught.value.remedy == "It has ncnn."


def test_an_unknown_toolchain_is_named_with_those_there_are():
    with pytest.raises(UsageError, match=r"no toolchain 'msvc'\. Known: auto, zig, gnu, ndk\."):
        select(find_target("linux-arm64"), BuildOptions(toolchain="msvc"))


def test_android_without_an_ndk_is_static_by_zig():
    selection = select(_ANDROID, BuildOptions())
    assert selection.text() == (
        "By zig: static, as neither ANDROID_NDK_HOME nor deployx.toml names an NDK"
    )
    assert selection.agent.static


def test_android_with_an_ndk_is_built_by_it(tmp_path, monkeypatch):
    monkeypatch.setenv("ANDROID_NDK_HOME", str(make_ndk(tmp_path / "ndk")))
    selection = select(_ANDROID, BuildOptions())
    assert selection.text() == "By ndk: ANDROID_NDK_HOME names it"
    assert selection.agent.compiler == "NDK 25.2.9519653, API level 24"
    assert not selection.agent.static
    environment = dict(selection.agent.environment)
    assert environment["DX_ANDROID_NDK"] == str(tmp_path / "ndk")
    assert (environment["DX_ANDROID_API"], environment["DX_ANDROID_CLANG"]) == ("24", "14")
    assert select(_ANDROID, BuildOptions(toolchain="zig")).agent.static


def test_each_ndk_and_level_has_packages_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    prints = set()
    for revision in ("25.2.9519653", "27.2.12479018"):
        make_ndk(tmp_path / "ndk", revision=revision)
        for api in (24, 29):
            (tmp_path / "deployx.toml").write_text(f"[toolchains.android]\napi = {api}\n")
            prints.add(select(_ANDROID, BuildOptions()).agent.fingerprint)
    assert len(prints) == 4


def test_the_ndk_is_for_android_alone():
    with pytest.raises(UsageError, match="The NDK does not build for linux-arm64"):
        select(find_target("linux-arm64"), BuildOptions(toolchain="ndk"))
    with pytest.raises(UsageError, match="jetson-arm64 has no ndk toolchain"):
        select(_JETSON, BuildOptions(toolchain="ndk"))
    with pytest.raises(UsageError, match="android-arm64 has no gnu toolchain"):
        select(_ANDROID, BuildOptions(toolchain="gnu"))


def test_a_jetson_has_a_static_agent_and_workers_for_its_glibc():
    selection = select(_JETSON, BuildOptions())
    assert selection.reason == (
        "workers for glibc 2.31, JetPack 5's: the oldest, which runs on all"
    )
    assert (selection.agent.static, selection.worker("ncnn").static) == (True, False)
    assert selection.worker("ncnn").glibc == "2.31"
    assert dict(selection.worker("ncnn").environment)["DX_GLIBC"] == "2.31"
    assert [parts for _, parts in selection.shares()] == [
        ("agent",),
        ("worker_ncnn", "worker_onnxruntime"),
    ]
    newer = select(_JETSON, BuildOptions(jetpack="6"))
    assert (newer.worker("ncnn").glibc, newer.jetpack) == ("2.35", "6")
    assert newer.agent == selection.agent
    with pytest.raises(UsageError, match=r"no JetPack '4'\. Known: 5 \(.*\), 6 \("):
        select(_JETSON, BuildOptions(jetpack="4"))


def _sysroot(folder, **changes):
    folder.mkdir()
    facts = {
        "folder": folder,
        "uri": "ssh:nano@192.0.2.8",
        "machine": "aarch64",
        "glibc": "2.35",
        "jetpack": "6",
        "patterns": ("/usr/include/*",),
        "absent": (),
        "files": (),
        "links": (),
    }
    sysroot = Sysroot(**{**facts, **changes})
    write_sysroot(sysroot)
    return sysroot


def test_the_workers_are_linked_with_a_sysroot_and_for_its_glibc(tmp_path):
    sysroot = _sysroot(tmp_path / "root")
    (tmp_path / "root/usr/local/cuda-12.6/targets/aarch64-linux").mkdir(parents=True)
    selection = select(_JETSON, BuildOptions(sysroot=sysroot.folder))
    assert selection.worker("ncnn").glibc == "2.35"
    assert selection.reason == "workers for glibc 2.35, JetPack 6's: the sysroot's"
    options = cmake_options(sysroot)
    assert f"-DCMAKE_FIND_ROOT_PATH={sysroot.folder}" in options
    assert "-DCMAKE_LIBRARY_ARCHITECTURE=aarch64-linux-gnu" in options
    assert "-DCMAKE_PREFIX_PATH=/usr;/usr/local/cuda-12.6/targets/aarch64-linux" in options


def test_another_sysroot_is_another_build(tmp_path):
    one, other = _sysroot(tmp_path / "one"), _sysroot(tmp_path / "other", uri="ssh:other")
    prints = {
        build_fingerprint(_JETSON, select(_JETSON, BuildOptions(sysroot=folder)))
        for folder in (None, one.folder, other.folder)
    }
    assert len(prints) == 3


def test_a_sysroot_of_another_architecture_is_refused_with_both_named(tmp_path):
    _sysroot(tmp_path / "root", machine="riscv64", uri="ssh:star@five")
    with pytest.raises(UsageError) as caught:
        select(_JETSON, BuildOptions(sysroot=tmp_path / "root"))
    assert "ssh:star@five) whose uname -m says riscv64" in caught.value.message
    assert "the target jetson-arm64 wants aarch64 or arm64" in caught.value.message
    assert "linux-riscv64" in caught.value.remedy


def test_a_sysroot_with_an_older_glibc_is_refused(tmp_path):
    _sysroot(tmp_path / "root", glibc="2.31")
    with pytest.raises(
        UsageError,
        match=r"glibc 2\.31, as JetPack 5 has it; workers for JetPack 6 take glibc 2\.35",
    ):
        select(_JETSON, BuildOptions(sysroot=tmp_path / "root", jetpack="6"))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 9}', '{"schema": 1, "files": 3}'])
def test_a_folder_that_is_no_sysroot_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match=r"is not a sysroot: it has no sysroot\.json"):
        select(_JETSON, BuildOptions(sysroot=tmp_path))
    (tmp_path / "sysroot.json").write_text(text)
    with pytest.raises(UsageError, match=r"sysroot\.json (cannot be read|is of another schema)"):
        select(_JETSON, BuildOptions(sysroot=tmp_path))


@pytest.mark.parametrize("options", [BuildOptions(jetpack="5"), BuildOptions(sysroot="x")])
def test_options_for_dynamic_workers_are_refused_elsewhere(options):
    with pytest.raises(UsageError, match=r"those of linux-arm64 load none"):
        select(find_target("linux-arm64"), options)
