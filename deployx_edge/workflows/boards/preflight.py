"""Before a model goes to a board: do bundle, build and board fit each other?

What the board says of itself is asked by the agent, the only thing that is there by then.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from deployx_edge.bundle import Bundle
from deployx_edge.crossbuild.finished import Build, BuiltFile
from deployx_edge.errors import BuildError, MissingToolError, UnfitDeviceError, UsageError
from deployx_edge.measurement.values import BoardDescription
from deployx_edge.operator_facts import all_operators
from deployx_edge.resources import host_target_id
from deployx_edge.target import Target, find_target, targets
from deployx_edge.transport.adb.android import AndroidFacts
from deployx_edge.transport.virtual.libraries import LIBRARIES_REMEDY, missing_libraries
from deployx_edge.units import size
from deployx_edge.worker_facts import worker_facts, worker_names
from deployx_edge.workflows.boards.chips import files_for_board, prepared_misfit, soc_misfit

_GLIBC = re.compile(r"glibc ([0-9]{1,4})\.([0-9]{1,4})", re.IGNORECASE)
_NEEDED_LEVEL = re.compile(r"API level (\d+)")
_NEEDED_GLIBC = re.compile(r"GLIBC_(\d+)\.(\d+)")


def check_fit(board: BoardDescription, build: Build, bundle: Bundle, *, device: str) -> None:
    """UnfitDeviceError, with both sides named, where the board cannot run the bundle.

    UsageError where the target has no worker for the bundle's runtime, BuildError where the build
    has none, or one that lacks an operator of ours or is older than what the bundle holds prepared.
    What the board does not tell (an emulated one has no memory of its own) is not held against it.
    """
    _check_runtime(find_target(build.target_id), build, bundle, device)
    _check_operators(build, bundle, device)
    if older := prepared_misfit(build, bundle):
        raise BuildError(f"{_cannot(bundle.name, device)} {older[0]}.", remedy=older[1])
    files = build.of_worker(bundle.runtime)
    misfits = (libc_misfit(board, file) for file in files)
    complaint = soc_misfit(board, bundle) or next(filter(None, misfits), None)
    complaint = complaint or _memory_misfit(board, bundle)
    if complaint:
        raise UnfitDeviceError(
            f"{_cannot(bundle.name, device)} {complaint[0]}.", remedy=complaint[1]
        )


def _check_runtime(target: Target, build: Build, bundle: Bundle, device: str) -> None:
    if bundle.runtime in target.runtimes:
        _check_built(build, bundle, device)
        return
    having = [other.id for other in targets().values() if bundle.runtime in other.runtimes]
    raise UsageError(
        f"{_cannot(bundle.name, device)} boards of {target.id} have "
        f"{', '.join(target.runtimes)}, not {bundle.runtime}.",
        remedy=f"Convert it with --runtime {target.runtimes[0]}."
        + (f" {bundle.runtime} runs on {', '.join(having)}." if having else ""),
    )


def _check_built(build: Build, bundle: Bundle, device: str) -> None:
    built = any(file.runtime == bundle.runtime for file in build.files)
    facts = worker_facts(bundle.runtime)
    if built or not facts.is_optional_for(build.target_id):
        return
    if facts.is_brought_for(build.target_id):
        raise BuildError(
            f"{_cannot(bundle.name, device)} this build of {build.target_id} has no worker "
            f"for {bundle.runtime}, which is compiled with what you bring: an SDK, or archives.",
            remedy=f"Run 'deployx-edge build --target {build.target_id} --runtime "
            f"{bundle.runtime}', which says what it takes.",
        )
    is_like_here = build.target_id == host_target_id()
    raise BuildError(
        f"{_cannot(bundle.name, device)} this build of {build.target_id} has no worker for "
        f"{bundle.runtime}, which is compiled with a board's own headers.",
        remedy=f"Run 'deployx-edge sysroot pull --device {device} -o DIR', then 'deployx-edge "
        f"build --target {build.target_id} --sysroot DIR --runtime {bundle.runtime}'"
        + (" (without --sysroot it takes what this computer has)." if is_like_here else "."),
    )


def _cannot(what: str, device: str) -> str:
    """Begins the sentence; a URI may end in a colon itself."""
    return f"{what} cannot run on {device.removesuffix(':')}:"


def _check_operators(build: Build, bundle: Bundle, device: str) -> None:
    missing = sorted(set(bundle.operators) - set(build.operators(bundle.runtime)))
    if not missing:
        return
    unknown = [name for name in missing if name not in all_operators()]
    raise BuildError(
        f"{_cannot(bundle.name, device)} the worker for {bundle.runtime} in the build of "
        f"{build.target_id} has no operator {', '.join(missing)}.",
        remedy=f"Bring the folder {unknown[0]} of whoever made the bundle into a folder that [ops] "
        "folders in deployx.toml names, then build."
        if unknown
        else f"Run 'deployx-edge build --target {build.target_id}'.",
    )


def check_emulation(
    launcher: Sequence[str], target: Target, build: Build, bundle: Bundle, *, device: str
) -> None:
    """MissingToolError where a dynamic worker would run under our qemu without its libraries.

    UnfitDeviceError where it computes on a processor that qemu does not have.
    """
    facts = worker_facts(bundle.runtime)
    processor = facts.processor(target.machines[0]) if launcher else ""
    if processor:
        emulators = ", ".join(what for _, what in facts.emulators)
        raise UnfitDeviceError(
            f"{_cannot(bundle.name, device)} an emulated board has no {processor}.",
            remedy=f"Take a board with one, or --device local: where there is {emulators}."
            if emulators
            else "Take a board with one.",
        )
    missing = missing_for(target, build, bundle.runtime) if launcher else ()
    if missing:
        raise MissingToolError(
            f"{_cannot(bundle.name, device)} its worker needs {', '.join(missing)} "
            f"in {target.qemu_libraries}/lib.",
            remedy=f"Install it with: {LIBRARIES_REMEDY}",
        )


def missing_for(target: Target, build: Build, runtime: str) -> tuple[str, ...]:
    """The libraries that emulated programs of the target lack for that runtime's worker."""
    if not target.qemu_libraries:
        return ()
    files = build.of_worker(runtime)
    needed = {name for file in files for name in file.needed} - {file.name for file in files}
    return missing_libraries(target, sorted(needed))


