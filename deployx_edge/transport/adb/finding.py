"""From an ``adb:`` address to one device that is ready, or to what keeps it from that."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Sequence

from deployx_edge.errors import AuthenticationError, TransportError
from deployx_edge.transport.adb.server import ADB_FAILURES, ADB_TIMEOUTS, AdbServer, KnownDevice

_READY = "device"
# States that pass by themselves once a device was plugged in or connected.
_PASSING = ("authorizing", "connecting")
_WIRELESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:]+):\d{1,5}")
_TICK_SECONDS = 0.1

_REMEDIES = {
    "offline": (
        "Wake it and plug it in again (wireless: adb disconnect, then connect); where that does "
        "not help: adb reconnect offline"
    ),
    "no permissions": (
        "Let your user open it: apt-get install android-sdk-platform-tools-common (udev rules), "
        "add the user to the group plugdev, log in again, plug it in again, adb kill-server"
    ),
    "bootloader": "Let it start Android: fastboot reboot",
    "recovery": "Let it start Android: adb reboot",
    "rescue": "Let it start Android: adb reboot",
    "sideload": "Let it start Android: adb reboot",
}


def find_ready(server: AdbServer, serial: str, seconds: float) -> KnownDevice:
    """The device of that serial, "" for the only one there is; waits where its state passes.

    A serial with a port is connected to first. AuthenticationError where the device has not
    accepted this computer, TransportError for every other reason.
    """
    deadline = time.monotonic() + seconds
    wireless = _WIRELESS.fullmatch(serial) is not None
    if wireless:
        _connect(server, serial)
    # What was just connected to is offline until it has greeted.
    passing = (*_PASSING, "offline") if wireless else _PASSING
    while True:
        devices = server.devices()
        in_time = time.monotonic() < deadline
        if wireless and in_time and serial not in {device.serial for device in devices}:
            # It was listed by a connection that was about to end, as after a reboot.
            _connect(server, serial)
        else:
            device = _named(devices, serial)
            if device.state == _READY:
                return device
            if device.state not in passing or not in_time:
                raise not_ready(device)
        time.sleep(_TICK_SECONDS)


def _connect(server: AdbServer, serial: str) -> None:
    """``adb connect``, with a fresh connection where the server holds a dead one."""
    held = {device.serial: device.state for device in server.devices()}.get(serial)
    if held == _READY or held in _PASSING or held == "unauthorized":
        return
    try:
        if held is not None:
            server.ask(f"host:disconnect:{serial}")
        said = server.ask(f"host:connect:{serial}")
    except ADB_TIMEOUTS as error:
        raise _no_connection(serial, "it did not answer in time") from error
    except ADB_FAILURES as error:
        raise _no_connection(serial, str(error)) from error
    if said.startswith("failed to authenticate"):
        return  # The list says unauthorized, and that is explained there.
    if not said.startswith(("connected to", "already connected to")):
        raise _no_connection(serial, said.strip())


def _no_connection(serial: str, reason: str) -> TransportError:
    return TransportError(
        f"The adb server cannot connect to {serial}: {reason}.",
        remedy="Check the address, that the device is on the network, and that wireless "
        "debugging is on (or: adb tcpip 5555 over USB).",
    )


def _named(devices: Sequence[KnownDevice], serial: str) -> KnownDevice:
    serials = [device.serial for device in devices]
    if serial:
        for device in devices:
            if device.serial == serial:
                return device
        near = difflib.get_close_matches(serial, serials, n=3, cutoff=0.4)
        if near:
            remedy = f"Did you mean {' or '.join(f'adb:{name}' for name in near)}?"
        else:
            remedy = f"There is: {_listed(devices)}." if devices else _plug_in()
        raise TransportError(f"The adb server knows no device '{serial}'.", remedy=remedy)
    if not devices:
        raise TransportError("The adb server knows no device.", remedy=_plug_in())
    if len(devices) > 1:
        raise TransportError(
            f"adb: means the only device, and there are {len(devices)}: {_listed(devices)}.",
            remedy=f"Name one: adb:{serials[0]}",
        )
    return devices[0]


def _listed(devices: Sequence[KnownDevice]) -> str:
    return ", ".join(
        device.serial if device.state == _READY else f"{device.serial} ({device.state})"
        for device in devices
    )


def _plug_in() -> str:
    return (
        "Plug it in, switch USB debugging on in its developer options, and see: adb devices. "
        "Over a network: adb:HOST:PORT"
    )


def not_ready(device: KnownDevice) -> TransportError:
    """The error for a device that is there in another state than ``device``."""
    if device.state in ("unauthorized", "authorizing"):
        return AuthenticationError(
            f"The device {device.serial} has not accepted this computer's adb key "
            f"({device.state}).",
            remedy="Unlock it and confirm its question ('Always allow from this computer'). Where "
            "it asks nothing: revoke USB debugging authorizations in its developer options, and "
            "plug it in again.",
        )
    for state, remedy in _REMEDIES.items():
        if device.state.startswith(state):
            return TransportError(f"The device {device.serial} is {device.state}.", remedy=remedy)
    return TransportError(
        f"The device {device.serial} is in the state '{device.state}', expected '{_READY}'.",
        remedy="See: adb devices -l",
    )
