"""``adb:SERIAL``: an Android device behind an adb server.

``adb:`` alone is the only device there is; ``adb:HOST:PORT`` (wireless debugging, ``adb
tcpip``) is connected to where it is not yet. Programs run over shell v2, files come and
go by the shell, connections to ports by streams of their own. The default work folder is one of
those that a shell user may write to and start programs in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from deployx_edge.device import LinkOptions
from deployx_edge.transport.adb.channel import AdbChannel
from deployx_edge.transport.adb.link import AdbLink
from deployx_edge.transport.forwarding import ForwardedPort
from deployx_edge.transport.shell import ShellTransport

WORK_FOLDER = "/data/local/tmp/deployx-edge"


def open_adb(uri: str, work_folder: str | None, options: LinkOptions) -> AdbTransport:
    """Find the device and wait until it is ready; raises TransportError and its subclasses."""
    serial = uri.partition(":")[2]
    return AdbTransport(uri, serial, WORK_FOLDER if work_folder is None else work_folder, options)


class AdbTransport(ShellTransport):
    """See ``Transport``."""

    def __init__(
        self, uri: str, serial: str, work_folder: str, options: LinkOptions, *, name: str = ""
    ) -> None:
        super().__init__(uri, work_folder, options)
        self._link = AdbLink(serial, options, name=name)

    @property
    def lease_folder(self) -> str:
        """One for all work folders of the board."""
        return self._options.lease_folder or str(PurePosixPath(WORK_FOLDER).parent)

    def forward(self, remote_port: int) -> int:
        """See ``Transport.forward``.

        Not by the server's own ``forward``: that listens on the server's computer, keeps its
        connections when the port is given back, and holds small answers back for 40 ms.
        """
        return self._forwarded(
            ForwardedPort(lambda origin: self._link.open_port(remote_port), (OSError,))
        )

    def close(self) -> None:
        """End programs and tunnels. The device stays connected to its server."""
        super().close()
        self._link.close()

    def _start(self, argv: Sequence[str], *, keep_stderr: bool) -> AdbChannel:
        return AdbChannel(
            self._link,
            argv,
            answer_seconds=self._options.answer_seconds,
            keep_stderr=keep_stderr,
        )

    def _is_lost(self) -> bool:
        return self._link.is_lost()
