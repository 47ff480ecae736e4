"""What of a worker differs between chips, as its ``worker.json`` says it (see ``worker_facts``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from deployx_edge.json_members import check_members, read_text_member, read_texts, require

CHIP_MEMBERS = frozenset({"soc_libraries", "soc_numbers", "prepared_file"})
WORD = re.compile(r"[a-z][a-z0-9_]{0,63}")
LIBRARY = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,99}")
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, kw_only=True)
class ChipFacts:
    """``libraries`` are those that only some chips have a use for (chips and libraries; a chip that
    is not listed has a use for all). ``numbers`` are chips by the number that a board's kernel
    knows them by. ``prepared_role`` is the file of a bundle that holds the model as it was prepared
    for its chip, "" where there is no such; with it the worker needs none of the ``spared``
    libraries."""

    libraries: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    numbers: tuple[tuple[str, str], ...]
    prepared_role: str
    spared: tuple[str, ...]

    def useless_on(self, soc: str) -> frozenset[str]:
        """The libraries that such a chip has no use for; none where the chip is not known."""
        own = [libraries for socs, libraries in self.libraries if soc in socs]
        if not own:
            return frozenset()
        every = {name for _, libraries in self.libraries for name in libraries}
        return frozenset(every - {name for libraries in own for name in libraries})

    def numbered(self, number: str) -> str:
        """The chip of that number, "" where it is not known."""
        return dict(self.numbers).get(number, "")


def read_chip_facts(document: dict[str, Any]) -> ChipFacts:
    """From a whole file of facts; ValueError says what is wrong with it."""
    prepared = document.get("prepared_file", {"role": "", "spares": []})
    check_members(prepared, {"role", "spares"}, '"prepared_file"')
    return ChipFacts(
        libraries=_libraries(document.get("soc_libraries", [])),
        numbers=_numbers(document.get("soc_numbers", {})),
        prepared_role=read_text_member(prepared, "role", re.compile(rf"({WORD.pattern})?")),
        spared=read_texts(prepared, "spares", LIBRARY),
    )


def _libraries(document: Any) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    require(isinstance(document, list), '"soc_libraries" is not a list')
    for each in document:
        check_members(each, {"socs", "libraries"}, '"soc_libraries"')
    return tuple(
        (read_texts(each, "socs", WORD), read_texts(each, "libraries", LIBRARY))
        for each in document
    )


def _numbers(document: Any) -> tuple[tuple[str, str], ...]:
    sound = isinstance(document, dict) and all(
        _NUMBER.fullmatch(number) and isinstance(soc, str) and WORD.fullmatch(soc)
        for number, soc in document.items()
    )
    require(sound, '"soc_numbers" does not name chips by their numbers')
    return tuple(document.items())
