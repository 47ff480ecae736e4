"""What a worker needs of an SDK, as its ``worker.json`` says it (``worker_facts`` reads that)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SdkFacts:
    """What a worker needs of its runtime's SDK, which each user gets from its maker.

    ``headers`` are what it is compiled with. ``folders`` are where libraries lie for each target
    (the first that is there counts), ``libraries`` those that have to be there, ``more`` patterns
    of those that travel as well; ``other_more`` in ``other_folders`` are for a processor beside the
    board's own, of the ELF machine ``other_processor``.
    """

    headers: tuple[str, ...]
    folders: tuple[tuple[str, tuple[str, ...]], ...]
    libraries: tuple[str, ...]
    more: tuple[str, ...]
    other_folders: tuple[str, ...]
    other_more: tuple[str, ...]
    other_processor: str
