"""What each worker says of itself in ``device_agent/workers/<name>/worker.json``.

The worker's own program is compiled from the same file, so host and board know one list.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from deployx_edge.archive_facts import ArchiveFacts, read_archives
from deployx_edge.chip_facts import CHIP_MEMBERS, LIBRARY, WORD, ChipFacts, read_chip_facts
from deployx_edge.errors import BuildError, UsageError
from deployx_edge.files import SMALL, read_json
from deployx_edge.json_members import check_members, read_text_member, read_texts, require
from deployx_edge.resources import data_folder
from deployx_edge.sdk_facts import SdkFacts, read_sdk_facts

FACTS_FILE = "worker.json"
KINDS = ("switch", "number", "choice", "text")
# The C library of the target's other programs, or glibc of that version at most.
_CLIBRARY = re.compile(r"target|glibc [0-9]{1,3}\.[0-9]{1,3}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9_.+-]{0,99}/[A-Za-z0-9_.+-]{1,100}")
_VALUE = re.compile(r"[A-Za-z0-9_.+-]{1,100}")
_MADE = re.compile(rf"({LIBRARY.pattern})?")
_MEMBERS = {"name", "packages", "c_library", "libraries", "operator_library", "emulators"}
_MEMBERS |= {"machine_libraries", "other_processors", "prepares", "options", "board", "sdk"}
_MEMBERS |= {"processors", "archives", *CHIP_MEMBERS}
_BOARD_MEMBERS = {"headers", "version_header", "version_macros", "libraries", "oldest"}
_OPTION_MEMBERS = {"name", "kind", "help", "values", "range", "default"}
_OPTION_MEMBERS |= {"remakes", "only_runs"}
_MACRO = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}")
_MOST_BYTES = 200


@dataclass(frozen=True, kw_only=True)
class BoardFacts:
    """What a worker needs of a board to be compiled: the runtime is the board's own.

    ``headers`` are found in a sysroot, and ``version_header`` says the runtime's version there by
    ``version_macros``, the major number first. ``libraries`` lie in the sysroot, too ("libx.so",
    with any version after it), the first of them of the runtime's major version. ``oldest`` is
    the oldest version that the worker is written for.
    """

    headers: tuple[str, ...]
    version_header: str
    version_macros: tuple[str, ...]
    libraries: tuple[str, ...]
    oldest: str


@dataclass(frozen=True, kw_only=True)
class OptionFact:
    """One of a runtime's own options.

    ``kind``: "switch" (on or off), "number" (a whole one from ``minimum`` to ``maximum``), "choice"
    (one of ``values``) or "text". ``default`` is what holds if nobody says, "" for what the runtime
    itself takes. ``help`` is a whole sentence. What a model was made into elsewhere has to be made
    anew where an option that ``remakes`` is given.
    """

    name: str
    kind: str
    values: tuple[str, ...]
    minimum: int
    maximum: int
    default: str
    help: str
    remakes: bool = False

    @property
    def expects(self) -> str:
        """What the option takes, in words: "on or off"."""
        if self.kind == "switch":
            return "on or off"
        if self.kind == "number":
            return f"a whole number from {self.minimum} to {self.maximum}"
        if self.kind == "choice":
            return f"one of {', '.join(self.values)}"
        return f"a text of 1 to {_MOST_BYTES} bytes"

    def takes(self, value: str) -> bool:
        """Whether the option has that value."""
        if not value or len(value.encode()) > _MOST_BYTES:
            return False
        if self.kind == "number":
            is_whole = re.fullmatch(r"-?[0-9]{1,18}", value) is not None
            return is_whole and self.minimum <= int(value) <= self.maximum
        if self.kind == "switch":
            return value in ("on", "off")
        return self.kind == "text" or value in self.values


@dataclass(frozen=True, kw_only=True)
class WorkerFacts:
    """A worker: its runtime's ``name``, the Conan ``packages`` that it is compiled with
    ("ncnn/1.0.20261020"), its C library ("target" for that of the target's other programs, or the
    newest that it and what it loads may need, "glibc 2.28"), the shared ``libraries`` that travel
    with it by name, the ``operator_library`` that the build makes of our own operators ("" where
    they are in the worker itself, or there are none), the ``machine_libraries`` that travel to some
    machines only ("aarch64"), the libraries that ``other_processors`` of the board load, by their
    ELF machine, what differs between ``chips``, the ``processors`` beside the board's own that it
    computes on, each with its machine, the ``emulators`` of the board's processor that it is on
    other machines, each with its machine ("x86_64"), whether it ``prepares`` a model on the board,
    the runtime's own options, the ``archives`` that a user brings for a target in place of packages
    and libraries, and what of a ``board``'s own files, or of an ``sdk``, it is compiled with (None:
    nothing)."""

    name: str
    packages: tuple[str, ...]
    c_library: str
    libraries: tuple[str, ...]
    operator_library: str
    machine_libraries: tuple[tuple[str, tuple[str, ...]], ...]
    other_processors: tuple[tuple[str, tuple[str, ...]], ...]
    chips: ChipFacts
    processors: tuple[tuple[str, str], ...]
    emulators: tuple[tuple[str, str], ...]
    prepares: bool
    options: tuple[OptionFact, ...]
    archives: tuple[tuple[str, tuple[ArchiveFacts, ...]], ...] = ()
    board: BoardFacts | None = None
    sdk: SdkFacts | None = None

    def archives_for(self, target_id: str) -> tuple[ArchiveFacts, ...]:
        """The archives that a user brings for that target's worker, in place of its packages."""
        return dict(self.archives).get(target_id, ())

    def is_brought_for(self, target_id: str) -> bool:
        """Whether that target's worker takes what a user brings: an SDK's part, or archives."""
        of_sdk = self.sdk is not None and bool(self.sdk.folders_for(target_id))
        return of_sdk or bool(self.archives_for(target_id))

    def is_optional_for(self, target_id: str) -> bool:
        """Whether a build may lack it, as it is compiled with what this project cannot bring."""
        return self.board is not None or self.is_brought_for(target_id)

    @property
    def glibc(self) -> str:
        """The newest glibc that it may need, "" for the target's own C library."""
        return self.c_library.removeprefix("target").removeprefix("glibc ")

    def libraries_on(self, machine: str) -> tuple[str, ...]:
        """The shared libraries that travel with it to such a machine."""
        return (*self.libraries, *dict(self.machine_libraries).get(machine, ()))

    def other_processor(self, library: str) -> str:
        """The ELF machine of a library that another processor than the board's loads, else ""."""
        return next((m for m, names in self.other_processors if library in names), "")

    def processor(self, machine: str) -> str:
        """What it computes on beside the processor of such a machine, "" where that does all."""
        return dict(self.processors).get(machine, "")

    def emulator(self, machine: str) -> str:
        """What emulates its processor on such a machine, "" where it runs on the real one."""
        return dict(self.emulators).get(machine, "")

    def option(self, name: str) -> OptionFact | None:
        """The option of that name; None if the runtime has none."""
        return next((option for option in self.options if option.name == name), None)


