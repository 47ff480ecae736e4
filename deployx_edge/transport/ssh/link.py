"""One living SSH connection: made over any number of hops, watched until it ends."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable

import paramiko
from paramiko.packet import Packetizer
from paramiko.ssh_exception import IncompatiblePeer

from deployx_edge import process
from deployx_edge.device import LinkOptions
from deployx_edge.errors import LinkLostError, TransportError
from deployx_edge.transport.ssh.config import Address, Hop, parse_address, resolve
from deployx_edge.transport.ssh.keys import authenticate
from deployx_edge.transport.ssh.known_hosts import check_host_key, known_keys

# Without a handler, paramiko's log would go to the terminal with tracebacks in it.
logging.getLogger("paramiko").addHandler(logging.NullHandler())

LINK_FAILURES = (paramiko.SSHException, EOFError, OSError)
"""All that paramiko raises where a connection fails; any of its calls may."""

_WINDOW_BYTES = 16 << 20
_MOST_HOPS = 8
# OpenSSH allows 8 KiB for all lines of a greeting, and packets of 256 KiB.
_MOST_LINE_BYTES = 1 << 16
_MOST_PACKET_BYTES = 1 << 20
_Socket = socket.socket | paramiko.Channel
# AES-GCM needs no separate checksum pass, which is what limits paramiko's rate.
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


class _TimedPacketizer(Packetizer):
    """Notes when the other end was last heard, and takes in no more than SSH has in one piece.

    The base class reads a greeting to its line end and a packet of any size that is announced,
    also from who has not proven yet who it is.
    """

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock)
        self.last_received = time.monotonic()
        self._line_bytes = 0

    def readline(self, timeout: float) -> str:
        """As the base class, of a line that ends within reason."""
        self._line_bytes = 0
        return str(super().readline(timeout))

    def _read_timeout(self, timeout: float) -> bytes:
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc] # typeshed leaves it out
        self._line_bytes += len(data)
        if self._line_bytes > _MOST_LINE_BYTES:
            raise paramiko.SSHException("its greeting has no end")
        return data

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """As the base class, of a packet of a size that is allowed."""
        if n > _MOST_PACKET_BYTES:
            raise paramiko.SSHException(f"it announces a packet of {n} bytes")
        return bytes(super().read_all(n, check_rekey))

    def read_message(self) -> tuple[int, paramiko.Message]:
        """As the base class, plus the time."""
        message = super().read_message()
        self.last_received = time.monotonic()
        return message


class SshLink:
    """A logged-in connection, its hops, and the thread that notices when it freezes."""

    def __init__(self, address: Address, options: LinkOptions) -> None:
        self._options = options
        self._closers: list[Callable[[], None]] = []
        self._closing = threading.Event()
        self._pinging = threading.Event()
        self._reason = ""
        try:
            self.hop, self._transport = self._open_chain(address, depth=0)
        except BaseException:
            self._close_all()
            raise
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def open_session(self) -> paramiko.Channel:
        """A channel for one program."""
        try:
            return self._transport.open_session(timeout=self._options.connect_seconds)
        except LINK_FAILURES as error:
            raise self.lost(str(error)) from error

    def open_port(self, port: int, origin: tuple[str, int]) -> paramiko.Channel:
        """A channel to a port of the board's loopback; TransportError where it refuses."""
        return _open_tunnel(
            self._transport, self.hop, ("127.0.0.1", port), origin, self._options.connect_seconds
        )

    def is_lost(self) -> bool:
        """Whether the connection is gone. Waits a moment: its channels are closed first."""
        if self._transport.is_active():
            self._transport.join(0.2)
        return not self._transport.is_active()

    def lost(self, detail: str = "") -> LinkLostError:
        """The error to raise when something failed because of the link."""
        reason = self._reason or detail or "the other end hung up"
        return LinkLostError(
            f"The link to {self.hop.where} was lost: {reason}.",
            remedy="Check the board and its network, then run the command again.",
        )

    def close(self) -> None:
        """End the connection and its hops. May be called twice."""
        self._closing.set()
        self._reason = self._reason or "it was closed"
        self._close_all()

    def _close_all(self) -> None:
        while True:
            try:
                closer = self._closers.pop()
            except IndexError:
                return
            with contextlib.suppress(*LINK_FAILURES):
                closer()

    def _open_chain(self, address: Address, depth: int) -> tuple[Hop, paramiko.Transport]:
        """Connect to ``address`` over the jumps that lead there; the last connection."""
        hop = resolve(address, self._options.ssh_config)
        if depth > _MOST_HOPS:
            raise TransportError(f"ProxyJump lines lead in a circle at {hop.name}.")
        via: paramiko.Transport | None = None
        for number, jump in enumerate(hop.jumps):
            jump_address = parse_address(jump.removeprefix("ssh://"))
            if number == 0:
                # The first jump may itself need one; the later ones are reached through it.
                _, via = self._open_chain(jump_address, depth + 1)
            else:
                via = self._connect(resolve(jump_address, self._options.ssh_config), via)
        return hop, self._connect(hop, via)

    def _connect(self, hop: Hop, via: paramiko.Transport | None) -> paramiko.Transport:
        seconds = self._options.connect_seconds
        sock = self._open_socket(hop, via)
        try:
            transport = paramiko.Transport(
                sock,
                default_window_size=_WINDOW_BYTES,
                packetizer_class=_TimedPacketizer,
            )
        except BaseException:
            sock.close()
            raise
        self._closers.append(sock.close)
        self._closers.append(transport.close)
        transport.banner_timeout = seconds
        transport.handshake_timeout = seconds
        transport.auth_timeout = seconds
        transport.channel_timeout = seconds
        _prefer(transport, hop)
        try:
            transport.start_client(timeout=seconds)
            if not transport.initial_kex_done:  # It returns as if all were well.
                raise _frozen(seconds)
            key = transport.get_remote_server_key()
        except LINK_FAILURES as error:
            # Its own clock may end first; the reader then says no more than that it is the end.
            late = transport.packetizer.handshake_timed_out()
            raise _no_handshake(hop, _frozen(seconds) if late else error) from error
        check_host_key(hop, key.get_name(), key.asbytes())
        authenticate(transport, hop)
        return transport

    def _open_socket(self, hop: Hop, via: paramiko.Transport | None) -> _Socket:
        if via is not None:
            return _open_tunnel(
                via, hop, (hop.host, hop.port), ("127.0.0.1", 0), self._options.connect_seconds
            )
        if hop.proxy_command:
            # As ssh does: the user's words, run by a shell that makes way for the program.
            child, ours = process.spawn_on_socket(["/bin/sh", "-c", f"exec {hop.proxy_command}"])
            self._closers.append(lambda: process.kill_group(child))
            return ours
        try:
            sock = socket.create_connection((hop.host, hop.port), self._options.connect_seconds)
        except (OSError, UnicodeError) as error:
            raise _unreachable(hop, error, self._options.connect_seconds) from error
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _watch(self) -> None:
        """Ask for a sign of life in silence; after too much of it, cut the link.

        A frozen board, a pulled cable and a firewall that forgot the connection all look
        the same: nothing comes, and TCP alone would wait for many minutes.
        """
        packetizer = self._transport.packetizer
        assert isinstance(packetizer, _TimedPacketizer)
        interval = self._options.silence_seconds / 4
        while not self._closing.wait(interval) and self._transport.is_active():
            silence = time.monotonic() - packetizer.last_received
            if silence > self._options.silence_seconds:
                self._reason = f"nothing came from it for {self._options.silence_seconds:g} seconds"
                self._close_all()
            elif silence > interval and not self._pinging.is_set():
                # In a thread of its own, since sending blocks where the link is frozen.
                self._pinging.set()
                threading.Thread(target=self._ping, daemon=True).start()

    def _ping(self) -> None:
        with contextlib.suppress(*LINK_FAILURES):
            self._transport.global_request("keepalive@openssh.com", wait=True)
        self._pinging.clear()


