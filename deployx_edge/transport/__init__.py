"""Links to boards: one address, one ``Transport``.

local:                          this computer
virtual:TARGET[?cpu=NAME]       a target's binaries under qemu-user
ssh:[user@]host[:port]          a board on the network
adb:[SERIAL]                    an Android device behind an adb server
labgrid:PLACE[@HOST[:PORT]]     a board that a labgrid coordinator lends
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

# The processes of virtual boards, which lie in this package too, start without all of this.
if TYPE_CHECKING:
    from deployx_edge.device import Device, LinkOptions
    from deployx_edge.transport.protocol import Transport


def _open_local(uri: str, work_folder: str | None, options: LinkOptions) -> Transport:
    from deployx_edge.errors import UsageError
    from deployx_edge.resources import cache_folder
    from deployx_edge.transport.local.folders import local_work_folder
    from deployx_edge.transport.local.transport import LocalTransport

    if uri != "local:":
        raise UsageError(f"'{uri}' is not understood.", remedy="Write local: with nothing after.")
    folder = local_work_folder(work_folder, cache_folder() / "local")
    return LocalTransport(uri, work_folder=folder, options=options)


def _open_virtual(uri: str, work_folder: str | None, options: LinkOptions) -> Transport:
    from deployx_edge.transport.virtual.transport import open_virtual

    return open_virtual(uri, work_folder, options)


def _open_ssh(uri: str, work_folder: str | None, options: LinkOptions) -> Transport:
    from deployx_edge.transport.ssh.transport import open_ssh

    return open_ssh(uri, work_folder, options)


def _open_adb(uri: str, work_folder: str | None, options: LinkOptions) -> Transport:
    from deployx_edge.transport.adb.transport import open_adb

    return open_adb(uri, work_folder, options)


def _open_labgrid(uri: str, work_folder: str | None, options: LinkOptions) -> Transport:
    from deployx_edge.transport.labgrid.transport import open_labgrid

    return open_labgrid(uri, work_folder, options)


_OPENERS: dict[str, Callable[[str, str | None, LinkOptions], Transport]] = {
    "local": _open_local,
    "virtual": _open_virtual,
    "ssh": _open_ssh,
    "adb": _open_adb,
    "labgrid": _open_labgrid,
}


def open_device(device: Device) -> Transport:
    """``open_transport`` with what is known of a device."""
    return open_transport(device.uri, work_folder=device.work_folder, options=device.options)


def open_transport(
    uri: str, *, work_folder: str | None = None, options: LinkOptions | None = None
) -> Transport:
    """Open the link that ``uri`` names; close it, or use it as a context manager.

    ``work_folder`` is the absolute path on the board for all that is ours (default:
    ``~/.deployx-edge`` there, ``/data/local/tmp/deployx-edge`` over adb, the tool's cache for
    boards on this computer).
    UsageError for an address that cannot be understood, TransportError and its
    subclasses where the link cannot be made.
    """
    from deployx_edge.device import LinkOptions

    scheme, colon, _ = uri.partition(":")
    opener = _OPENERS.get(scheme) if colon else None
    if opener is None:
        import difflib

        from deployx_edge.errors import UsageError

        near = difflib.get_close_matches(scheme, _OPENERS, n=2, cutoff=0.4)
        known = " or ".join(f"{name}:" for name in near or _OPENERS)
        raise UsageError(
            f"There is no link of the kind '{scheme}{colon}' in '{uri}'.",
            remedy=f"Did you mean {known}?" if near else f"An address begins with {known}.",
        )
    return opener(uri, work_folder, options or LinkOptions())