def worker_names() -> tuple[str, ...]:
    """The runtimes that have a worker, sorted."""
    folders = _workers().glob(f"*/{FACTS_FILE}")
    return tuple(sorted(path.parent.name for path in folders))


@cache
def worker_facts(name: str) -> WorkerFacts:
    """The facts of a runtime's worker.

    UsageError if there is no such worker, BuildError if its file is broken.
    """
    if name not in worker_names():
        raise UsageError(
            f"There is no worker for the runtime '{name}'.",
            remedy=f"Boards run: {', '.join(worker_names())}.",
        )
    return read_worker_facts(_workers() / name / FACTS_FILE)


def read_worker_facts(path: Path) -> WorkerFacts:
    """Read one file of facts; BuildError says what is wrong with it."""
    try:
        facts = _facts(read_json(path, most=SMALL))
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} cannot be used: {error}.") from error
    if facts.name != path.parent.name:
        raise BuildError(f"{path} is of '{facts.name}', its folder of '{path.parent.name}'.")
    return facts


def check_options(runtime: str, named: Iterable[tuple[str, str]]) -> None:
    """UsageError where the runtime lacks one of these options, or it does not take that value."""
    for name, value in named:
        facts = worker_facts(runtime)
        option = facts.option(name)
        if option is None:
            raise _unknown(name, facts)
        if not option.takes(value):
            raise UsageError(
                f"The option {name} of {runtime} expects {option.expects}, not '{value}'.",
                remedy=option.help,
            )


def check_option_words(named: Iterable[tuple[str, str]]) -> None:
    """Like ``check_options`` where the runtime is not known yet: one must take each of them."""
    for name, value in named:
        having = [n for n in worker_names() if worker_facts(n).option(name) is not None]
        if not having:
            raise _unknown(name, None)
        if not any(_takes(worker_facts(n).option(name), value) for n in having):
            check_options(having[0], [(name, value)])


def has_option(runtime: str, name: str) -> bool:
    """Whether the runtime has that option; False for one that no board has a worker for."""
    return runtime in worker_names() and worker_facts(runtime).option(name) is not None


