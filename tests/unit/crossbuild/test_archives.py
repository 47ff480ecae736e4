"""Archives for Android that a user brings: which are taken, what is refused, what a build holds."""

import json
import re
import zipfile
from types import SimpleNamespace

import pytest

from deployx_edge import archives
from deployx_edge.crossbuild.brought import brought_parts
from deployx_edge.crossbuild.fingerprint import build_fingerprint
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.crossbuild.selection import select
from deployx_edge.crossbuild.workers import built_names, worker_part
from deployx_edge.errors import BuildError, MissingToolError, UsageError
from deployx_edge.qairt import VARIABLES
from deployx_edge.target import find_target, targets
from deployx_edge.versions import release
from deployx_edge.worker_facts import read_worker_facts, worker_facts, worker_names
from deployx_edge.workflows.boards.session import Session
from deployx_edge.workflows.build.runtimes import runtime_states
from tests.unit.crossbuild import aars
from tests.unit.crossbuild.binaries import QDSP6, X86_64, elf
from tests.unit.crossbuild.ndks import make_ndk

ANDROID = find_target("android-arm64")
# The one of a single archive, and the one of several whose last an SDK can be in place of.
ALONE, SEVERAL = (
    next(n for n in worker_names() if len(worker_facts(n).archives_for(ANDROID.id)) == count)
    for count in (1, 3)
)


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    for variable in (*VARIABLES, archives.VARIABLE, "ANDROID_NDK_HOME"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def ndk(nothing, tmp_path, monkeypatch):
    monkeypatch.setenv("ANDROID_NDK_HOME", str(make_ndk(tmp_path / "ndk")))


@pytest.fixture
def folder(ndk, tmp_path, monkeypatch):
    """The user's archives, all that there is to bring."""
    monkeypatch.setenv(archives.VARIABLE, str(tmp_path / "aars"))
    return aars.fill(tmp_path / "aars")


def refused(runtime, kind=UsageError):
    with pytest.raises(kind) as caught:
        select(ANDROID, BuildOptions(runtimes=(runtime,)))
    return caught.value


def part_of(runtime):
    return next(p for p in select(ANDROID, BuildOptions()).brought if p.runtime == runtime)


def test_without_archives_such_a_worker_is_left_out_and_asked_for_it_says_what_to_bring(ndk):
    for runtime in (ALONE, SEVERAL):
        assert runtime in ANDROID.runtimes
        assert runtime not in select(ANDROID, BuildOptions()).runtimes
        error = refused(runtime, MissingToolError)
        assert "onnxruntime-android-VERSION.aar is wanted" in error.message
        assert "com.microsoft.onnxruntime:onnxruntime-android from a Maven repo" in error.remedy
        assert archives.VARIABLE in error.remedy
        assert "toolchains.android.archives in deployx.toml" in error.remedy
        assert "://" not in error.remedy


def test_with_archives_and_an_ndk_the_workers_are_built_of_them(folder, tmp_path):
    selection = select(ANDROID, BuildOptions(runtimes=(ALONE, SEVERAL)))
    assert selection.runtimes == ("ncnn", ALONE, SEVERAL)
    names = [n.name for n in built_names(ANDROID, selection.runtimes, selection.brought)]
    assert names[names.index(f"dx-worker-{ALONE}") + 1 :] == [
        "libdx_operators_onnxruntime.so",
        "libonnxruntime.so",
        f"dx-worker-{SEVERAL}",
        "libonnxruntime.so",
        "libonnxruntime_providers_qnn.so",
        *aars.HTP,
        *aars.SKELETONS,
    ]
    several = part_of(SEVERAL)
    assert several.machine_of(aars.SKELETONS[0]) == "EM_QDSP6"
    assert several.machine_of(aars.HTP[-1]) == ""
    assert dict(several.versions) == {
        "onnxruntime": "1.29.0",
        "onnxruntime-qnn": "2.6.0",
        "qnn-runtime": "2.50.0",
    }
    plan = plan_build(ANDROID, BuildOptions())
    share = plan.share_of(worker_part(SEVERAL))
    (include,) = [w for w in share.compile[1].argv if w.startswith("-DDX_ONNXRUNTIME_INCLUDE=")]
    assert include.startswith(f"-DDX_ONNXRUNTIME_INCLUDE={tmp_path}/cache/archives/")
    for word in (
        "-DDX_ONNXRUNTIME_VERSION=1.29.0",
        "-DDX_ONNXRUNTIME_FILE=libonnxruntime.so",
        "-DDX_ONNXRUNTIME_QNN_VERSION=2.6.0",
        "-DDX_QNN_RUNTIME_VERSION=2.50.0",
    ):
        assert share.compile[1].argv.count(word) == 1
    # Conan is asked for nothing that there is not for Android.
    asked = {w for w in share.packages[0].argv if w.startswith("--options:host=&:worker_")}
    for runtime in ANDROID.runtimes:
        own = f"--options:host=&:{worker_part(runtime)}={runtime == 'ncnn'}"
        assert own in asked


def test_libraries_of_the_archives_are_unpacked_once(folder):
    part = part_of(SEVERAL)
    for archive in part.archives:
        archive.unpack()
    for path in part.all_libraries:
        assert path.name.encode() in path.read_bytes()
    header = part.archives[0].headers / "onnxruntime_c_api.h"
    assert header.read_text() == aars.HEADER.format(api=29)
    # It includes others, in versions from 1.29 on.
    assert {path.name for path in header.parent.iterdir()} == {header.name, aars.BESIDE}
    (folder / aars.QNN).write_bytes(b"")  # What is unpacked is not looked for again.
    for archive in part.archives:
        archive.unpack()


def test_without_an_ndk_it_is_said_that_one_is_wanted(folder, monkeypatch):
    monkeypatch.delenv("ANDROID_NDK_HOME")
    assert select(ANDROID, BuildOptions()).runtimes == ("ncnn",)
    for runtime in (ALONE, SEVERAL):
        error = refused(runtime)
        assert "Android's own C library" in error.message
        assert "ANDROID_NDK_HOME" in error.remedy


def test_the_file_of_settings_names_the_folder_too(folder, tmp_path, monkeypatch):
    monkeypatch.delenv(archives.VARIABLE)
    (tmp_path / "deployx.toml").write_text('[toolchains.android]\narchives = "aars"\n')
    assert part_of(ALONE).versions == (("onnxruntime", "1.29.0"),)
    (folder / aars.RUNTIME).unlink()
    said = refused(ALONE, MissingToolError).message
    assert "toolchains.android.archives in deployx.toml names, has no onnxruntime-android-V" in said
    assert f"it has {aars.PROVIDER}, {aars.QNN}" in said
    monkeypatch.setenv(archives.VARIABLE, str(tmp_path / "nowhere"))
    assert "nowhere, which is not a folder" in refused(ALONE, MissingToolError).message


def test_an_sdk_has_the_libraries_of_the_last_archive(folder, tmp_path, monkeypatch):
    (folder / aars.QNN).unlink()
    error = refused(SEVERAL, MissingToolError)
    assert "has no qnn-runtime-VERSION.aar" in error.message
    assert "The SDK, which has the same libraries, is not configured either." in error.message
    assert "com.qualcomm.qti:qnn-runtime" in error.remedy
    assert VARIABLES[0] in error.remedy
    assert ALONE in select(ANDROID, BuildOptions()).runtimes
    sdk = tmp_path / "sdk"
    (sdk / "bin/x86_64-linux-clang").mkdir(parents=True)
    (sdk / "sdk.yaml").write_text("version: 2.50.1.260901\n")
    for place, names in (("lib/aarch64-android", aars.HTP), ("lib/hexagon-v73/unsigned", ())):
        (sdk / place).mkdir(parents=True)
        for name in names or aars.SKELETONS[:1]:
            (sdk / place / name).write_bytes(elf(183 if names else QDSP6))
    monkeypatch.setenv(VARIABLES[0], str(sdk))
    part = part_of(SEVERAL)
    assert dict(part.versions)["qnn-runtime"] == "2.50.1.260901"
    assert part.libraries[2] == sdk / "lib/aarch64-android/libQnnHtp.so"
    assert part.others == (sdk / "lib/hexagon-v73/unsigned" / aars.SKELETONS[0],)
    (sdk / "lib/aarch64-android/libQnnSystem.so").unlink()
    assert "lacks lib/aarch64-android/libQnnSystem.so" in refused(SEVERAL).message
    (sdk / "sdk.yaml").write_text("version: 2.49.0.260801\n")
    (sdk / "lib/aarch64-android/libQnnSystem.so").write_bytes(b"")
    assert "wants qnn-runtime 2.50 or later, found 2.49.0.260801" in refused(SEVERAL).message


def test_versions_that_do_not_fit_are_named_on_both_sides(folder):
    (folder / aars.QNN).rename(folder / "qnn-runtime-2.49.1.aar")
    said = refused(SEVERAL).message
    assert "com.qualcomm.qti:onnxruntime-android-qnn 2.6.0 wants qnn-runtime 2.50 or later" in said
    assert "found 2.49.1" in said
    # Microsoft's of that name holds ONNX Runtime with a provider inside.
    (folder / aars.PROVIDER).rename(folder / "onnxruntime-android-qnn-1.29.0.aar")
    error = refused(SEVERAL)
    assert "is of version 1.29.0; of com.qualcomm.qti:onnxruntime-android-qnn" in error.message
    assert "from 2.3 on and before 2.8" in error.message
    (folder / aars.RUNTIME).rename(folder / "onnxruntime-android-1.24.0.aar")
    assert "versions from 1.24.1 on and before 2 are taken" in refused(SEVERAL).message
    assert ALONE in select(ANDROID, BuildOptions()).runtimes
    aars.onnxruntime(folder / aars.RUNTIME)
    said = refused(ALONE).message
    assert "has several of com.microsoft.onnxruntime:onnxruntime-android: 1.24.0, 1.29.0" in said


def test_an_archive_without_what_is_taken_of_it_is_named(folder):
    path = folder / aars.RUNTIME
    aars.make_aar(path, {"headers/onnxruntime_c_api.h": b"", **aars.libraries("libother.so")})
    said = refused(ALONE).message
    assert f"{aars.RUNTIME} has no jni/arm64-v8a/libonnxruntime.so" in said
    path.write_bytes(b"<html>404</html>")
    error = refused(ALONE)
    assert "cannot be read as an archive" in error.message
    assert "Get the file again" in error.remedy


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (
            aars.libraries("libonnxruntime.so", machine=X86_64),
            "libonnxruntime.so in it is for EM_X86_64, not for EM_AARCH64",
        ),
        ({"jni/arm64-v8a/libonnxruntime.so": b"\0" * 99}, "should be an ELF executable"),
        (
            {"headers/onnxruntime_c_api.h": aars.HEADER.format(api=28).encode()},
            "ORT_API_VERSION in onnxruntime_c_api.h is 28, its name says 1.29.0",
        ),
        ({"headers/onnxruntime_c_api.h": b"//"}, "ORT_API_VERSION in onnxruntime_c_api.h is not t"),
    ],
)
def test_what_is_wrong_in_an_archive_is_told_before_anything_is_compiled(folder, members, said):
    right = {
        "headers/onnxruntime_c_api.h": aars.HEADER.format(api=29).encode(),
        **aars.libraries("libonnxruntime.so"),
    }
    aars.make_aar(folder / aars.RUNTIME, {**right, **members})
    (archive,) = part_of(ALONE).archives
    with pytest.raises(UsageError, match=f"{re.escape(aars.RUNTIME)}.*{re.escape(said)}"):
        archive.unpack()
    assert not archive.folder.exists()


