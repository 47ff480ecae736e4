from __future__ import annotations

import pytest

from deployx_edge.crossbuild.ndk import configured_ndk, find_ndk, read_ndk
from deployx_edge.errors import MissingToolError
from tests.unit.crossbuild.ndks import make_ndk


def test_an_ndk_is_read(tmp_path):
    ndk = read_ndk(make_ndk(tmp_path), "ANDROID_NDK_HOME", 24)
    assert (ndk.revision, ndk.clang, ndk.api) == ("25.2.9519653", "14.0.7", 24)
    assert ndk.cmake_file == tmp_path / "build" / "cmake" / "android.toolchain.cmake"


@pytest.mark.parametrize("revision", ["24.0.8215888", "21.4.7075529", "9.1.2"])
def test_one_that_is_too_old_is_refused_with_both_named(tmp_path, revision):
    make_ndk(tmp_path, revision=revision)
    expected = rf"ANDROID_NDK_HOME names NDK {revision}; r25 or newer is wanted"
    with pytest.raises(MissingToolError, match=expected):
        read_ndk(tmp_path, "ANDROID_NDK_HOME", 24)


@pytest.mark.parametrize("revision", ["25.0.8775105", "27.2.12479018", "29.0.13113456-beta1"])
def test_newer_ones_are_taken(tmp_path, revision):
    assert read_ndk(make_ndk(tmp_path, revision=revision), "x", 24).revision == revision


@pytest.mark.parametrize("api", [18, 34])
def test_a_level_that_it_does_not_build_for_is_refused(tmp_path, api):
    make_ndk(tmp_path)
    with pytest.raises(MissingToolError, match=rf"builds for API levels 19 to 33, not for {api}"):
        read_ndk(tmp_path, "x", api)


def test_one_of_another_kind_of_computer_is_refused(tmp_path):
    make_ndk(tmp_path, host="windows-x86_64")
    with pytest.raises(MissingToolError, match=r"no compiler for this computer .*windows-x86_64"):
        read_ndk(tmp_path, "x", 24)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("source.properties", None, "is not an NDK: it has no source.properties"),
        ("source.properties", "Pkg.Desc = Android NDK\n", "has no Pkg.Revision"),
        ("meta/platforms.json", None, "platforms.json cannot be read"),
        ("meta/platforms.json", "[]", "platforms.json cannot be read"),
        ("build/cmake/android.toolchain.cmake", None, "android.toolchain.cmake is missing"),
        ("toolchains/llvm/prebuilt/HOST/AndroidVersion.txt", "x", "names no version"),
        ("toolchains/llvm/prebuilt/HOST/AndroidVersion.txt", None, "is missing"),
    ],
)
def test_a_broken_folder_says_what_is_wrong_with_it(tmp_path, name, text, says):
    make_ndk(tmp_path)
    (path,) = tmp_path.glob(name.replace("HOST", "*"))
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(MissingToolError, match=says):
        read_ndk(tmp_path, "ANDROID_NDK_HOME", 24)


def test_the_environment_counts_before_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)
    assert configured_ndk() is None
    with pytest.raises(MissingToolError, match=r"No NDK is configured\. Set ANDROID_NDK_HOME"):
        find_ndk()
    make_ndk(tmp_path / "ndk")
    (tmp_path / "deployx.toml").write_text('[toolchains.android]\nndk = "ndk"\napi = 29\n')
    assert configured_ndk() == (tmp_path / "ndk", "toolchains.android.ndk in deployx.toml")
    assert find_ndk().api == 29
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "other"))
    assert configured_ndk() == (tmp_path / "other", "ANDROID_NDK_HOME")
    with pytest.raises(
        MissingToolError, match=r"ANDROID_NDK_HOME names .*other, which is not an NDK"
    ):
        find_ndk()
