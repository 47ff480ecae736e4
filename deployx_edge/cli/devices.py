"""``deployx-edge devices list|describe``."""

from __future__ import annotations

from typing import Annotated

import typer

from deployx_edge.cli.options import JsonOption, complete_device


def list_devices(json: JsonOption = False) -> None:
    """List the devices of deployx.toml, this computer, and the virtual ones.

    Example: deployx-edge devices list
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.report.devices import devices_table
    from deployx_edge.workflows.devices import known_devices

    devices = known_devices()
    if json:
        print_json({"kind": "devices", "devices": [_plain(asdict(d)) for d in devices]})
    else:
        print_report(devices_table(devices))


def describe(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME|URI", help="As for --device.", autocompletion=complete_device),
    ],
    json: JsonOption = False,
) -> None:
    """Ask a board what it is: processor, features, memory, sensors, agent.

    Example: deployx-edge devices describe virtual:linux-arm64
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.config import load_config
    from deployx_edge.report.devices import board_table
    from deployx_edge.workflows.session import open_session

    chosen = load_config().find_device(name)
    with show_progress() as progress, open_session(chosen, progress=progress) as session:
        identity = session.identity
    if json:
        print_json({"kind": "device", **asdict(identity)})
    else:
        print_report(board_table(identity))


def _plain(device: dict[str, object]) -> dict[str, object]:
    options = device.pop("options")
    assert isinstance(options, dict)
    return {**device, **{k: str(v) if k == "ssh_config" and v else v for k, v in options.items()}}