def own_options(runtime: str, named: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Of options that are of one runtime's own, those of this one."""
    return tuple(item for item in named if has_option(runtime, item[0]))


def options_text() -> str:
    """Every runtime's options with what they take, for a help text."""
    texts = []
    for name in worker_names():
        options = [f"{each.name} ({each.expects})" for each in worker_facts(name).options]
        if options:
            texts.append(f"{name} has {', '.join(options)}.")
    return " ".join(texts)


def _takes(option: OptionFact | None, value: str) -> bool:
    return option is not None and option.takes(value)


def _unknown(name: str, facts: WorkerFacts | None) -> UsageError:
    """The refusal of an option that the runtime, or every runtime for None, lacks."""
    others = [n for n in worker_names() if worker_facts(n).option(name) is not None]
    if facts is not None and others:
        text = f"{name} is an option of {' and '.join(others)}, this bundle is for {facts.name}."
    else:
        owner = f"{facts.name} has no" if facts else "No runtime has an"
        text = f"{owner} option '{name}'."
    known = [facts] if facts is not None else [worker_facts(n) for n in worker_names()]
    names = sorted({option.name for each in known for option in each.options})
    nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    remedy = f"The nearest are {', '.join(nearest)}." if nearest else ""
    if not remedy:
        remedy = f"Its options are {', '.join(names)}." if names else "It has no options."
    return UsageError(text, remedy=remedy)


def _workers() -> Path:
    return data_folder("device_agent") / "workers"


def _facts(document: Any) -> WorkerFacts:
    check_members(document, _MEMBERS, "the file")
    options = document.get("options", [])
    require(isinstance(options, list) and len(options) <= 64, '"options" is not a list of up to 64')
    facts = WorkerFacts(
        name=read_text_member(document, "name", WORD),
        packages=read_texts(document, "packages", _PACKAGE),
        c_library=read_text_member({"c_library": "target", **document}, "c_library", _CLIBRARY),
        libraries=read_texts(document, "libraries", LIBRARY),
        operator_library=read_text_member(
            {"operator_library": "", **document}, "operator_library", _MADE
        ),
        machine_libraries=_libraries_by(document, "machine_libraries"),
        other_processors=_libraries_by(document, "other_processors"),
        chips=read_chip_facts(document),
        processors=_by_machine(document, "processors"),
        emulators=_by_machine(document, "emulators"),
        prepares=document.get("prepares", False),
        options=tuple(_option(each) for each in options),
        archives=read_archives(document),
        board=_board(document["board"]) if "board" in document else None,
        sdk=read_sdk_facts(document),
    )
    require(isinstance(facts.prepares, bool), '"prepares" is neither true nor false')
    names = [option.name for option in facts.options]
    require(len(set(names)) == len(names), "an option is listed twice")
    _check_brought(facts)
    return facts


def _check_brought(facts: WorkerFacts) -> None:
    """Headers come of an SDK or of an archive; what an SDK may stand in for has one."""
    rows = [row for _, archives in facts.archives for row in archives]
    require(facts.sdk is not None or not any(row.or_sdk for row in rows), '"or_sdk" has no "sdk"')
    bare = facts.sdk is not None and not facts.sdk.headers
    targets = facts.sdk.folders if facts.sdk is not None else ()
    has_headers = not bare or all(facts.archives_for(target) for target, _ in targets)
    require(has_headers, '"sdk" names no headers, and no archive has some')


def _libraries_by(document: Any, member: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    named = document.get(member, {})
    require(isinstance(named, dict), f'"{member}" does not name libraries by machine')
    return tuple((machine, read_texts(named, machine, LIBRARY)) for machine in named)


def _by_machine(document: Any, member: str) -> tuple[tuple[str, str], ...]:
    named = document.get(member, {})
    sound = isinstance(named, dict) and all(
        WORD.fullmatch(machine) and isinstance(what, str) and what
        for machine, what in named.items()
    )
    require(sound, f'"{member}" does not say for machines what there is')
    return tuple(named.items())


def _board(document: Any) -> BoardFacts:
    check_members(document, _BOARD_MEMBERS, '"board"')
    board = BoardFacts(
        headers=read_texts(document, "headers", LIBRARY),
        version_header=read_text_member(document, "version_header", LIBRARY),
        version_macros=read_texts(document, "version_macros", _MACRO),
        libraries=read_texts(document, "libraries", LIBRARY),
        oldest=read_text_member(document, "oldest", _VERSION),
    )
    whole = bool(board.headers and board.libraries) and len(board.version_macros) == 2
    require(whole, '"board" names no headers, no libraries, or not two macros of a version')
    return board


def _option(document: Any) -> OptionFact:
    check_members(document, _OPTION_MEMBERS, "an option")
    name = read_text_member(document, "name", WORD)
    span = document.get("range", [0, 0])
    whole = isinstance(span, list) and len(span) == 2 and all(type(each) is int for each in span)
    require(whole, f'"range" of {name} is not two whole numbers')
    option = OptionFact(
        name=name,
        kind=document.get("kind"),
        values=read_texts(document, "values", _VALUE),
        minimum=span[0],
        maximum=span[1],
        default=document.get("default", ""),
        help=document.get("help"),
        remakes=document.get("remakes", False),
    )
    require(isinstance(option.remakes, bool), f'"remakes" of {name} is neither true nor false')
    only_runs = document.get("only_runs", False)
    require(isinstance(only_runs, bool), f'"only_runs" of {name} is neither true nor false')
    require(option.kind in KINDS, f'"kind" of {name} is none of {", ".join(KINDS)}')
    is_sentence = isinstance(option.help, str) and re.fullmatch(r"[A-Z].*\.", option.help)
    require(bool(is_sentence), f'"help" of {name} is not a whole sentence')
    has_values, has_range = bool(option.values), span != [0, 0]
    require((option.kind == "choice") == has_values, f'only a choice has "values"; see {name}')
    require((option.kind == "number") == has_range, f'only a number has a "range"; see {name}')
    usual = option.default
    sound = isinstance(usual, str) and (not usual or option.takes(usual))
    require(sound, f'"default" of {name} is not {option.expects}')
    return option
