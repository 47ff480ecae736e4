"""``labgrid:PLACE[@HOST[:PORT]]``: a board whose address a labgrid coordinator knows.

The place is acquired for as long as the link is open and given back with it, by a process of
its own that also outlives a killed run for as long as that takes (``holder``). The
board itself is reached by ssh at the address, user and port of the place's NetworkService,
with keys as for ``ssh:``; a password there is not used. The coordinator is that of the
address, or of ``LG_COORDINATOR``, or 127.0.0.1:20408; ``LG_PROXY``, ``LG_HOSTNAME`` and
``LG_USERNAME`` count as for ``labgrid-client``.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec

from deployx_edge.device import LinkOptions
from deployx_edge.errors import (
    DeployxError,
    DeviceBusyError,
    LinkLostError,
    MissingToolError,
    TransportError,
    UsageError,
)
from deployx_edge.resources import cache_folder
from deployx_edge.transport.labgrid.holder import CONNECT_SECONDS, Answer
from deployx_edge.transport.local.transport import ProcessChannel
from deployx_edge.transport.output import LineReader
from deployx_edge.transport.ssh.config import Address
from deployx_edge.transport.ssh.transport import SshTransport

_DEFAULT_COORDINATOR = "127.0.0.1:20408"
# Connecting, acquiring, and an exporter that prepares its resources.
_ACQUIRE_SECONDS = CONNECT_SECONDS + 50.0
_RELEASE_SECONDS = 60.0
_ERRORS: dict[str, type[DeployxError]] = {
    "usage": UsageError,
    "busy": DeviceBusyError,
    "unreachable": TransportError,
    "failed": TransportError,
}


def open_labgrid(uri: str, work_folder: str | None, options: LinkOptions) -> LabgridTransport:
    """Acquire the place and connect to its board.

    UsageError for a place that does not exist, DeviceBusyError where somebody else has it,
    MissingToolError without labgrid, TransportError and its subclasses else.
    """
    place, coordinator = _parse(uri)
    if find_spec("labgrid") is None:
        raise MissingToolError(
            f"{uri} needs labgrid's client, which is not installed.",
            remedy="Install it with: pip install 'deployx-edge[labgrid]'",
        )
    held = HeldPlace(place, coordinator)
    try:
        return LabgridTransport(uri, held, work_folder, options)
    except BaseException:
        held.close()
        raise


class LabgridTransport(SshTransport):
    """The board of a place, over ssh; see ``Transport``."""

    def __init__(
        self, uri: str, held: HeldPlace, work_folder: str | None, options: LinkOptions
    ) -> None:
        super().__init__(uri, held.address, work_folder, options)
        self._held = held

    def close(self) -> None:
        """End the connection, then give the place back."""
        try:
            super().close()
        finally:
            self._held.close()


class HeldPlace:
    """A place that is ours until ``close``; ``address`` is its board's."""

    def __init__(self, place: str, coordinator: str) -> None:
        module = "deployx_edge.transport.labgrid.holder"
        folder = str(cache_folder() / "labgrid")
        argv = [sys.executable, "-m", module, coordinator, place, folder]
        self._channel = ProcessChannel(argv, answer_seconds=_ACQUIRE_SECONDS, keep_stderr=False)
        try:
            answer = self._answer(place)
            if answer.kind != "ok":
                raise _ERRORS[answer.kind](answer.message, remedy=answer.remedy)
        except BaseException:
            self.close()
            raise
        self.address = Address(host=answer.address, user=answer.username, port=answer.port)

    def _answer(self, place: str) -> Answer:
        try:
            line = LineReader(self._channel).next(_ACQUIRE_SECONDS)
        except LinkLostError as error:
            raise TransportError(
                f"labgrid did not give the place {place} within {_ACQUIRE_SECONDS:g} seconds: "
                f"{self._channel.error_tail()}"
            ) from error
        if line is None:
            raise TransportError(
                f"labgrid's client ended before it had the place {place}, saying: "
                f"{self._channel.error_tail().strip() or 'nothing'}"
            )
        return Answer(**json.loads(line))

    def close(self) -> None:
        """Give the place back. Does nothing the second time."""
        try:
            self._channel.close_input()
            self._channel.wait(_RELEASE_SECONDS)
        except LinkLostError:
            pass  # What does not answer is ended below.
        finally:
            self._channel.close()


def _parse(uri: str) -> tuple[str, str]:
    place, at, coordinator = uri.partition(":")[2].partition("@")
    if not at:
        coordinator = os.environ.get("LG_COORDINATOR", _DEFAULT_COORDINATOR)
    if not place or place.startswith("-") or not coordinator:
        raise UsageError(
            f"'{uri}' names no labgrid place.",
            remedy="Write labgrid:PLACE or labgrid:PLACE@HOST:PORT; see: labgrid-client places",
        )
    return place, coordinator
