"""What ``op test`` found last, for ``op list``: each operator in each runtime at each place.

A file an operator in the state folder. It is a memory, not a proof: whoever loses it tests again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Protocol

from deployx_edge.operator_file import OperatorFacts
from deployx_edge.resources import state_folder
from deployx_edge.scratch import beside, put_in_place


@dataclass(frozen=True, kw_only=True)
class Tested:
    """So many ``right`` of ``cases`` in a runtime at a place, on a ``day`` (ISO 8601).

    ``digest`` stands for the operator's files as they were; ``current`` says that they still are.
    """

    runtime: str
    place: str
    right: int
    cases: int
    day: str
    digest: str
    current: bool = True


class _Outcome(Protocol):
    @property
    def runtime(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def verdict(self) -> str: ...


def keep_outcomes(facts: OperatorFacts, outcomes: Sequence[_Outcome]) -> None:
    """Write down what these tests of the operator found, in place of what stood there of them."""
    digest, today = _digest(facts.folder), date.today().isoformat()
    found: dict[tuple[str, str], Tested] = {
        (each.runtime, each.place): each for each in _read(facts)
    }
    for runtime, place in dict.fromkeys((each.runtime, each.place) for each in outcomes):
        verdicts = [
            each.verdict for each in outcomes if (each.runtime, each.place) == (runtime, place)
        ]
        found[runtime, place] = Tested(
            runtime=runtime,
            place=place,
            right=verdicts.count("right"),
            cases=len(verdicts),
            day=today,
            digest=digest,
        )
    # Who tests on a computer that keeps nothing has his answer all the same.
    with suppress(OSError):
        _write(facts, list(found.values()))


def last_results(facts: OperatorFacts) -> tuple[Tested, ...]:
    """What the last tests found; nothing where none ran, or what they wrote is gone or damaged."""
    digest = _digest(facts.folder)
    return tuple(replace(each, current=each.digest == digest) for each in _read(facts))


def _read(facts: OperatorFacts) -> list[Tested]:
    with suppress(OSError, ValueError, TypeError):
        return [Tested(**row) for row in json.loads(_file(facts).read_text(encoding="utf-8"))]
    return []


def _write(facts: OperatorFacts, rows: Sequence[Tested]) -> None:
    file = _file(facts)
    file.parent.mkdir(parents=True, exist_ok=True)
    with beside(file) as temporary:
        text = json.dumps([asdict(replace(row, current=True)) for row in rows], indent=1)
        temporary.write_text(text, encoding="utf-8")
        put_in_place(temporary, file)


def _file(facts: OperatorFacts) -> Path:
    """Of this operator of this project; another project's may have its name."""
    place = hashlib.sha256(str(facts.folder.resolve()).encode()).hexdigest()[:12]
    return state_folder() / "operators" / f"{facts.name}-{place}.json"


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
