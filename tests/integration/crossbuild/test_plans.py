"""What an NDK and a sysroot make of the commands of a build."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from deployx_edge.crossbuild.conan_home import conan_program
from deployx_edge.crossbuild.selection import select
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target
from deployx_edge.workflows.build.build import BuildOptions, explain, uncompiled_packages
from tests.unit.crossbuild.ndks import make_ndk

from .compiling import TOOLCHAINS, run

_ANDROID = find_target("android-arm64")
_HERE = find_target("linux-x64")


@pytest.fixture
def own_places(tmp_path, monkeypatch):
    """Nothing is built, and nothing is configured but by the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "dist"))
    monkeypatch.delenv("ANDROID_NDK_HOME", raising=False)


@pytest.fixture
def ndk(own_places, tmp_path):
    """One that is configured for API level 26."""
    (tmp_path / "deployx.toml").write_text('[toolchains.android]\nndk = "an ndk"\napi = 26\n')
    return make_ndk(tmp_path / "an ndk")


def _command(title):
    plan = explain(_ANDROID, BuildOptions())
    return plan, next(command for command in plan.commands if command.title == title)


def test_conan_is_asked_for_android_by_the_ndk(ndk, tmp_path):
    plan, install = _command("Packages")
    assert plan.toolchain == "By ndk: toolchains.android.ndk in deployx.toml names it"
    (profile,) = [word for word in install.argv if word.startswith("--profile:host=")]
    # Conan's own reading of the profile, with the environment of the command.
    asked = [conan_program(), "profile", "show", profile.replace("--profile:host", "-pr:h")]
    asked += ["-pr:b", profile.partition("=")[2].replace("android-arm64-ndk", "build")]
    done = subprocess.run(
        [*map(str, asked), "--format=json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **dict(install.environment)},
    )
    host = json.loads(done.stdout)["host"]
    settings = host["settings"]
    assert (settings["os"], settings["os.api_level"]) == ("Android", "26")
    assert (settings["arch"], settings["compiler"]) == ("armv8", "clang")
    assert (settings["compiler.version"], settings["compiler.libcxx"]) == ("14", "c++_static")
    assert host["conf"]["tools.android:ndk_path"] == str(tmp_path / "an ndk")
    for kind in ("exelinkflags", "sharedlinkflags"):
        assert "-Wl,-z,max-page-size=16384" in host["conf"][f"tools.build:{kind}"]
    assert "tools.cmake.cmaketoolchain:user_toolchain" not in host["conf"]


def test_cmake_is_given_the_toolchain_file_that_calls_the_ndks(ndk, tmp_path):
    """Conan writes it with the graph; a recipe without requirements shows it here."""
    plan, install = _command("Packages")
    configure = next(one for one in plan.commands if one.title == "Configuring the agent")
    assert "-DDX_TARGET_ID=android-arm64" in configure.argv
    (file,) = [word for word in configure.argv if word.startswith("-DCMAKE_TOOLCHAIN_FILE=")]
    assert file.endswith("/packages/conan_toolchain.cmake")
    (tmp_path / "conanfile.txt").write_text("[generators]\nCMakeToolchain\n")
    profiles = [word for word in install.argv if word.startswith("--profile:")]
    words = [conan_program(), "install", tmp_path, *profiles, f"--output-folder={tmp_path / 'out'}"]
    subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        check=True,
        env={**os.environ, **dict(install.environment), "CONAN_HOME": str(tmp_path / "conan")},
    )
    text = (tmp_path / "out" / "conan_toolchain.cmake").read_text()
    assert "set(ANDROID_PLATFORM android-26)" in text
    assert "set(ANDROID_STL c++_static)" in text
    assert "set(ANDROID_ABI arm64-v8a)" in text
    assert f'include("{tmp_path}/an ndk/build/cmake/android.toolchain.cmake")' in text


def test_explain_and_the_error_name_what_is_wrong_with_an_ndk(own_places, tmp_path):
    make_ndk(tmp_path / "old", revision="23.1.7779620")
    environment = {**os.environ, "ANDROID_NDK_HOME": str(tmp_path / "old")}
    words = [sys.executable, "-m", "deployx_edge", "build", "-t", "android-arm64", "--explain"]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 4
    assert "ANDROID_NDK_HOME names NDK 23.1.7779620; r25 or newer is wanted." in done.stderr
    done = subprocess.run(
        [*words, "--toolchain", "zig"], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout.splitlines()[0] == "# By zig: --toolchain zig asks for it"


def test_conan_says_which_packages_would_be_compiled(ndk):
    # Those of linux-arm64, which is built before the suite runs.
    assert uncompiled_packages(_ANDROID, BuildOptions(toolchain="zig")) == ()
    # A compiler that nothing was ever built by.
    everything = {"abseil", "c-ares", "grpc", "ncnn", "protobuf", "re2", "zlib"}
    assert set(uncompiled_packages(_ANDROID, BuildOptions())) == everything


def test_if_cached_leaves_a_target_alone_that_would_take_minutes(ndk, tmp_path):
    words = [sys.executable, "-m", "deployx_edge", "build", "-t", "android-arm64", "--if-cached"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("android-arm64 is left as it is: abseil, c-ares, grpc, ncnn, ")
    assert not (tmp_path / "dist").exists()


def test_what_compiles_names_no_copy_of_the_project(own_places):
    """ccache tells files by their paths: one that names this copy is compiled anew in the next."""
    commands = explain(find_target("linux-x64"), BuildOptions()).commands
    configuring = next(c for c in commands if c.title == "Configuring the agent")
    interpreter = f"-DPython3_EXECUTABLE={sys.executable}"
    tools = ("-DCMAKE_MAKE_PROGRAM=", "-DDX_PROTOC=", "-DDX_GRPC_CPP_PLUGIN=")
    words = [w for w in configuring.argv[1:] if w != interpreter and not w.startswith(tools)]
    assert not [word for word in words if str(data_folder("device_agent").parent) in word]
    linking = next(c for c in commands if c.title == "Linking to the sources")
    assert str(data_folder("device_agent")) in linking.argv


def test_a_zig_of_another_copy_compiles_nothing_anew(tmp_path):
    """Each copy of the project has a virtual environment of its own, and zig in it."""
    zig = select(_HERE, BuildOptions(toolchain="zig")).worker("ncnn")
    environment = {**dict(zig.environment), "CCACHE_DIR": str(tmp_path / "ccache")}
    ccache = environment.get("CMAKE_C_COMPILER_LAUNCHER")
    if ccache is None:
        pytest.skip("ccache is not installed")
    (tmp_path / "one.c").write_text("int one(void) { return 1; }\n", encoding="utf-8")
    words = ["-target", "x86_64-linux-musl", "-O2", "-c", tmp_path / "one.c", "-o"]
    for copy in ("first", "second"):
        (own := tmp_path / copy).mkdir()
        (own / "zig").symlink_to(environment["DX_ZIG"])
        compiler = [TOOLCHAINS / "bin" / "zig-cc", f"--zig={own / 'zig'}"]
        run([ccache, *compiler, *words, own / "one.o"], environment)
    told = run([ccache, "--print-stats"], environment).splitlines()
    counts = dict(line.split("\t") for line in told)
    assert (counts["cache_miss"], counts["direct_cache_hit"]) == ("1", "1")
