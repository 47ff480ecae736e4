"""Workers that are compiled with what a user brings, by the compiler and options of a build.

The headers are their maker's. Those that stand in for them are in their places here, and one file
is compiled as every build for linux-arm64 would; the whole worker where an SDK is configured, or
archives for Android, whose compiler is not at hand.
"""

from __future__ import annotations

import shutil
import subprocess

import pytest

from deployx_edge.archives import VARIABLE, configured_archives
from deployx_edge.crossbuild.brought import brought_parts
from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.packages import installed_packages
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.crossbuild.selection import select
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.qairt import VARIABLES, configured_sdk
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target
from deployx_edge.transport.virtual.libraries import library_words
from deployx_edge.worker_facts import worker_names
from tests.integration.crossbuild.compiling import TOOLCHAINS, built, cmake_commands, run
from tests.unit.crossbuild import aars
from tests.unit.crossbuild.test_archives import ALONE, ANDROID, SEVERAL
from tests.unit.crossbuild.test_brought import RUNTIME, fill_sdk

TARGET = find_target("linux-arm64")
GIVEN = configured_sdk() is not None
GIVEN_ARCHIVES = configured_archives() is not None


def configured(folder):
    """A build folder for that worker alone, configured as a build is, and its environment."""
    built(TARGET.id)
    plan = plan_build(TARGET, BuildOptions(runtimes=(RUNTIME,)))
    share = plan.share_of(f"worker_{RUNTIME}")
    own = [word for word in share.compile[1].argv if word.startswith(f"-DDX_{RUNTIME.upper()}_")]
    assert len(own) == 2
    environment = dict(share.toolchain.environment)
    configure(folder, own, (RUNTIME,), environment)
    return folder, environment


def configure(folder, own, runtimes, environment):
    """A build folder for these workers, with what is brought in place of packages."""
    source = data_folder("device_agent")
    words, _ = cmake_commands(source, folder, TOOLCHAINS / f"{TARGET.loading_toolchain}.cmake")
    others = [f"-DDX_BUILD_WORKER_{n.upper()}=OFF" for n in worker_names() if n not in runtimes]
    run([*words, *own, "-DDX_BUILD_AGENT=OFF", *others], environment)


def of_archives():
    """What an archive's runtime is compiled with once that is unpacked, and the compiler's
    environment: that of another target, as Android's own C library takes an NDK."""
    (part,) = brought_parts(ANDROID, is_bionic=True, asked=(ALONE,))
    for archive in part.archives:
        archive.unpack()
    share = plan_build(TARGET, BuildOptions()).share_of(f"worker_{ALONE}")
    return part, dict(share.toolchain.environment)


def test_a_build_with_an_sdk_compiles_with_its_headers(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLES[0], str(fill_sdk(tmp_path / "sdk")))
    folder, environment = configured(tmp_path / "b")
    cache = (folder / "CMakeCache.txt").read_text()
    assert f"={tmp_path}/sdk/include/SNPE\n" in cache
    # One file that includes all of these headers; the rest is compiled with the sanitizers' build.
    made = f"workers/{RUNTIME}/CMakeFiles/dx_worker_{RUNTIME}.dir/library.cpp.o"
    run(["cmake", "--build", folder, "--target", made], environment)


@pytest.mark.skipif(not GIVEN, reason=f"{VARIABLES[0]} names no SDK, which is Qualcomm's")
def test_the_whole_worker_is_compiled_with_the_makers_own_headers(tmp_path):
    folder, environment = configured(tmp_path / "b")
    run(["cmake", "--build", folder, "--target", f"dx-worker-{RUNTIME}"], environment)
    glibc = select(TARGET, BuildOptions()).worker(RUNTIME).glibc
    worker = folder / "bin" / f"dx-worker-{RUNTIME}"
    found = check_executable(worker, machine=TARGET.elf_machine, static=False, glibc=glibc)
    # The library is opened when a model comes.
    assert not [name for name in found.needed if "SNPE" in name]


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An archive with the header of our package, as if it were of that header's version."""
    built(TARGET.id)
    share = plan_build(TARGET, BuildOptions()).share_of(f"worker_{ALONE}")
    try:
        packages = {each.name: each.folder for each in installed_packages(share.packages_folder)}
    except BuildError:
        pytest.skip(f"{TARGET.id} was not built from this checkout")
    header = (packages[ALONE] / "include" / "onnxruntime_c_api.h").read_bytes()
    members = {"headers/onnxruntime_c_api.h": header, **aars.libraries("libonnxruntime.so")}
    monkeypatch.setenv(VARIABLE, str(tmp_path / "aars"))
    return aars.make_aar(tmp_path / "aars" / "onnxruntime-android-1.21.0.aar", members)


