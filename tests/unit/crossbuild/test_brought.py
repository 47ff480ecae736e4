"""Workers of what a user brings, an SDK or archives: when builds have them, what goes with them."""

import json
import shutil
from pathlib import Path

import pytest

from deployx_edge import archives
from deployx_edge.crossbuild.distribution import export_build
from deployx_edge.crossbuild.fingerprint import build_fingerprint
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.workers import built_names
from deployx_edge.errors import BuildError, MissingToolError, UsageError
from deployx_edge.qairt import VARIABLES
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target, targets
from deployx_edge.worker_facts import read_worker_facts, worker_facts, worker_names
from tests.unit.crossbuild.binaries import AARCH64, QDSP6, elf
from tests.unit.crossbuild.ndks import make_ndk
from tests.unit.crossbuild.test_finished import make_build

OF_SDK = [
    name for name in worker_names() if (sdk := worker_facts(name).sdk) is not None and sdk.headers
]
RUNTIME = OF_SDK[0]
FACTS = worker_facts(RUNTIME).sdk
ARM64, ANDROID = find_target("linux-arm64"), find_target("android-arm64")
HEADERS = data_folder("device_agent") / "tests" / "worker" / "stand_in_snpe"


def fill_sdk(folder: Path, *, version: str = "2.39.0.250926") -> Path:
    """What a build reads of an SDK: our own headers in its places, libraries without code."""
    (folder / "bin/x86_64-linux-clang").mkdir(parents=True)
    (folder / "sdk.yaml").write_text(f"version: {version}\n")
    shutil.copytree(HEADERS, folder / "include" / "SNPE")
    libraries = ("libSNPE.so", "libSnpeHtpPrepare.so", "libSnpeHtpV73Stub.so", "libother.so")
    for _, (place, *_) in FACTS.folders:
        (folder / place).mkdir(parents=True)
        for name in libraries:
            (folder / place / name).write_bytes(elf(AARCH64, filler=name.encode()))
    for version in ("v68", "v73"):
        place = folder / "lib" / f"hexagon-{version}" / "unsigned"
        place.mkdir(parents=True)
        name = f"libSnpeHtp{version.upper()}Skel.so"
        (place / name).write_bytes(elf(QDSP6, filler=name.encode()))
    return folder


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    for variable in (*VARIABLES, archives.VARIABLE, "ANDROID_NDK_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def sdk(tmp_path, monkeypatch):
    folder = fill_sdk(tmp_path / "sdk")
    monkeypatch.setenv(VARIABLES[0], str(folder))
    return folder


def refused(target, kind=UsageError):
    with pytest.raises(kind) as caught:
        select(target, BuildOptions(runtimes=(RUNTIME,)))
    return caught.value


def test_without_an_sdk_such_a_worker_is_left_out_and_asked_for_it_says_what_to_do():
    for target in (ARM64, ANDROID):
        assert RUNTIME in target.runtimes
        assert RUNTIME not in select(target, BuildOptions()).runtimes
        error = refused(target, MissingToolError)
        assert "SDK is not configured" in error.message
        assert VARIABLES[0] in error.remedy
        assert "the worker for Snapdragon boards is compiled" in error.remedy


def test_with_an_sdk_it_is_built_and_its_libraries_travel_by_architecture(sdk):
    selection = select(ARM64, BuildOptions(runtimes=(RUNTIME,)))
    assert selection.runtimes == ARM64.runtimes
    # For glibc, as it loads a library that is made for it.
    assert selection.worker(RUNTIME) == selection.worker("onnxruntime")
    (part,) = selection.brought
    names = [n.name for n in built_names(ARM64, selection.runtimes, selection.brought)]
    own = names[names.index(f"dx-worker-{RUNTIME}") + 1 :]
    assert own == [
        "libSNPE.so",
        "libSnpeHtpPrepare.so",
        "libSnpeHtpV73Stub.so",
        "libSnpeHtpV68Skel.so",
        "libSnpeHtpV73Skel.so",
    ]
    assert part.machine_of("libSnpeHtpV73Skel.so") == "EM_QDSP6"
    assert part.machine_of("libSnpeHtpV73Stub.so") == ""
    plan = plan_build(ARM64, BuildOptions())
    configure = plan.share_of(f"worker_{RUNTIME}").compile[1].argv
    assert f"-DDX_SNPE_INCLUDE={sdk}/include/SNPE" in configure
    assert "-DDX_SNPE_VERSION=2.39.0.250926" in configure


def test_androids_own_libraries_take_an_ndk(sdk, tmp_path, monkeypatch):
    assert RUNTIME not in select(ANDROID, BuildOptions()).runtimes
    error = refused(ANDROID)
    assert "Android's own C library" in error.message
    assert "ANDROID_NDK_HOME" in error.remedy
    monkeypatch.setenv("ANDROID_NDK_HOME", str(make_ndk(tmp_path / "ndk")))
    selection = select(ANDROID, BuildOptions(runtimes=(RUNTIME,)))
    assert selection.runtimes == ("ncnn", RUNTIME)
    (part,) = selection.brought
    assert part.libraries[0] == sdk / "lib/aarch64-android/libSNPE.so"


@pytest.mark.parametrize(
    "missing",
    [
        "include/SNPE/SNPE/SNPE.h",
        "include/SNPE/DlContainer/DlContainer.h",
        f"{dict(FACTS.folders)['linux-arm64'][0]}/libSNPE.so",
    ],
)
def test_half_an_sdk_is_named_once_it_is_asked_for(missing, sdk):
    (sdk / missing).unlink()
    assert RUNTIME not in select(ARM64, BuildOptions()).runtimes
    assert f"lacks {missing}" in refused(ARM64).message


def test_an_sdk_without_the_targets_folder_and_one_of_another_version_are_refused(
    sdk, tmp_path, monkeypatch
):
    shutil.rmtree(sdk / dict(FACTS.folders)["linux-arm64"][0])
    assert "lacks lib/aarch64-oe-linux" in refused(ARM64).message
    monkeypatch.setenv(VARIABLES[0], str(fill_sdk(tmp_path / "old", version="1.68.0.1")))
    assert "names SNPE 1.68.0.1" in refused(ARM64, MissingToolError).message


def test_another_sdk_is_another_build(sdk):
    first = build_fingerprint(ARM64, select(ARM64, BuildOptions()))
    library = sdk / dict(FACTS.folders)["linux-arm64"][0] / "libSNPE.so"
    library.write_bytes(elf(AARCH64, filler=b"another"))
    second = build_fingerprint(ARM64, select(ARM64, BuildOptions()))
    (sdk / "sdk.yaml").write_text("version: 2.40.0.1\n")
    third = build_fingerprint(ARM64, select(ARM64, BuildOptions()))
    assert len({first, second, third}) == 3


def test_a_build_with_an_sdks_libraries_is_not_exported(tmp_path):
    (tmp_path / "build").mkdir()
    build = make_build(tmp_path / "build", runtimes=ARM64.runtimes)
    assert RUNTIME in {file.runtime for file in build.files}
    with pytest.raises(UsageError, match=f"libraries for {RUNTIME} that you brought"):
        export_build(build, tmp_path / "b.tar.gz")
    assert not (tmp_path / "b.tar.gz").exists()


def test_each_target_that_has_it_says_where_its_libraries_lie():
    for runtime in OF_SDK:
        having = {id for id, target in targets().items() if runtime in target.runtimes}
        assert set(dict(worker_facts(runtime).sdk.folders)) == having
        assert all(worker_facts(runtime).is_optional_for(id) for id in having)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"more_of_it": []}, '"sdk" has an unknown member "more_of_it"'),
        ({"folders": {}}, '"folders" of "sdk" names no target'),
        ({"libraries": []}, "names no libraries"),
        ({"headers": []}, '"sdk" names no headers, and no archive has some'),
        ({"headers": ["../x.h"]}, '"headers" is not a list'),
    ],
)
def test_facts_of_an_sdk_that_are_broken_are_refused(tmp_path, change, said):
    (tmp_path / RUNTIME).mkdir()
    path = tmp_path / RUNTIME / "worker.json"
    sdk = {"headers": ["a.h"], "folders": {"linux-arm64": ["lib"]}, "libraries": ["liba.so"]}
    path.write_text(json.dumps({"name": RUNTIME, "sdk": sdk}))
    assert read_worker_facts(path).sdk.libraries == ("liba.so",)
    path.write_text(json.dumps({"name": RUNTIME, "sdk": {**sdk, **change}}))
    with pytest.raises(BuildError, match=said):
        read_worker_facts(path)
