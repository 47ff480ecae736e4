"""``ssh:[user@]host[:port]``: a board on the network, over one SSH connection.

Keys from files and ssh-agent, ``~/.ssh/config`` with ProxyJump and ProxyCommand, host
keys checked. What it needs on the board is in ``shell.py``.

What paramiko cannot do: FIDO keys (``sk-…``), certificate authorities in known_hosts,
``Match exec``, and an agent other than ``SSH_AUTH_SOCK``'s. Encrypted key files come in
through ssh-agent. Passwords are not used.
"""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.device import LinkOptions
from deployx_edge.transport.forwarding import ForwardedPort
from deployx_edge.transport.shell import ShellTransport
from deployx_edge.transport.ssh.channel import SshChannel
from deployx_edge.transport.ssh.config import Address, parse_address
from deployx_edge.transport.ssh.link import LINK_FAILURES, SshLink

_WORK_FOLDER = "~/.deployx-edge"


def open_ssh(uri: str, work_folder: str | None, options: LinkOptions) -> SshTransport:
    """Connect and log in (see the module); raises TransportError and its subclasses."""
    return SshTransport(uri, parse_address(uri), work_folder, options)


class SshTransport(ShellTransport):
    """See ``Transport``."""

    def __init__(
        self, uri: str, address: Address, work_folder: str | None, options: LinkOptions
    ) -> None:
        super().__init__(uri, _WORK_FOLDER if work_folder is None else work_folder, options)
        self._link = SshLink(address, options)

    @property
    def lease_folder(self) -> str:
        """One for all users and work folders of the board, which belongs to none of them."""
        return self._options.lease_folder or "/tmp"

    def forward(self, remote_port: int) -> int:
        """See ``Transport.forward``."""
        return self._forwarded(
            ForwardedPort(lambda origin: self._link.open_port(remote_port, origin), LINK_FAILURES)
        )

    def close(self) -> None:
        """End programs, tunnels and the connection."""
        super().close()
        self._link.close()

    def _start(self, argv: Sequence[str], *, keep_stderr: bool) -> SshChannel:
        return SshChannel(
            self._link,
            argv,
            answer_seconds=self._options.answer_seconds,
            keep_stderr=keep_stderr,
        )

    def _is_lost(self) -> bool:
        return self._link.is_lost()