def _prefer(transport: paramiko.Transport, hop: Hop) -> None:
    """Ask for the kind of host key that is noted, and for the fastest ciphers."""
    choices = transport.get_security_options()
    noted = []
    for known in known_keys(hop.host_key_name, hop.known_hosts):
        kinds = ("rsa-sha2-512", "rsa-sha2-256") if known.kind == "ssh-rsa" else (known.kind,)
        noted += [kind for kind in kinds if kind in choices.key_types]
    choices.key_types = tuple(dict.fromkeys([*noted, *choices.key_types]))
    fast = [cipher for cipher in _CIPHERS if cipher in choices.ciphers]
    choices.ciphers = tuple(dict.fromkeys([*fast, *choices.ciphers]))


def _open_tunnel(
    via: paramiko.Transport,
    hop: Hop,
    place: tuple[str, int],
    origin: tuple[str, int],
    seconds: float,
) -> paramiko.Channel:
    try:
        return via.open_channel("direct-tcpip", place, origin, timeout=seconds)
    except paramiko.ChannelException as error:
        remedy = ""
        if error.code == 1:
            remedy = "Its sshd must allow it: AllowTcpForwarding yes in sshd_config."
        raise TransportError(
            f"No tunnel to {place[0]}:{place[1]} on the way to {hop.where}: {error.text}.",
            remedy=remedy,
        ) from error
    except LINK_FAILURES as error:
        raise LinkLostError(f"The link to {hop.where} was lost: {error}.") from error


def _unreachable(hop: Hop, error: Exception, seconds: float) -> TransportError:
    remedy = "Check the address, the network and whether the board is on."
    if isinstance(error, (socket.gaierror, UnicodeError)):
        return TransportError(
            f"The host name '{hop.host}' (port {hop.port}) cannot be resolved.",
            remedy="Check the name, or write the address.",
        )
    if isinstance(error, ConnectionRefusedError):
        return TransportError(
            f"{hop.where} refused the connection: no SSH server listens on this port.",
            remedy="Check the port, and that sshd runs on the board.",
        )
    if isinstance(error, TimeoutError):
        return TransportError(f"{hop.where} did not answer in {seconds:g} seconds.", remedy=remedy)
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return TransportError(f"{hop.where} cannot be reached: {reason}.", remedy=remedy)


def _frozen(seconds: float) -> TimeoutError:
    return TimeoutError(f"its handshake did not end in {seconds:g} seconds")


def _no_handshake(hop: Hop, error: Exception) -> TransportError:
    if isinstance(error, IncompatiblePeer):
        return TransportError(f"{hop.where} and this computer share no algorithm: {error}.")
    way = f" through '{hop.proxy_command}'" if hop.proxy_command else ""
    return TransportError(
        f"{hop.where}{way} did not answer as an SSH server does: {str(error) or 'it hung up'}.",
        remedy=f"Try by hand: {hop.ssh_command()}",
    )
