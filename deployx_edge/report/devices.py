"""Devices and boards as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from deployx_edge.units import NOT_AVAILABLE, cores, size

if TYPE_CHECKING:
    from deployx_edge.device import Device
    from deployx_edge.measurement.values import DeviceIdentity


def devices_table(
    devices: Sequence[Device], told: Mapping[str, tuple[bool, str]] | None = None
) -> Table:
    """One row a device; ``told`` has for each name whether it answered, and what."""
    table = Table(title="Devices")
    for heading in ("", "name", "address", "target", "work folder", "found"):
        table.add_column(heading, overflow="fold")
    for device in devices:
        answered, found = (told or {}).get(device.name, (None, "not asked"))
        mark = "" if answered is None else Text(*("✓", "green") if answered else ("✗", "red"))
        table.add_row(
            mark,
            device.name,
            device.uri,
            device.target or "asked from the board",
            device.work_folder or "the link's default",
            found,
        )
    return table


def board_table(identity: DeviceIdentity) -> Table:
    """Everything that the agent says of one board and of itself."""
    board, agent = identity.board, identity.agent
    table = Table(show_header=False, title=f"{identity.name} ({identity.uri})")
    table.add_column(style="bold")
    table.add_column()
    rows = [
        ("target", identity.target_id),
        ("machine", board.machine),
        ("SoC", board.soc or NOT_AVAILABLE),
        ("CPU", board.cpu_model or NOT_AVAILABLE),
        ("cores", cores(board)),
        *(
            (
                f"cluster {cluster.name}",
                f"CPUs {', '.join(map(str, cluster.cpus))}"
                + (f", up to {cluster.max_mhz:g} MHz" if cluster.max_mhz else ""),
            )
            for cluster in board.clusters
        ),
        ("ISA features", " ".join(board.isa_features) or NOT_AVAILABLE),
        (
            "memory",
            f"{size(board.memory_bytes)}, {size(board.memory_available_bytes)} free"
            if board.memory_bytes
            else NOT_AVAILABLE,
        ),
        ("free disk", size(board.disk_free_bytes)),
        ("kernel", board.kernel),
        ("OS", board.os or NOT_AVAILABLE),
        ("libc", board.libc or NOT_AVAILABLE),
        *((f"temperature {r.name}", f"{r.value:.1f} °C") for r in board.conditions.temperatures),
        *((f"clock {r.name}", f"{r.value:.0f} MHz") for r in board.conditions.frequencies),
        ("governor", ", ".join(board.conditions.governors) or NOT_AVAILABLE),
        *((m.name, f"{m.value:.1f} {m.unit}") for m in board.conditions.measures),
        *(("set there", setting) for setting in board.conditions.settings),
        *identity.facts,
        ("agent", f"{agent.version}, {agent.compiler}, {agent.build_type}"),
    ]
    if board.emulated:
        rows.append(("emulated", board.emulated_reason or "yes"))
    for name, value in rows:
        table.add_row(name, value)
    return table