def test_a_damaged_archive_is_told(folder):
    path = folder / aars.RUNTIME
    (archive,) = part_of(ALONE).archives
    with zipfile.ZipFile(path) as file:
        at = file.getinfo("headers/onnxruntime_c_api.h").header_offset
    content = bytearray(path.read_bytes())
    content[at + 60 : at + 80] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is damaged"):
        archive.unpack()
    assert not archive.folder.exists()


def test_another_archive_is_another_build(folder):
    first = build_fingerprint(ANDROID, select(ANDROID, BuildOptions()))
    aars.make_aar(folder / aars.PROVIDER, aars.libraries("libonnxruntime_providers_qnn.so", "a.so"))
    second = build_fingerprint(ANDROID, select(ANDROID, BuildOptions()))
    (folder / aars.QNN).rename(folder / "qnn-runtime-2.51.0.aar")
    third = build_fingerprint(ANDROID, select(ANDROID, BuildOptions()))
    assert len({first, second, third}) == 3


def test_the_list_of_runtimes_tells_them_and_demands_none(folder):
    name = f"archives for {ANDROID.id}"
    states = runtime_states([ALONE, SEVERAL])
    found = [next(need for need in state.needs if need.name == name) for state in states]
    assert found[0].found == "onnxruntime 1.29.0"
    assert found[1].found == "onnxruntime 1.29.0, onnxruntime-qnn 2.6.0, qnn-runtime 2.50.0"
    (folder / aars.QNN).unlink()
    alone, several = (
        next(need for need in state.needs if need.name == name)
        for state in runtime_states([ALONE, SEVERAL])
    )
    assert alone == found[0]
    assert (several.present, several.found[:12]) == (True, "not complete")
    assert several.remedy == f"deployx-edge build --target {ANDROID.id} --runtime {SEVERAL}"


