"""Models that took a board down: kept on this computer, and not run there again by accident.

A record is written when the link breaks while a model loads or runs. The model is quarantined for
that board when the board then turns out to have started anew, or when the link breaks a second
time in the same phase. A run that ends well, also one that was forced, removes the record.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from deployx_edge.bundle import Bundle, bundle_digest
from deployx_edge.errors import LinkLostError, QuarantinedError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.resources import cache_folder
from deployx_edge.transport.protocol import Transport
from deployx_edge.workflows.boards.session import Session

_ENOUGH = 2


@dataclass(frozen=True, kw_only=True)
class Incident:
    """A link that broke under a model, and the conditions: ``options`` and ``temperature`` (°C,
    None where the board tells none) of the run, ``boot_id`` of the board's start before."""

    device: str
    uri: str
    model: str
    bundle_sha256: str
    options: str
    phase: str
    count: int
    boot_id: str
    temperature: float | None
    when: str

    @property
    def text(self) -> str:
        """The record in one line."""
        times = "" if self.count == 1 else f", {self.count} times"
        return f"{self.model} ({self.options}): link lost in its {self.phase} on {self.when}{times}"


@dataclass
class Watch:
    """Told by the run how far it is: ``load``, then ``run``."""

    phase: str = "load"


@contextmanager
def watched(
    session: Session, bundle: Bundle, options: RunOptions, *, force: bool = False
) -> Iterator[Watch]:
    """Run a model inside the block; QuarantinedError before it where it took this board down."""
    path = _path(session.transport, bundle, options)
    before = _read(path)
    if before is not None and not force:
        _refuse(before, session)
    watch = Watch()
    try:
        yield watch
    except LinkLostError:
        _write(path, _next(before, watch, session, bundle, options))
        raise
    if before is not None:
        path.unlink(missing_ok=True)


def incidents_of(transport: Transport) -> list[Incident]:
    """What happened on a board, the latest last."""
    paths = _folder(transport).glob("*.json")
    found = [incident for path in paths if (incident := _read(path))]
    return sorted(found, key=lambda incident: incident.when)


def forget_incidents(transport: Transport) -> None:
    """The board starts with a clean record."""
    for path in _folder(transport).glob("*.json"):
        path.unlink(missing_ok=True)


def _refuse(before: Incident, session: Session) -> None:
    now = session.transport.boot_id()
    restarted = bool(now and before.boot_id) and now != before.boot_id
    if not restarted and before.count < _ENOUGH:
        return
    reason = (
        "the board has started anew since"
        if restarted
        else f"the link was lost {before.count} times in the same phase"
    )
    raise QuarantinedError(
        f"{before.model} is blocked on {session.device.name}: {reason} "
        f"(its {before.phase} on {before.when}, {before.options}).",
        remedy="Check power and cooling; --force runs it again.",
    )


def _next(
    before: Incident | None, watch: Watch, session: Session, bundle: Bundle, options: RunOptions
) -> Incident:
    """The record after one more break; another phase counts from one."""
    if before is not None and before.phase == watch.phase:
        return replace(before, count=before.count + 1, boot_id=session.transport.boot_id())
    readings = session.identity.board.conditions.temperatures
    return Incident(
        device=session.device.name,
        uri=session.transport.uri,
        model=bundle.name,
        bundle_sha256=bundle_digest(bundle),
        options=_words(options),
        phase=watch.phase,
        count=1,
        boot_id=session.transport.boot_id(),
        temperature=max((reading.value for reading in readings), default=None),
        when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _words(options: RunOptions) -> str:
    """The options that differ from the usual ones; threads and precision always."""
    usual = asdict(RunOptions())
    common = {k: v for k, v in asdict(options).items() if k != "named"}
    named = {k: v for k, v in common.items() if v != usual[k] or k == "precision"}
    named.update(options.named)
    return ", ".join(f"{key} {value}" for key, value in named.items())


def _path(transport: Transport, bundle: Bundle, options: RunOptions) -> Path:
    key = hashlib.sha256(f"{bundle_digest(bundle)}\n{options!r}".encode()).hexdigest()[:32]
    return _folder(transport) / f"{key}.json"


def _folder(transport: Transport) -> Path:
    # With the work folder: a computer has many virtual boards of one address.
    board = f"{transport.uri}\n{transport.work_folder}"
    return cache_folder() / "incidents" / hashlib.sha256(board.encode()).hexdigest()[:32]


def _read(path: Path) -> Incident | None:
    """None where there is none, or where it is of another version."""
    try:
        return Incident(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _write(path: Path, incident: Incident) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(asdict(incident), indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
