"""``deployx-edge devices …``: which boards there are, what they are, and who has them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployx_edge.cli.options import (
    InputShapeOption,
    JsonOption,
    RuntimeNameOption,
    complete_device,
)

if TYPE_CHECKING:
    from deployx_edge.device import Device

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME|URI",
        help="The device: a name in deployx.toml, or an address as for --device.",
        autocompletion=complete_device,
    ),
]


def list_devices(
    json: JsonOption = False,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Ask each whether it is there.")
    ] = True,
) -> None:
    """List the devices of deployx.toml, this computer, and the virtual ones: who answers?

    All are asked at once, for three seconds at most.

    Example: deployx-edge devices list
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report
    from deployx_edge.report.devices import devices_table
    from deployx_edge.workflows.boards.devices import known_devices
    from deployx_edge.workflows.boards.registry import presences

    devices = known_devices()
    states = {p.device.name: p for p in presences(devices)} if probe else {}
    if json:
        rows = []
        for device in devices:
            state = states.get(device.name)
            answer = {"reachable": state.reachable, "found": state.found} if state else {}
            rows.append({**_plain(asdict(device)), **answer})
        print_json({"kind": "devices", "devices": rows})
    else:
        told = {name: (state.reachable, state.found) for name, state in states.items()}
        print_report(devices_table(devices, told))


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the device.")],
    uri: Annotated[
        str,
        typer.Argument(
            metavar="URI", help="The address: ssh:user@host[:port], adb:SERIAL and so on."
        ),
    ],
    target: Annotated[
        str | None,
        typer.Option(
            "--target", help="The target, if it is not the one that the board's own answer gives."
        ),
    ] = None,
    work_folder: Annotated[
        str | None,
        typer.Option(
            "--work-folder", metavar="PATH", help="The folder on the board for what is ours."
        ),
    ] = None,
    project: Annotated[
        bool, typer.Option("--project", help="Write to the project's deployx.toml, not the user's.")
    ] = False,
    probe: Annotated[
        bool, typer.Option("--probe/--no-probe", help="Ask the board what it is.")
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a device of that name.")
    ] = False,
) -> None:
    """Give a board a name: it is asked what it is, and written into deployx.toml.

    Example: deployx-edge devices add pi ssh:pi@192.0.2.7
    """
    from deployx_edge.cli.console import print_report
    from deployx_edge.workflows.boards.registry import add_device

    device, file = add_device(
        name,
        uri,
        target=target,
        work_folder=work_folder,
        project=project,
        probe=probe,
        replace_it=replace,
    )
    what = device.target or "asked at each use"
    print_report(f"{name} is {uri} ({what}), written into {file}")


def remove(name: NameArgument) -> None:
    """Forget a device's name. Nothing on the board is touched.

    Example: deployx-edge devices remove pi
    """
    from deployx_edge.cli.console import print_report
    from deployx_edge.workflows.boards.registry import remove_device

    print_report(f"{name} is no longer in {remove_device(name)}")


def describe(name: NameArgument, json: JsonOption = False) -> None:
    """Ask a board what it is: processor, features, memory, sensors, agent.

    Example: deployx-edge devices describe virtual:linux-arm64
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.report.devices import board_table
    from deployx_edge.workflows.boards.session import open_session

    with (
        show_progress() as progress,
        open_session(_find(name), purpose="describe", progress=progress) as session,
    ):
        identity = session.identity
    if json:
        print_json({"kind": "device", **asdict(identity)})
    else:
        print_report(board_table(identity))


def doctor(
    name: NameArgument,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model", metavar="MODEL", help="Check too whether the board can run this bundle."
        ),
    ] = None,
    input_shape: InputShapeOption = None,
    runtime: RuntimeNameOption = None,
    json: JsonOption = False,
) -> None:
    """Look at each thing that a run on this board will need, and say how to get it.

    Exit code 37 when something is missing without which nothing works.

    Example: deployx-edge devices doctor pi --model model.onnx
    """
    from dataclasses import asdict

    from deployx_edge.cli.console import print_json, print_report, show_progress
    from deployx_edge.errors import UnfitDeviceError
    from deployx_edge.report.doctor import doctor_table
    from deployx_edge.workflows.boards.board_doctor import examine_board
    from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle

    device = _find(name)
    with show_progress() as progress:
        bundle = None
        if model is not None:
            wanted = BundleOptions(runtime=runtime, input_shapes=tuple(input_shape or ()))
            bundle = make_bundle(model, options=wanted, progress=progress)
        checks = examine_board(device, bundle, progress=progress)
    if json:
        print_json({"kind": "device-doctor", "device": name, "checks": [asdict(c) for c in checks]})
    else:
        print_report(doctor_table(checks))
    if any(check.needed and not check.present for check in checks):
        raise typer.Exit(UnfitDeviceError.exit_code)


def release(
    name: NameArgument,
    force: Annotated[
        bool, typer.Option("--force", help="End a run too that is not yours: its agent is stopped.")
    ] = False,
) -> None:
    """Take a board from the run that has it.

    Example: deployx-edge devices release pi --force
    """
    from deployx_edge.cli.console import print_report
    from deployx_edge.workflows.boards.lease import release as release_workflow

    ended = release_workflow(_find(name), force=force)
    print_report(f"Ended {ended.since} on {name}" if ended else f"{name} is free")


def clean(
    name: NameArgument,
    force: Annotated[bool, typer.Option("--force", help="End the run that has the board.")] = False,
) -> None:
    """Remove everything of ours from a board.

    Example: deployx-edge devices clean pi
    """
    from deployx_edge.cli.console import print_report
    from deployx_edge.workflows.boards.clean import clean_device

    print_report(f"Removed {clean_device(_find(name), force=force)} on {name}")


def _find(name: str) -> Device:
    from deployx_edge.config import load_config

    return load_config().find_device(name)


def _plain(device: dict[str, object]) -> dict[str, object]:
    options = device.pop("options")
    assert isinstance(options, dict)
    return {**device, **{k: str(v) if k == "ssh_config" and v else v for k, v in options.items()}}
