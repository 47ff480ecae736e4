"""All operators of our own: those of ``ops/``, and those of a user's.

A user's lie in folders that ``deployx.toml`` names, and are as those of this project in all else.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from deployx_edge.config import load_config
from deployx_edge.errors import BuildError, ConfigError, UsageError
from deployx_edge.operator_file import (
    FACTS_FILE,
    KERNEL_SUFFIX,
    LAYER_PREFIX,
    SAYS_WHAT,
    OperatorFacts,
    read_operator,
)
from deployx_edge.resources import data_folder
from deployx_edge.runtime import RUNTIMES
from deployx_edge.worker_facts import worker_facts

_ONNX_DOMAINS = ("", "ai.onnx")
# Files that only an operator has.
_OWN_FILES = (*(f"{name}{KERNEL_SUFFIX}" for name in RUNTIMES), "reference.py", "kernel.h")
_KERNEL_SUFFIXES = (KERNEL_SUFFIX, ".cu", ".h", ".toml")
# CMake takes these in a path for something else.
_UNFIT_FOR_CMAKE = frozenset(';*?[]"$\\#')


def operators_folder() -> Path:
    """Where the operators of this project lie."""
    return data_folder("ops")


def operator_folders() -> tuple[Path, ...]:
    """Where operators lie: this project's first, then those of ``deployx.toml``.

    Seen from the current folder, as it was when this was first asked.
    """
    return (operators_folder(), *_users_folders(Path.cwd()))


def all_operators() -> Mapping[str, OperatorFacts]:
    """Every operator by its folder's name; BuildError where a file is broken or two are one.

    ConfigError where ``deployx.toml`` names a folder that is none.
    """
    return _read_all(operator_folders())


def users_operators() -> Mapping[str, OperatorFacts]:
    """Those that do not belong to this project."""
    own = operators_folder()
    return {name: facts for name, facts in all_operators().items() if facts.folder.parent != own}


def operators_by_reference() -> Mapping[str, OperatorFacts]:
    """Those that references compute where a source runs: a user's, and those of this project that
    ONNX Runtime has neither itself nor in the library of operators."""
    users = users_operators()
    return {
        name: facts
        for name, facts in all_operators().items()
        if name in users
        or (
            not any(worker_facts(each).operator_library for each in facts.runtimes)
            and all(domain for domain, _ in facts.names)
        )
    }


def forget_operators() -> None:
    """Read folders and files anew from here on."""
    _users_folders.cache_clear()
    _read_all.cache_clear()


@cache
def _users_folders(place: Path) -> tuple[Path, ...]:
    folders = load_config(place).operators
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(
                f"There is no folder {folder}, which [ops] folders in deployx.toml names.",
                remedy="Take it out there, or make an operator in it: deployx-edge op new NAME.",
            )
        if (folder / FACTS_FILE).is_file():
            raise ConfigError(
                f"The folder {folder}, which [ops] folders in deployx.toml names, is an operator "
                "itself.",
                remedy=f"Name the folder that holds it: {folder.parent.name or folder.parent}.",
            )
        unfit = sorted(_UNFIT_FOR_CMAKE.intersection(str(folder)))
        if unfit:
            raise ConfigError(
                f"The path of the operators' folder {folder} has a '{unfit[0]}', which CMake takes "
                "for something else.",
                remedy="Rename it.",
            )
    return folders


@cache
def _read_all(folders: tuple[Path, ...]) -> Mapping[str, OperatorFacts]:
    found: dict[str, OperatorFacts] = {}
    owners: dict[tuple[str, str], OperatorFacts] = {}
    for folder in folders:
        for path in _facts_files(folder):
            facts = read_operator(path)
            if folder != operators_folder():
                _check_standard_names(facts)
            same = found.setdefault(facts.name, facts)
            if same is not facts:
                raise BuildError(
                    f"Two operators have the name {facts.name}: {same.folder} and {facts.folder}.",
                    remedy="Rename the folder of one.",
                )
            for name in facts.names:
                if owners.setdefault(name, facts) is not facts:
                    raise BuildError(
                        f"The operators in {shown(owners[name])} and {shown(facts)} are both "
                        f"called '{'::'.join(name).removeprefix('::')}'.",
                        remedy=f"Take the name out of one {FACTS_FILE}.",
                    )
    return found


def _check_standard_names(facts: OperatorFacts) -> None:
    """BuildError for a name without a domain that is no operator of ONNX's."""
    for domain, name in facts.names:
        if domain:
            continue
        import onnx  # a user's operator seldom is one of ONNX's own

        if not onnx.defs.has(name, domain=""):
            raise BuildError(
                f"{facts.folder / FACTS_FILE} cannot be used: ONNX has no operator '{name}', and "
                'the domain "" is ONNX\'s own.',
                remedy=f'Give it a domain of yours, as in domain = "{facts.folder.parent.name}".',
            )


def _facts_files(folder: Path) -> Sequence[Path]:
    """Of all operators in the folder; BuildError for files of none."""
    for name in _OWN_FILES:
        for file in sorted(folder.glob(f"*/{name}")):
            if not (file.parent / FACTS_FILE).is_file():
                raise BuildError(
                    f"{file} belongs to no operator: there is no {FACTS_FILE} beside it.",
                    remedy=SAYS_WHAT,
                )
    return sorted(folder.glob(f"*/{FACTS_FILE}"))


def shown(facts: OperatorFacts) -> str:
    """Where the operator lies, as people are told: its folder, "ops/<name>" for our own."""
    own = facts.folder.parent == operators_folder()
    return f"ops/{facts.name}" if own else str(facts.folder)


def find_operator(domain: str, operator: str) -> OperatorFacts | None:
    """The operator that models call so; None if there is none."""
    wanted = ("" if domain in _ONNX_DOMAINS else domain, operator)
    return next((facts for facts in all_operators().values() if wanted in facts.names), None)


def kernels_digest(facts: OperatorFacts) -> str:
    """A word for what of the operator is compiled: another one where that was changed."""
    digest = hashlib.sha256()
    for path in sorted(facts.folder.iterdir()):
        if path.suffix in _KERNEL_SUFFIXES and path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def operator_of_layer(type: str) -> str:
    """The name of the operator that layers of that type are; "" for ncnn's own."""
    return type.removeprefix(LAYER_PREFIX) if type.startswith(LAYER_PREFIX) else ""


def operator_named(name: str) -> OperatorFacts:
    """The operator of that folder, or that models call so; UsageError if there is none."""
    known = all_operators()
    for facts in known.values():
        if name == facts.name or name in facts.titles:
            return facts
    near = difflib.get_close_matches(name, known)
    question = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UsageError(
        f"There is no operator '{name}' in {' or '.join(map(str, operator_folders()))}.{question}",
        remedy="`deployx-edge op list` shows them all.",
    )
