"""The workers whose makers' libraries are stood in for, for 64-bit Arm: all of it under qemu."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from deployx_edge import process
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.plan import plan_build
from deployx_edge.transport.virtual.libraries import library_words
from deployx_edge.worker_facts import worker_names
from deployx_edge.workflows.locking import locked
from tests.integration.agent.session import Binaries
from tests.integration.agent.stand_in import ALL, StandIn
from tests.integration.busybox import board_folder
from tests.integration.crossbuild.compiling import built, run
from tests.integration.npu_board import SOURCES, TARGET

_DOCTEST = Path("/usr/lib/cmake/doctest")


def arm_rows() -> dict[str, StandIn]:
    """The rows of ``ALL`` with workers and libraries for Arm, compiled once for these sources."""
    built(TARGET.id)
    if not _DOCTEST.is_dir():
        pytest.skip("the tests' C++ needs doctest-dev")
    share = plan_build(TARGET, BuildOptions()).share_of("worker_onnxruntime")
    if not share.packages_folder.is_dir():
        pytest.skip(f"{TARGET.id} was not built from this checkout")
    folder = board_folder() / f"stand-ins-{hashlib.sha256(str(SOURCES).encode()).hexdigest()[:8]}"
    environment = dict(share.toolchain.environment)
    words = list(share.compile[1].argv)
    words[words.index("-S") + 1], words[words.index("-B") + 1] = str(SOURCES), str(folder)
    taken = {"onnxruntime", *(row.name for row in ALL)}
    switches = [
        f"-DDX_BUILD_WORKER_{name.upper()}={'ON' if name in taken else 'OFF'}"
        for name in worker_names()
    ]
    targets = [f"dx-worker-{row.name}" for row in ALL]
    targets += [f"dx-stand-in-{name}" for row in ALL for name in row.libraries]
    with locked(folder.with_suffix(".lock")):
        if not (folder / "build.ninja").is_file():
            # Of the ops that the build links to, which lie beside the sources.
            own = ["-DDX_BUILD_TESTS=ON", f"-Ddoctest_DIR={_DOCTEST}", *switches]
            run([*words, *own, f"-DDX_OPERATORS={SOURCES.parent / 'ops'}"], environment)
        run(["cmake", "--build", folder, "-j2", "--target", *targets], environment)
    return {row.name: replace(row, folder=folder) for row in ALL}


def emulator() -> tuple[str, ...]:
    """What starts a program of the board, as for ``virtual:`` devices."""
    qemu = process.find_program(TARGET.qemu)
    if qemu is None:
        pytest.skip(f"{TARGET.qemu} is not installed")
    cpu = TARGET.qemu_cpu
    return (str(qemu), *library_words(TARGET, str(qemu), cpu), "-cpu", cpu)


def emulated_agent(folder: Path, row: StandIn) -> Binaries:
    """The board's own agent, by a script that starts it under qemu; and a worker."""
    script = folder / "agent"
    agent = built(TARGET.id).agent
    script.write_text(f'#!/bin/sh\nexec {" ".join(emulator())} "{agent}" "$@"\n')
    script.chmod(0o755)
    return Binaries(agent=script, worker=row.folder / "bin" / f"dx-worker-{row.name}")
