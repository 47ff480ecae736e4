"""The kinds of links that one list of tests runs over."""

from __future__ import annotations

import itertools
import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deployx_edge.device import LinkOptions
from deployx_edge.transport import open_transport
from deployx_edge.transport.protocol import Transport
from tests.integration.android import VirtualPhone, adb
from tests.integration.board import Sshd
from tests.integration.processes import descendants, with_words

_NUMBERS = itertools.count(1)


@dataclass
class LinkCase:
    """One kind of board. ``root`` is where its ``/`` lies on this computer."""

    name: str
    uri: str
    machine: str
    agent: Path
    root: Path
    work_base: Path
    options: LinkOptions = field(default_factory=LinkOptions)
    sshd: Sshd | None = None
    phone: VirtualPhone | None = None
    emulated: bool = False
    system: str = "linux"

    @property
    def half_closes(self) -> bool:
        """Whether a connection through the link may end in one direction alone."""
        return self.system != "android"

    def new_folder(self) -> tuple[str, Path]:
        """A fresh folder (not made yet) as the board names it, and where it lies here."""
        name = f"wörk folder {next(_NUMBERS)}"
        inside = self.work_base / name
        return str(inside), self.root / inside.relative_to("/")

    def open(self, work_folder: str | None = None, options: LinkOptions | None = None) -> Transport:
        folder = self.new_folder()[0] if work_folder is None else work_folder
        return open_transport(self.uri, work_folder=folder, options=options or self.options)

    def cut(self) -> None:
        """End the link, or the receiver where there is no link, without a word."""
        if self.sshd is not None:
            self.sshd.signal_sessions(signal.SIGKILL)
            return
        if self.phone is not None:
            adb("disconnect", self.phone.serial)
            return
        for pid in set(descendants(os.getpid())) & set(with_words("receive")):
            with suppress(ProcessLookupError):  # A shell ends with the program that it ran.
                os.kill(pid, signal.SIGKILL)