def test_an_archive_brings_header_version_and_file_name(archive, tmp_path, request):
    part, environment = of_archives()
    folder = tmp_path / "b"
    configure(folder, part.options, (ALONE,), environment)
    cache = (folder / "CMakeCache.txt").read_text()
    assert f"={part.archives[0].headers}\n" in cache
    made = f"workers/{ALONE}/CMakeFiles/dx_worker_{ALONE}.dir/library.cpp.o"
    if not request.config.getoption("--all"):
        run(["cmake", "--build", folder, "--target", made], environment)
        content = (folder / made).read_bytes()
        assert b"1.21.0\0" in content
        assert b"libonnxruntime.so\0" in content
        return
    run(["cmake", "--build", folder, "--target", f"dx-worker-{ALONE}"], environment)
    # The package's library in place of the archive's is of another version.
    library = next(f for f in built(TARGET.id).libraries(ALONE) if "libonnxruntime.so" in f.name)
    (tmp_path / "libonnxruntime.so").symlink_to(built(TARGET.id).folder / library.name)
    model = data_folder("device_agent").parent / "examples" / "digits" / "digits_cnn.onnx"
    words = ["--bare", "--file", f"onnx={model}", "--library", tmp_path / "libonnxruntime.so"]
    emulator = shutil.which(TARGET.qemu) or ""
    root = library_words(TARGET, emulator, TARGET.qemu_cpu)
    qemu = [emulator, *root, folder / "bin" / f"dx-worker-{ALONE}"]
    said = subprocess.run(
        [*qemu, *words, "--input", "image=1x1x8x8"], capture_output=True, text=True, check=False
    )
    assert said.returncode == 1
    assert "the worker was built for ONNX Runtime 1.21.0, the library " in said.stderr


def test_a_library_of_another_version_or_system_in_an_archive_is_refused(tmp_path, monkeypatch):
    right_one, another = library(tmp_path, "VERS_1.29.0"), library(tmp_path, "VERS_1.28.1")
    of_glibc = library(tmp_path, "VERS_1.29.0", "-lc")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "aars"))
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    header = aars.HEADER.format(api=29).encode()

    def archive(library):
        members = {"headers/onnxruntime_c_api.h": header, **aars.libraries("libother.so")}
        members["jni/arm64-v8a/libonnxruntime.so"] = library.read_bytes()
        aars.make_aar(tmp_path / "aars" / aars.RUNTIME, members)
        (part,) = brought_parts(ANDROID, is_bionic=True, asked=(ALONE,))
        return part.archives[0]

    right = archive(right_one)
    right.unpack()
    assert right.libraries[0].is_file()
    with pytest.raises(UsageError, match=r"libonnxruntime.so in it is version 1\.28\.1, its name"):
        archive(another).unpack()
    with pytest.raises(UsageError, match="made for glibc, not for Android"):
        archive(of_glibc).unpack()


def library(folder, version, *words):
    """A shared library for 64-bit Arm, with a function of that version; with ``-lc`` it needs one
    of glibc's."""
    (folder / "a.map").write_text(f"{version} {{ global: OrtGetApiBase; local: *; }};")
    body = "int abs(int); int OrtGetApiBase(int x) { return abs(x); }"
    (folder / "a.c").write_text(body if words else "int OrtGetApiBase(int x) { return x; }")
    triple = "aarch64-linux-gnu.2.28" if words else "aarch64-linux-musl"
    made = folder / f"lib{version}{len(words)}.so"
    compiler = [TOOLCHAINS / "bin" / "zig-cc", "-target", triple, "-shared", "-fPIC", "-nostdlib"]
    link = [f"-Wl,--version-script={folder / 'a.map'}", "-fno-builtin", *words, "-o", made]
    zig = plan_build(TARGET, BuildOptions()).share_of(f"worker_{ALONE}").toolchain
    environment = {k: v for k, v in zig.environment if "LAUNCHER" not in k and "CCACHE" not in k}
    run([*compiler, folder / "a.c", *link], environment)
    return made


@pytest.mark.skipif(not GIVEN_ARCHIVES, reason=f"{VARIABLE} names no archives, which a user brings")
def test_the_whole_workers_are_compiled_with_the_header_of_a_real_archive(tmp_path):
    part, environment = of_archives()
    folder = tmp_path / "b"
    own = [*part.options, "-DDX_ONNXRUNTIME_QNN_VERSION=2.6.0", "-DDX_QNN_RUNTIME_VERSION=2.50.0"]
    configure(folder, own, (ALONE, SEVERAL), environment)
    for runtime in (ALONE, SEVERAL):
        run(["cmake", "--build", folder, "--target", f"dx-worker-{runtime}"], environment)
        worker = folder / "bin" / f"dx-worker-{runtime}"
        found = check_executable(worker, machine=TARGET.elf_machine, static=False)
        assert not [name for name in found.needed if "onnxruntime" in name]