def check_system(facts: AndroidFacts | None, build: Build, *, device: str) -> None:
    """UnfitDeviceError where the phone's Android is older than what its build needs.

    Before even the agent goes there, which would not start. A phone that tells no level is
    given the chance.
    """
    level = facts.api_level if facts else None
    for file in build.files:
        needed = _NEEDED_LEVEL.search(file.libc)
        if needed and level is not None and level < int(needed[1]):
            raise UnfitDeviceError(
                f"{_cannot(f'The build of {build.target_id}', device)} {file.name} needs "
                f"API level {needed[1]}, the phone has {level}.",
                remedy="Set api under [toolchains.android] in deployx.toml and build again, or "
                f"build statically: deployx-edge build --target {build.target_id} "
                "--toolchain zig.",
            )


def libc_misfit(board: BoardDescription, file: BuiltFile) -> tuple[str, str] | None:
    """What keeps the board's C library from loading a file of a build, and what to do, or None."""
    needed = _NEEDED_GLIBC.search(file.libc)
    if needed is None or board.emulated:
        return None
    there = _GLIBC.search(board.libc)
    if there is None:
        return (
            f"{file.name} needs glibc {needed[1]}.{needed[2]}, the board has {board.libc}",
            _libc_remedy(
                file, "Build it statically: deployx-edge build --target … --toolchain zig."
            ),
        )
    if (int(there[1]), int(there[2])) < (int(needed[1]), int(needed[2])):
        return (
            f"{file.name} needs glibc {needed[1]}.{needed[2]}, the board has {there[1]}.{there[2]}",
            _libc_remedy(file, "Build for that version, or statically with zig."),
        )
    return None


def _libc_remedy(file: BuiltFile, otherwise: str) -> str:
    """A runtime that comes as a shared library cannot be built statically."""
    if not file.runtime or not worker_facts(file.runtime).glibc:
        return otherwise
    static = ", ".join(name for name in worker_names() if not worker_facts(name).glibc)
    return (
        f"{file.runtime} comes as a shared library for that glibc: take a board with a newer "
        f"system, or convert the model for a runtime that needs none (--runtime: {static})."
    )


def _memory_misfit(board: BoardDescription, bundle: Bundle) -> tuple[str, str] | None:
    """Weights alone that are larger than the board's memory."""
    weights = sum(file.size for file in files_for_board(bundle))
    if board.memory_bytes is None or weights <= board.memory_bytes:
        return None
    return (
        f"its files hold {size(weights)}, the board has {size(board.memory_bytes)} of memory",
        "Quantize the model, or take a smaller one.",
    )
