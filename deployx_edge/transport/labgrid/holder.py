"""Holds a labgrid place for as long as its standard input is open; a process of its own.

``python -m deployx_edge.transport.labgrid.holder COORDINATOR PLACE FOLDER`` acquires the
place, prints one line of JSON (``Answer``), and gives the place back when its input ends,
which it also does where whoever asked was killed: labgrid itself keeps a place for its owner
when the owner's connection ends. And labgrid's client, which prints, sets ``sys.excepthook``
and brings pytest along, stays out of the process that works with the board.

FOLDER holds a file for each place. All runs of a user on a host are one owner to labgrid, so
that runs which share a place lock that file (``flock``), and the last of them gives it back.
A place that was acquired by other means (``labgrid-client acquire``) is left to its owner.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import fcntl
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from labgrid.remote.client import ClientSession
    from labgrid.remote.common import Place

CONNECT_SECONDS = 10.0
_RELEASE_TRIES = 3
_DEFAULT_PORT = 20408


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The board's address, or why there is none: ``kind`` is one of ``ok``, ``usage`` (no such
    place), ``busy``, ``unreachable`` (no coordinator) and ``failed``."""

    kind: str
    message: str = ""
    remedy: str = ""
    address: str = ""
    username: str = ""
    port: int = 22


class _RefusedError(Exception):
    """Ends in an ``Answer`` of that kind."""

    def __init__(self, kind: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.answer = Answer(kind=kind, message=message, remedy=remedy)


def main() -> int:
    """See the module; the exit code is 0 unless the place could not be given back."""
    coordinator, place, folder = sys.argv[1:]
    answers = sys.stdout
    # Standard output is for the answer: what labgrid prints goes to the other one.
    with contextlib.redirect_stdout(sys.stderr):
        return asyncio.run(_hold(_Holder(coordinator, place, Path(folder)), answers))


async def _hold(holder: _Holder, answers: IO[str]) -> int:
    try:
        answer = await holder.acquire()
    except _RefusedError as refusal:
        answer = refusal.answer
    print(json.dumps(asdict(answer)), file=answers, flush=True)
    if answer.kind == "ok":
        await asyncio.to_thread(sys.stdin.read)
    return 0 if await holder.release() else 1


class _Holder:
    """One place, acquired or shared with other runs of ours."""

    def __init__(self, coordinator: str, name: str, folder: Path) -> None:
        self._coordinator = coordinator
        self._name = name
        self._folder = folder
        # Of the place, once it is known; locked while we have a part in it.
        self._file: IO[str] | None = None

    async def acquire(self) -> Answer:
        """Take the place, or take part in it; raises _RefusedError."""
        session = await self._connected()
        try:
            self._file = self._opened(self._place(session))
            while True:
                alone = self._lock(self._file)
                place = await self._refreshed(session)
                if place.acquired is None and not alone:
                    # The last of the others has just given it back.
                    fcntl.flock(self._file, fcntl.LOCK_UN)
                    continue
                if place.acquired is None:
                    await self._take(session, place)
                    _note(self._file, str((await self._refreshed(session)).changed))
                elif place.acquired != _own_name(session):
                    self._check_allowed(session, place)
                elif alone and _noted(self._file) != str(place.changed):
                    _note(self._file, "")  # Not by us: a person's.
                fcntl.flock(self._file, fcntl.LOCK_SH)
                return self._service(session, await self._refreshed(session))
        finally:
            await _closed(session)

    async def release(self) -> bool:
        """Give the place back where it is ours and nobody else of us needs it; whether that
        went well."""
        if self._file is None:
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        if not _noted(self._file):
            return True
        for attempt in range(_RELEASE_TRIES):
            try:
                await self._give_back()
                _note(self._file, "")
                return True
            except _RefusedError as refusal:
                print(refusal, file=sys.stderr)
                if attempt < _RELEASE_TRIES - 1:
                    await asyncio.sleep(1.0)
        return False

    async def _give_back(self) -> None:
        session = await self._connected()
        try:
            # Only where it is still ours: somebody may have taken it by force meanwhile.
            session.args = argparse.Namespace(place=self._name, acquired=_own_name(session))
            place = self._place(session)
            if place.acquired == _own_name(session):
                await _asked(session.release_from(), f"Place {self._name} is still acquired.")
        finally:
            await _closed(session)

    async def _connected(self) -> ClientSession:
        from labgrid.remote.client import ClientSession, Error
        from labgrid.util.proxy import proxymanager

        wrong = _RefusedError(
            "unreachable",
            f"No labgrid coordinator answers at {self._coordinator}.",
            "Start it, or name another by LG_COORDINATOR=HOST:PORT or labgrid:PLACE@HOST:PORT.",
        )
        address = proxymanager.get_grpc_address(self._coordinator, default_port=_DEFAULT_PORT)
        session = ClientSession(address, asyncio.get_running_loop())
        try:
            await asyncio.wait_for(session.start(), CONNECT_SECONDS)
        except (Error, asyncio.TimeoutError) as error:
            session.stopping.set()
            await _closed(session)
            raise wrong from error
        return session

    async def _refreshed(self, session: ClientSession) -> Place:
        if not await session.sync_with_coordinator():
            raise _RefusedError(
                "unreachable", f"The labgrid coordinator at {self._coordinator} went away."
            )
        return self._place(session)

    def _place(self, session: ClientSession) -> Place:
        for name, place in session.places.items():
            if self._name == name or self._name in place.aliases:
                return place
        near = difflib.get_close_matches(self._name, session.places, n=3, cutoff=0.5)
        raise _RefusedError(
            "usage",
            f"The labgrid coordinator at {self._coordinator} has no place '{self._name}'.",
            f"Did you mean {' or '.join(near)}?"
            if near
            else f"It has: {', '.join(sorted(session.places)) or 'none'}.",
        )

    async def _take(self, session: ClientSession, place: Place) -> None:
        from labgrid.remote.client import UserError

        try:
            session.check_matches(place)
        except UserError as error:
            raise _RefusedError(
                "failed",
                f"The labgrid place {place.name} cannot be used: {error.args[0]}.",
                "Is its exporter running? See: labgrid-client resources",
            ) from error
        session.args = argparse.Namespace(place=place.name, allow_unmatched=False)
        await _asked(session.acquire(), f"The labgrid place {place.name} cannot be acquired.")

    def _check_allowed(self, session: ClientSession, place: Place) -> None:
        if _own_name(session) not in place.allowed:
            raise _RefusedError(
                "busy",
                f"The labgrid place {place.name} is acquired by {place.acquired}, since "
                f"{time.strftime('%Y-%m-%d %H:%M', time.localtime(place.changed))}.",
                "Try again later, reserve it (labgrid-client reserve), or let its owner run: "
                f"labgrid-client -p {place.name} allow {_own_name(session)}",
            )

    def _service(self, session: ClientSession, place: Place) -> Answer:
        from labgrid.remote.client import ServerError

        try:
            resources = list(session.get_target_resources(place).values())
        except ServerError as error:
            raise _RefusedError(
                "failed",
                f"The exporter of the labgrid place {place.name} is gone: "
                f"{' '.join(map(str, error.args))}.",
                "Start labgrid-exporter there again.",
            ) from error
        found = [resource for resource in resources if resource.cls == "NetworkService"]
        if len(found) != 1:
            kinds = ", ".join(sorted(resource.cls for resource in resources)) or "nothing"
            raise _RefusedError(
                "failed",
                f"Expected one NetworkService in the labgrid place {place.name}, found {kinds}.",
                "Export one with address, username and port, and match it: labgrid-client "
                f"-p {place.name} add-match EXPORTER/GROUP/NetworkService",
            )
        service = found[0].args
        return Answer(
            kind="ok",
            address=service["address"],
            username=service["username"],
            port=int(service.get("port", 22)),
        )

    def _opened(self, place: Place) -> IO[str]:
        """The file that our runs share; it holds the time of the acquisition where we made it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return (self._folder / quote(f"{self._coordinator} {place.name}", safe="")).open("a+")

    @staticmethod
    def _lock(file: IO[str]) -> bool:
        """Whether no other run of ours has the place; waits while one takes it or gives it back."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH)
            return False


def _note(file: IO[str], text: str) -> None:
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def _noted(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


def _own_name(session: ClientSession) -> str:
    return f"{session.gethostname()}/{session.getuser()}"


async def _asked(work: object, complaint: str) -> None:
    from labgrid.remote.client import Error

    try:
        await work  # type: ignore[misc]
    except Error as error:
        reason = " ".join(map(str, error.args))
        raise _RefusedError("failed", f"{complaint[:-1]}: {reason}.") from error


async def _closed(session: ClientSession) -> None:
    session.stopping.set()
    await session.stop()
    await session.close()


if __name__ == "__main__":
    sys.exit(main())
