"""Which compilers a build takes, and why."""

from __future__ import annotations

from dataclasses import dataclass

from deployx_edge.crossbuild.board_runtimes import board_runtimes
from deployx_edge.crossbuild.brought import BroughtPart, brought_parts
from deployx_edge.crossbuild.jetpack import find_jetpack, jetpack_of_glibc, jetpacks
from deployx_edge.crossbuild.ndk import configured_ndk, find_ndk
from deployx_edge.crossbuild.options import BuildOptions
from deployx_edge.crossbuild.sysroot import (
    OWN_ROOT,
    SYSROOT_FILE,
    Sysroot,
    check_sysroot,
    own_sysroot,
    read_sysroot,
)
from deployx_edge.crossbuild.toolchain import (
    Toolchain,
    gnu_toolchain,
    ndk_toolchain,
    zig_toolchain,
)
from deployx_edge.crossbuild.workers import AGENT, worker_part
from deployx_edge.errors import UsageError
from deployx_edge.target import Target
from deployx_edge.versions import numbers
from deployx_edge.worker_facts import worker_facts

KINDS = ("auto", "zig", "gnu", "ndk")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The compiler of each part of one build, mostly one and the same.

    ``kind`` is ``zig``, ``gnu`` or ``ndk``; ``reason`` says why; ``compilers`` are parts
    (``workers.AGENT``, ``worker_ncnn``) with what makes them; ``jetpack`` is the release
    whose glibc the workers are linked for, "" elsewhere; ``sysroot`` what they may link;
    ``brought`` what some of them take of what the user brings.
    """

    kind: str
    reason: str
    compilers: tuple[tuple[str, Toolchain], ...]
    jetpack: str = ""
    sysroot: Sysroot | None = None
    brought: tuple[BroughtPart, ...] = ()

    @property
    def agent(self) -> Toolchain:
        """The agent's compiler."""
        return dict(self.compilers)[AGENT]

    def worker(self, runtime: str) -> Toolchain:
        """The compiler of that runtime's worker; UsageError where the build has none."""
        compilers = dict(self.compilers)
        if worker_part(runtime) not in compilers:
            raise UsageError(
                f"This target has no worker for '{worker_facts(runtime).name}'.",
                remedy=f"It has {', '.join(self.runtimes)}.",
            )
        return compilers[worker_part(runtime)]

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Those whose workers the build has, in the target's order."""
        return tuple(p.removeprefix(worker_part("")) for p, _ in self.compilers if p != AGENT)

    def with_packages(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """Those of the parts that are compiled with packages of ours."""
        brought = {worker_part(part.runtime) for part in self.brought if part.archives}
        return tuple(part for part in parts if part not in brought)

    def text(self) -> str:
        """E.g. ``By zig: static, and nothing to install``."""
        return f"By {self.kind}: {self.reason}"

    def shares(self) -> tuple[tuple[Toolchain, tuple[str, ...]], ...]:
        """Each compiler with the parts that it makes, the agent's first."""
        toolchains = []
        for _, toolchain in self.compilers:
            if toolchain not in toolchains:
                toolchains.append(toolchain)
        return tuple(
            (one, tuple(part for part, toolchain in self.compilers if toolchain == one))
            for one in toolchains
        )


def select(target: Target, options: BuildOptions) -> Selection:
    """The compilers for that target and those options.

    UsageError where an option does not fit the target, MissingToolError where a compiler is
    not installed.
    """
    if options.toolchain not in KINDS:
        raise UsageError(
            f"There is no toolchain '{options.toolchain}'.", remedy=f"Known: {', '.join(KINDS)}."
        )
    if target.dynamic_workers:
        return _for_jetpack(target, options)
    sysroot = _sysroot_of(target, options)
    if options.jetpack or (options.sysroot is not None and sysroot is None):
        option = "--jetpack" if options.jetpack else "--sysroot"
        raise UsageError(
            f"{option} is for workers that load a board's own libraries; those of {target.id} "
            "load none.",
            remedy=f"Leave {option} out, or build for jetson.",
        )
    kind, reason = _kind(target, options.toolchain)
    parts = brought_parts(target, is_bionic=kind == "ndk", asked=options.runtimes)
    brought = tuple(part.runtime for part in parts)
    runtimes = board_runtimes(target, sysroot, None, options.runtimes, brought)
    if kind == "zig":
        compiler = zig_toolchain(target.agent_toolchain, objects=target.id)
        compilers = _by_zig(target, runtimes, compiler, compiler)
        return Selection(
            kind=kind, reason=reason, compilers=compilers, sysroot=sysroot, brought=parts
        )
    compiler = ndk_toolchain(find_ndk()) if kind == "ndk" else gnu_toolchain(target)
    names = (AGENT, *(worker_part(runtime) for runtime in runtimes))
    compilers = tuple((name, compiler) for name in names)
    return Selection(kind=kind, reason=reason, compilers=compilers, sysroot=sysroot, brought=parts)


def _sysroot_of(target: Target, options: BuildOptions) -> Sysroot | None:
    """What workers that need a board's own files are compiled with, on a target without JetPacks.

    None where no worker does, or nobody asked: such a build takes nothing of what happens to be
    installed on this computer.
    """
    boards = {name: worker_facts(name).board for name in target.runtimes}
    facts = [board for board in boards.values() if board is not None]
    asked = any(boards.get(name) is not None for name in options.runtimes)
    folder = options.sysroot or (OWN_ROOT if asked else None)
    if not facts or folder is None:
        return None
    if (folder / SYSROOT_FILE).exists():
        sysroot = read_sysroot(folder)
        check_sysroot(sysroot, target, None)
        return sysroot
    headers = [name for board in facts for name in (board.version_header, *board.headers)]
    return own_sysroot(folder, target, headers)


def _by_zig(
    target: Target, runtimes: tuple[str, ...], agent: Toolchain, workers: Toolchain
) -> tuple[tuple[str, Toolchain], ...]:
    """Static workers by ``workers``; those that load a library for the glibc that they may need.

    Where they may need different ones, all are linked for the oldest: they run with any newer one,
    and zig compiles its C++ library, which takes minutes, once.
    """
    compilers = [(AGENT, agent)]
    newest = {runtime: worker_facts(runtime).glibc for runtime in runtimes}
    glibc = min(filter(None, newest.values()), key=numbers, default="")
    for runtime in runtimes:
        loads = bool(newest[runtime]) and workers.static
        compilers.append(
            (
                worker_part(runtime),
                zig_toolchain(target.loading_toolchain, objects=target.id, glibc=glibc)
                if loads
                else workers,
            )
        )
    return tuple(compilers)


def _kind(target: Target, asked: str) -> tuple[str, str]:
    if asked == "ndk" and target.system != "android":
        raise UsageError(
            f"The NDK does not build for {target.id}.", remedy="Leave --toolchain out."
        )
    if asked != "auto":
        return asked, f"--toolchain {asked} asks for it"
    if target.system != "android":
        return "zig", "static, and nothing to install"
    configured = configured_ndk()
    if configured is None:
        return "zig", "static, as neither ANDROID_NDK_HOME nor deployx.toml names an NDK"
    return "ndk", f"{configured[1]} names it"


def _for_jetpack(target: Target, options: BuildOptions) -> Selection:
    if options.toolchain not in ("auto", "zig"):
        raise UsageError(
            f"{target.id} has no {options.toolchain} toolchain.", remedy="Leave --toolchain out."
        )
    sysroot = read_sysroot(options.sysroot) if options.sysroot is not None else None
    if options.jetpack:
        jetpack, because = find_jetpack(options.jetpack), "--jetpack asks for it"
    elif sysroot is not None and sysroot.glibc:
        jetpack, because = jetpack_of_glibc(sysroot.glibc), "the sysroot's"
    else:
        jetpack, because = next(iter(jetpacks().values())), "the oldest, which runs on all"
    if sysroot is not None:
        check_sysroot(sysroot, target, jetpack)
    runtimes = board_runtimes(target, sysroot, jetpack, options.runtimes)
    return Selection(
        kind="zig",
        reason=f"workers for glibc {jetpack.glibc}, JetPack {jetpack.id}'s: {because}",
        compilers=_by_zig(
            target,
            runtimes,
            zig_toolchain(target.agent_toolchain, objects=target.id),
            zig_toolchain(target.worker_toolchain, objects=target.id, glibc=jetpack.glibc),
        ),
        jetpack=jetpack.id,
        sysroot=sysroot,
    )
