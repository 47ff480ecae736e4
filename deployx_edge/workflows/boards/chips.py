"""Which chip a board has, as a runtime names chips, and what of a worker's files it has a use for.

It knows what boards tell of themselves and what bundles are for, and no runtime by name.
"""

from __future__ import annotations

import re

from deployx_edge.bundle import Bundle
from deployx_edge.crossbuild.finished import Build, BuiltFile
from deployx_edge.measurement.values import BoardDescription
from deployx_edge.runtime import find_runtime
from deployx_edge.worker_facts import worker_facts


def soc_of(board: BoardDescription, runtime: str) -> str:
    """The chip that the board tells, by the runtime's name of it; "" where it tells none of them.

    Boards write more around it: "Qualcomm SM8550", "… (qcom,sc8280xp)".
    """
    told = "" if board.emulated else (board.soc or "").lower()
    names = sorted(find_runtime(runtime).socs, key=len, reverse=True)
    words = (name for name in names if re.search(rf"(?<![a-z0-9]){name}(?![0-9])", told))
    return next(words, "")


def soc_misfit(board: BoardDescription, bundle: Bundle) -> tuple[str, str] | None:
    """What keeps a bundle for one chip from a board with another, and what to do, or None."""
    there = soc_of(board, bundle.runtime)
    if not bundle.soc or not there or there == bundle.soc:
        return None
    return (
        f"its files are for the chip {bundle.soc}, the board has {there}",
        f"Make it once more with --soc {there}.",
    )


def files_of_worker(build: Build, bundle: Bundle, board: BoardDescription) -> tuple[BuiltFile, ...]:
    """The bundle's worker and its libraries, without those that the board's chip has no use for."""
    soc = soc_of(board, bundle.runtime) or bundle.soc
    useless = worker_facts(bundle.runtime).useless_on(soc)
    return tuple(file for file in build.of_worker(bundle.runtime) if file.name not in useless)
