"""Whether a board is of the target that was built for."""

from __future__ import annotations

from deployx_edge.errors import ArchitectureError
from deployx_edge.target import Target, find_target, target_of_machine
from deployx_edge.transport.protocol import Transport


def check_machine(transport: Transport, target: Target) -> None:
    """ArchitectureError unless the board's ``uname -m`` is one of the target's machines."""
    machine = transport.machine()
    if machine in target.machines:
        return
    fitting = target_of_machine(machine, transport.system())
    raise ArchitectureError(
        f"uname -m says {machine} on {transport.uri}, the target {target.id} wants "
        f"{' or '.join(target.machines)}.",
        remedy=(
            f"Give the device target = {fitting.id!r} in deployx.toml, or another address."
            if fitting
            else "No target here fits this board."
        ),
    )


def checked_target(transport: Transport, target_id: str | None) -> Target:
    """The target that was named, held against the board; without one, the board's own."""
    if target_id is None:
        return target_of_board(transport)
    target = find_target(target_id)
    check_machine(transport, target)
    return target


def target_of_board(transport: Transport) -> Target:
    """The target whose binaries the board runs; ArchitectureError where there is none.

    A virtual board's address says it; other boards are asked for their machine.
    """
    scheme, _, rest = transport.uri.partition(":")
    if scheme == "virtual":
        return find_target(rest.partition("?")[0])
    machine = transport.machine()
    target = target_of_machine(machine, transport.system())
    if target is None:
        raise ArchitectureError(
            f"uname -m says {machine} on {transport.uri}, which no target here is for.",
            remedy="deployx-edge targets lists them.",
        )
    return target
