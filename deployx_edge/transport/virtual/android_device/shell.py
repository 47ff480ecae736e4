"""The device's shell: this computer's ``sh``, with the device's own commands before it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import IO

from deployx_edge import process
from deployx_edge.transport.shell_packets import HEADER, Packet
from deployx_edge.transport.virtual.android_device.connection import Service
from deployx_edge.transport.virtual.android_device.folder import DeviceFolder
from deployx_edge.transport.virtual.android_device.streams import Stream, StreamClosedError

_CHUNK_BYTES = 1 << 18
_KILL_SECONDS = 5.0
_TICK_SECONDS = 0.01
_MARK = "DEPLOYX_EDGE_DEVICE"


class ShellService:
    """Runs commands, each in a process group of its own."""

    def __init__(self, folder: DeviceFolder) -> None:
        self._folder = folder
        # By this every program of the device is found again, whatever it did to its group.
        self._mark = f"{_MARK}={os.getpid()}"

    def service(self, command: str, *, packets: bool) -> Service:
        """One command; ``packets`` for shell_v2, else bare bytes without an exit code."""

        def serve(stream: Stream) -> None:
            program = _Program(self._start(command, merged=not packets), stream)
            program.run_in_packets() if packets else program.run_bare()

        return serve

    def kill_all(self) -> None:
        """End everything that was started here, and what that started."""
        deadline = time.monotonic() + _KILL_SECONDS
        # Once more after each kill: what was just forked was in no list.
        while self._kill_what_runs() and time.monotonic() < deadline:
            time.sleep(_TICK_SECONDS)

    def _kill_what_runs(self) -> bool:
        """Whether there was anything left."""
        found = False
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self._mark.encode() in entry.read_bytes().split(b"\0"):
                    found = True
                    os.kill(int(entry.parent.name), signal.SIGKILL)
        return found

    def _start(self, command: str, *, merged: bool) -> process.Child:
        name, _, value = self._mark.partition("=")
        path = f"{self._folder.programs}:{os.environ.get('PATH', os.defpath)}"
        return process.spawn(
            ["/bin/sh", "-c", self._folder.translate(command)],
            cwd=self._folder.root,
            env={name: value, "PATH": path},
            merge_stderr=merged,
        )


class _Program:
    def __init__(self, child: process.Child, stream: Stream) -> None:
        self._child = child
        self._stream = stream
        assert child.stdin and child.stdout
        self._stdin: IO[bytes] = child.stdin
        self._stdout: IO[bytes] = child.stdout

    def run_in_packets(self) -> None:
        assert self._child.stderr
        self._stream.on_close = self._hang_up
        self._stream.accept()
        feeder = threading.Thread(target=self._feed_packets, daemon=True)
        errors = threading.Thread(
            target=self._copy, args=(self._child.stderr, Packet.STDERR), daemon=True
        )
        feeder.start()
        errors.start()
        self._copy(self._stdout, Packet.STDOUT)
        errors.join()
        code = process.wait_for(self._child, None)
        with contextlib.suppress(StreamClosedError):
            self._stream.write(HEADER.pack(Packet.EXIT, 1) + bytes([code or 0]))
        self._stream.close()
        feeder.join()

    def run_bare(self) -> None:
        self._stream.on_close = self._hang_up
        self._stream.accept()
        feeder = threading.Thread(target=self._feed_bare, daemon=True)
        feeder.start()
        self._copy(self._stdout, None)
        process.wait_for(self._child, None)
        self._stream.close()
        feeder.join()

    def _copy(self, source: IO[bytes], kind: Packet | None) -> None:
        """From the program to the stream. What nobody takes any more is thrown away."""
        with source, contextlib.suppress(OSError):
            taken = True
            while data := os.read(source.fileno(), _CHUNK_BYTES):
                if not taken:
                    continue
                header = b"" if kind is None else HEADER.pack(kind, len(data))
                try:
                    self._stream.write(header + data)
                except StreamClosedError:
                    taken = False

    def _feed_packets(self) -> None:
        with contextlib.suppress(StreamClosedError):
            while True:
                kind, size = HEADER.unpack(self._stream.read_exactly(HEADER.size))
                while size:
                    data = self._stream.read_some(size)
                    size -= len(data)
                    if kind == Packet.STDIN:
                        self._give(data)
                if kind == Packet.CLOSE_STDIN:
                    self._end_input()
        self._end_input()

    def _feed_bare(self) -> None:
        while data := self._stream.read():
            self._give(data)
        self._end_input()

    def _give(self, data: memoryview) -> None:
        """A program need not read what it is sent; the rest is thrown away."""
        try:
            rest = data
            while rest and not self._stdin.closed:
                rest = rest[os.write(self._stdin.fileno(), rest) :]
        except OSError:
            self._end_input()

    def _end_input(self) -> None:
        with contextlib.suppress(OSError):
            self._stdin.close()

    def _hang_up(self) -> None:
        """As adbd does where its stream ends before the program: the shell is told, no more."""
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(signal.SIGHUP)
