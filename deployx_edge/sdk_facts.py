"""What a worker needs of an SDK, as its ``worker.json`` says it (see ``worker_facts``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from deployx_edge.chip_facts import LIBRARY
from deployx_edge.json_members import check_members, read_text_member, read_texts, require

_MEMBERS = {"headers", "folders", "libraries", "more", "other_folders", "other_more"}
_MEMBERS |= {"other_processor"}
# Below the SDK's folder, and with * and ? for what differs between releases.
_PLACE = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+*?/-]{0,99}")
_MACHINE = re.compile(r"(EM_[A-Z0-9_]{1,60})?")


@dataclass(frozen=True, kw_only=True)
class SdkFacts:
    """What a worker needs of its runtime's SDK, which each user gets from its maker.

    ``headers`` are what it is compiled with, none where an archive has them. ``folders`` are where
    libraries lie for each target (the first that is there counts), ``libraries`` those that have to
    be there, ``more`` patterns of those that travel as well; ``other_more`` in ``other_folders``
    are for a processor beside the board's own, of the ELF machine ``other_processor``.
    """

    headers: tuple[str, ...]
    folders: tuple[tuple[str, tuple[str, ...]], ...]
    libraries: tuple[str, ...]
    more: tuple[str, ...]
    other_folders: tuple[str, ...]
    other_more: tuple[str, ...]
    other_processor: str

    def folders_for(self, target_id: str) -> tuple[str, ...]:
        """Where libraries lie for that target; none where its workers take nothing of the SDK."""
        return dict(self.folders).get(target_id, ())


def read_sdk_facts(document: dict[str, Any]) -> SdkFacts | None:
    """From a whole file of facts, None where it names no SDK; ValueError says what is wrong."""
    if "sdk" not in document:
        return None
    sdk = document["sdk"]
    check_members(sdk, _MEMBERS, '"sdk"')
    folders = sdk.get("folders")
    require(isinstance(folders, dict) and bool(folders), '"folders" of "sdk" names no target')
    facts = SdkFacts(
        headers=read_texts(sdk, "headers", _PLACE),
        folders=tuple((target, read_texts(folders, target, _PLACE)) for target in folders),
        libraries=read_texts(sdk, "libraries", LIBRARY),
        more=read_texts(sdk, "more", _PLACE),
        other_folders=read_texts(sdk, "other_folders", _PLACE),
        other_more=read_texts(sdk, "other_more", _PLACE),
        other_processor=read_text_member(
            {"other_processor": "", **sdk}, "other_processor", _MACHINE
        ),
    )
    require(bool(facts.libraries), '"sdk" names no libraries')
    return facts
