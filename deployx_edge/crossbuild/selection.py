"""Which compilers a build takes, and why."""

from __future__ import annotations

from dataclasses import dataclass

from deployx_edge.crossbuild.jetpack import find_jetpack, jetpack_of_glibc, jetpacks
from deployx_edge.crossbuild.ndk import configured_ndk, find_ndk
from deployx_edge.crossbuild.options import PARTS, BuildOptions
from deployx_edge.crossbuild.sysroot import Sysroot, check_sysroot, read_sysroot
from deployx_edge.crossbuild.toolchain import (
    Toolchain,
    gnu_toolchain,
    ndk_toolchain,
    zig_toolchain,
)
from deployx_edge.errors import UsageError
from deployx_edge.target import Target

KINDS = ("auto", "zig", "gnu", "ndk")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The compilers of one build, the agent's and the workers', mostly one and the same.

    ``kind`` is ``zig``, ``gnu`` or ``ndk``; ``reason`` says why; ``jetpack`` is the release
    whose glibc the workers are linked for, "" elsewhere; ``sysroot`` what they may link.
    """

    kind: str
    reason: str
    agent: Toolchain
    workers: Toolchain
    jetpack: str = ""
    sysroot: Sysroot | None = None

    def text(self) -> str:
        """E.g. ``By zig: static, and nothing to install``."""
        return f"By {self.kind}: {self.reason}"

    def shares(self) -> tuple[tuple[Toolchain, tuple[str, ...]], ...]:
        """Each compiler with the parts that it makes."""
        if self.agent == self.workers:
            return ((self.agent, PARTS),)
        agent = tuple(part for part in PARTS if part == "agent")
        return (self.agent, agent), (self.workers, tuple(p for p in PARTS if p not in agent))


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
    if options.jetpack or options.sysroot is not None:
        option = "--jetpack" if options.jetpack else "--sysroot"
        raise UsageError(
            f"{option} is for workers that load a board's own libraries; those of {target.id} "
            "load none.",
            remedy=f"Leave {option} out, or build for jetson.",
        )
    kind, reason = _kind(target, options.toolchain)
    if kind == "ndk":
        compiler = ndk_toolchain(find_ndk())
    elif kind == "gnu":
        compiler = gnu_toolchain(target)
    else:
        compiler = zig_toolchain(target.agent_toolchain, objects=target.id)
    return Selection(kind=kind, reason=reason, agent=compiler, workers=compiler)


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
        check_sysroot(sysroot, target, jetpack.glibc)
    return Selection(
        kind="zig",
        reason=f"workers for glibc {jetpack.glibc}, JetPack {jetpack.id}'s: {because}",
        agent=zig_toolchain(target.agent_toolchain, objects=target.id),
        workers=zig_toolchain(target.worker_toolchain, objects=target.id, glibc=jetpack.glibc),
        jetpack=jetpack.id,
        sysroot=sysroot,
    )
