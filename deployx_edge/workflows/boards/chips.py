"""Which chip a board has, as a runtime names chips, and which of a worker's and a bundle's files it
has a use for.

It knows what boards tell of themselves and what bundles are for, and no runtime by name.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from deployx_edge.bundle import Bundle, BundleFile
from deployx_edge.crossbuild.finished import Build, BuiltFile
from deployx_edge.measurement.values import BoardDescription, RunOptions
from deployx_edge.runtime import find_runtime
from deployx_edge.versions import release, release_numbers
from deployx_edge.worker_facts import worker_facts

# As agents write it of a chip whose name the board's system does not say.
_NUMBER = re.compile(r"soc_id ([0-9]{1,6})(?![0-9])")


def soc_of(board: BoardDescription, runtime: str) -> str:
    """The chip that the board tells, by the runtime's name of it; "" where it tells none of them.

    Boards write more around it: "Qualcomm SM8550", "… (qcom,sc8280xp)"; some tell but its number.
    """
    told = "" if board.emulated else (board.soc or "").lower()
    names = sorted(find_runtime(runtime).socs, key=len, reverse=True)
    words = (name for name in names if re.search(rf"(?<![a-z0-9]){name}(?![0-9])", told))
    number = _NUMBER.search(told)
    numbered = worker_facts(runtime).chips.numbered(number[1]) if number else ""
    return next(words, numbered)


def soc_misfit(board: BoardDescription, bundle: Bundle) -> tuple[str, str] | None:
    """What keeps a bundle for one chip from a board with another, and what to do, or None."""
    there = soc_of(board, bundle.runtime)
    if not bundle.soc or not there:
        return None
    if find_runtime(bundle.runtime).takes_files_of(there, bundle.soc):
        return None
    return (
        f"its files are for the chip {bundle.soc}, the board has {there}",
        f"Make it once more with --soc {there}.",
    )


def prepared_misfit(build: Build, bundle: Bundle) -> tuple[str, str] | None:
    """What keeps a build's libraries from loading what the bundle holds prepared, and what to do.

    They load what their own release or an older one made; None also where it is not told which.
    """
    facts = worker_facts(bundle.runtime)
    role, maker = facts.chips.prepared_role, find_runtime(bundle.runtime).package
    made = dict(bundle.provenance.tools).get(maker, "")
    if not made or all(file.role != role for file in bundle.files):
        return None
    rows = [row for row in facts.archives_for(build.target_id) if row.package == maker]
    # What comes with a release of the maker decides, where a build takes that from somebody else.
    needed = {
        package: dict(releases).get(release(made), "")
        for row in rows
        for package, releases in row.wants
    }
    there = dict(build.packages)
    for name, oldest in {**needed, maker: made}.items():
        if name in there:
            return _older(name, there[name], oldest, build, role)
    return None


def _older(name: str, there: str, oldest: str, build: Build, role: str) -> tuple[str, str] | None:
    has, wants = release_numbers(there), release_numbers(oldest)
    if not has or not wants or has >= wants:
        return None
    return (
        f"its file of the role '{role}' was made by {name} {oldest}, this build of "
        f"{build.target_id} has {name} {there}, which loads none of a newer one",
        f"Build with {name} {oldest} or later, or convert the model without --soc and --soc-of: "
        "the board prepares it then.",
    )


def files_of_worker(
    build: Build, bundle: Bundle, board: BoardDescription, *, remade: bool = False
) -> tuple[BuiltFile, ...]:
    """The bundle's worker and its libraries, without those that the board's chip has no use for,
    and those that are to prepare what the bundle holds prepared, unless it is to be ``remade``."""
    facts = worker_facts(bundle.runtime).chips
    useless = set(facts.useless_on(soc_of(board, bundle.runtime) or bundle.soc))
    if not remade and any(file.role == facts.prepared_role for file in bundle.files):
        useless |= set(facts.spared)
    return tuple(file for file in build.of_worker(bundle.runtime) if file.name not in useless)


def is_remade(bundle: Bundle, options: RunOptions, outputs: Collection[str]) -> bool:
    """Whether the board prepares the model itself though the bundle holds it prepared: for options
    that are part of that, or for tensors inside the model."""
    facts = worker_facts(bundle.runtime)
    remaking = {option.name for option in facts.options if option.remakes}
    own = {spec.runtime_name for spec in bundle.outputs}
    return any(name in remaking for name, _ in options.named) or not own.issuperset(outputs)


def files_for_board(bundle: Bundle) -> tuple[BundleFile, ...]:
    """The bundle's files without those that only this computer has a use for."""
    here = find_runtime(bundle.runtime).here_files
    return tuple(file for file in bundle.files if file.role not in here)