def test_a_part_of_a_sequence_runs_there_where_its_worker_was_brought():
    def runs(runtime, target, *built):
        session = SimpleNamespace(target=target, build=SimpleNamespace(runtimes=("ncnn", *built)))
        return Session.runs(session, runtime)

    assert runs("ncnn", ANDROID)
    assert not runs(ALONE, ANDROID)
    assert runs(ALONE, ANDROID, ALONE)
    assert not runs("openvino", ANDROID)
    # Elsewhere a worker that the build lacks is an error, and not this computer's.
    assert runs("tensorrt", find_target("jetson-arm64"))


def test_other_targets_take_none(folder):
    for target in targets().values():
        parts = brought_parts(target, is_bionic=False, asked=())
        assert not [part for part in parts if part.archives]


def test_each_target_with_archives_has_the_runtime():
    for name in worker_names():
        for id, rows in worker_facts(name).archives:
            assert name in find_target(id).runtimes
            packages = {row.package for row in rows}
            for row in rows:
                for wanted, releases in row.wants:
                    assert wanted in packages
                    # Every release that is taken is known.
                    assert [release(row.oldest), row.before] == [
                        releases[0][0],
                        f"2.{int(releases[-1][0].split('.')[1]) + 1}",
                    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"url": "x"}, 'an archive has an unknown member "url"'),
        ({"artifact": "onnxruntime"}, '"artifact" is not a text'),
        ({"libraries": []}, "an archive has libraries of its own or an SDK's"),
        ({"or_sdk": True, "libraries": []}, '"or_sdk" has no "sdk"'),
        ({"api": "API"}, 'an archive has "api", and no headers'),
        ({"wants": {"other": {"2": "3"}}}, '"wants" does not name releases'),
    ],
)
def test_facts_of_an_archive_that_are_broken_are_refused(tmp_path, change, said):
    (tmp_path / "some").mkdir()
    path = tmp_path / "some" / "worker.json"
    row = {
        "artifact": "org.some:some-android",
        "package": "some",
        "oldest": "1.2",
        "before": "2",
        "libraries": ["libsome.so"],
    }
    facts = {"name": "some", "archives": {ANDROID.id: [row]}}
    path.write_text(json.dumps(facts))
    assert read_worker_facts(path).archives_for(ANDROID.id)[0].name == "some-android-"
    path.write_text(json.dumps({**facts, "archives": {ANDROID.id: [{**row, **change}]}}))
    with pytest.raises(BuildError, match=re.escape(said)):
        read_worker_facts(path)
