"""Workers that are compiled with an SDK of the user's, by the compiler and options of a build.

The headers are their maker's. Those that stand in for them are in their places here, and one file
is compiled as every build for linux-arm64 would; the whole worker where an SDK is configured.
"""

from __future__ import annotations

import pytest

from deployx_edge.crossbuild.elf import check_executable
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.crossbuild.selection import select
from deployx_edge.qairt import VARIABLES, configured_sdk
from deployx_edge.resources import data_folder
from deployx_edge.target import find_target
from deployx_edge.worker_facts import worker_names
from tests.integration.crossbuild.compiling import TOOLCHAINS, built, cmake_commands, run
from tests.unit.crossbuild.test_sdk_runtimes import RUNTIME, fill_sdk

TARGET = find_target("linux-arm64")
GIVEN = configured_sdk() is not None


def configured(folder):
    """A build folder for that worker alone, configured as a build is, and its environment."""
    built(TARGET.id)
    plan = plan_build(TARGET, BuildOptions(runtimes=(RUNTIME,)))
    share = plan.share_of(f"worker_{RUNTIME}")
    own = [word for word in share.compile[1].argv if word.startswith(f"-DDX_{RUNTIME.upper()}_")]
    assert len(own) == 2
    environment = dict(share.toolchain.environment)
    source = data_folder("device_agent")
    configure, _ = cmake_commands(source, folder, TOOLCHAINS / f"{TARGET.loading_toolchain}.cmake")
    others = [f"-DDX_BUILD_WORKER_{n.upper()}=OFF" for n in worker_names() if n != RUNTIME]
    run([*configure, *own, "-DDX_BUILD_AGENT=OFF", *others], environment)
    return folder, environment


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
