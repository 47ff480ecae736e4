"""Builds, targets, archives and plans, for people and for programs."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from deployx_edge.crossbuild.finished import Build, to_document
from deployx_edge.target import Target
from deployx_edge.units import size

if TYPE_CHECKING:
    from deployx_edge.crossbuild.sources import Archive
    from deployx_edge.workflows.build.build import Explanation


def runtime_document(build: Build) -> dict[str, Any]:
    """``build.json`` and where it lies."""
    return {"kind": "runtime", "folder": str(build.folder), **to_document(build)}


def runtime_table(build: Build) -> Table:
    """One row an executable."""
    origin = "imported; made by" if build.imported else "by"
    table = Table(
        title=f"{build.target_id}, {origin} {build.compiler}",
        caption=f"{build.toolchain}: {build.reason}\n{build.folder}",
    )
    for heading in ("file", "size", "libc", "sha256"):
        table.add_column(heading, justify="right" if heading == "size" else "left")
    for file in build.files:
        table.add_row(file.name, size(file.size_bytes), file.libc, file.sha256[:16])
    return table


def targets_document(rows: Iterable[tuple[Target, Build | None]]) -> dict[str, Any]:
    """Each target with its build, null where there is none."""
    return {
        "kind": "targets",
        "targets": [
            {
                "id": target.id,
                "description": target.description,
                "machines": target.machines,
                "libc": target.libc,
                "worker_libc": target.worker_libc,
                "build": None if runtime is None else runtime_document(runtime),
            }
            for target, runtime in rows
        ],
    }


def targets_table(rows: Iterable[tuple[Target, Build | None]]) -> Table:
    """One row a target."""
    table = Table(title="targets")
    for heading in ("id", "what it is", "libc", "built"):
        table.add_column(heading, overflow="fold")
    for target, runtime in rows:
        built = "no" if runtime is None else f"{runtime.version}, {runtime.compiler}"
        libc = (
            f"{target.libc}, workers {target.worker_libc}"
            if target.dynamic_workers
            else target.libc
        )
        table.add_row(", ".join((target.id, *target.aliases)), target.description, libc, built)
    return table


def sources_document(archives: Sequence[Archive]) -> dict[str, Any]:
    """Each archive and whether it is here."""
    from deployx_edge.crossbuild.sources import source_cache

    return {
        "kind": "sources",
        "cache": str(source_cache()),
        "archives": [
            {
                "filename": archive.filename,
                "sha256": archive.sha256,
                "urls": archive.urls,
                "packages": archive.packages,
                "present": archive.present,
            }
            for archive in archives
        ],
    }


def sources_table(archives: Sequence[Archive]) -> Table:
    """One row an archive."""
    from deployx_edge.crossbuild.sources import source_cache

    table = Table(title="source archives", caption=str(source_cache()))
    for heading in ("", "archive", "for", "sha256"):
        table.add_column(heading, no_wrap=heading == "sha256", overflow="fold")
    for archive in archives:
        mark = ("✓", "green") if archive.present else ("–", "yellow")
        table.add_row(Text(*mark), archive.filename, ", ".join(archive.packages), archive.sha256)
    return table


def plan_document(plan: Explanation) -> dict[str, Any]:
    """What ``--explain`` says."""
    return {
        "kind": "plan",
        "toolchain": plan.toolchain,
        "fetch": [archive.filename for archive in plan.archives],
        "commands": [
            {
                "title": command.title,
                "argv": command.argv,
                "environment": dict(command.environment),
            }
            for command in plan.commands
        ],
    }


def plan_text(plan: Explanation) -> str:
    """Lines that can be pasted into a shell, with their purpose above each."""
    from deployx_edge.process import format_command

    lines = [f"# {plan.toolchain}"]
    if not plan.archives and not plan.commands:
        lines.append("# Everything is up to date: nothing would run.")
    if plan.archives:
        lines += [
            f"# Source archives: {', '.join(archive.filename for archive in plan.archives)}",
            "deployx-edge sources fetch",
        ]
    exported: dict[str, str] = {}
    for command in plan.commands:
        lines.append(f"# {command.title}")
        for name, value in command.environment:
            if exported.get(name) != value:
                exported[name] = value
                lines.append(f"export {name}={shlex.quote(value)}")
        lines.append(format_command(command.argv))
    return "\n".join(lines)
