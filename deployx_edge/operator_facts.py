"""What each operator of our own says of itself in ``ops/<name>/op.toml``.

A folder is an operator; its name is the wiring. The C++ of its kernels is compiled with the same
file, so that host and board know one list of attributes with one set of defaults. Operators of a
user's lie in folders that ``deployx.toml`` names, and are as those of this project in all else.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from deployx_edge.config import load_config
from deployx_edge.cpp_words import check_namespace
from deployx_edge.errors import BuildError, ConfigError, UsageError
from deployx_edge.files import SMALL, read_text
from deployx_edge.operator_runtimes import carrying_runtimes, device_runtimes
from deployx_edge.resources import data_folder
from deployx_edge.runtime import RUNTIMES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FACTS_FILE = "op.toml"
SYMBOLIC_FILE = "symbolic.py"
# Each is a file ops/<name>/<runtime>.cpp.
KERNEL_SUFFIX = ".cpp"
# Kernels for GPUs, and how they are launched.
DEVICE_FILES = ("kernel.cu", "device.h")
LAYER_PREFIX = "dx."
ATTRIBUTE_TYPES = ("int", "float", "ints", "floats", "choice")
ELEMENT_TYPES = ("T", "float32", "int64", "int32", "bool")
MOST_INPUTS = 10
MOST_ATTRIBUTES = 20
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_DOMAIN = re.compile(r"([A-Za-z_][A-Za-z0-9_.]{0,63})?")
_MEMBERS = {"operator", "domain", "opset", "aliases", "runtimes", "source"}
_TABLES = {"inputs", "outputs", "attributes"}
_PORT_MEMBERS = {"name", "type", "optional"}
_ATTRIBUTE_MEMBERS = {"name", "type", "default", "values", "before"}
_ONNX_DOMAINS = ("", "ai.onnx")
# Where ONNX Runtime looks for operators of its own.
_TAKEN_DOMAIN = re.compile(r"(ai\.onnx|com\.microsoft)(\..*)?")
# Files that only an operator has.
_OWN_FILES = (*(f"{name}{KERNEL_SUFFIX}" for name in RUNTIMES), "reference.py", "kernel.h")
_SAYS_WHAT = f"docs/adding-an-op.md says what {FACTS_FILE} holds."
_LARGEST_INTEGER = 2**31 - 1  # that every runtime's files hold
_KERNEL_SUFFIXES = (KERNEL_SUFFIX, ".cu", ".h", ".toml")
# CMake takes these in a path for something else.
_UNFIT_FOR_CMAKE = frozenset(';*?[]"$\\#')


Value = int | float | str | tuple[int | float, ...]


@dataclass(frozen=True, kw_only=True)
class PortFact:
    """An input or output; ports of the ``type`` "T" have one element type, whatever it is."""

    name: str
    type: str
    optional: bool


@dataclass(frozen=True, kw_only=True)
class AttributeFact:
    """An attribute; ``default`` holds if a node leaves it out (None: then it has no value).

    A choice is a string, one of ``values``. ``before`` an opset, another value was the default.
    """

    name: str
    type: str
    values: tuple[str, ...]
    default: Value | None
    before: tuple[int, Value] | None


@dataclass(frozen=True, kw_only=True)
class OperatorFacts:
    """An operator: its ``folder``, its ``names`` in models as (domain, operator), the first is its
    own; the first ``opset`` of its domain that means this; the ``runtimes`` that have a kernel, and
    where it is defined (``source``)."""

    folder: Path
    names: tuple[tuple[str, str], ...]
    opset: int
    runtimes: tuple[str, ...]
    source: str
    inputs: tuple[PortFact, ...]
    outputs: tuple[PortFact, ...]
    attributes: tuple[AttributeFact, ...]

    @property
    def name(self) -> str:
        """The folder's name, which is that of the operator everywhere here."""
        return self.folder.name

    @property
    def title(self) -> str:
        """As models write it: "TopK", "mmdeploy::NMSRotated"."""
        return self.titles[0]

    @property
    def titles(self) -> tuple[str, ...]:
        """All its names as models write them."""
        return tuple(f"{domain}::{name}" if domain else name for domain, name in self.names)

    @property
    def layer_type(self) -> str:
        """The type of its layers in ncnn's files."""
        return f"{LAYER_PREFIX}{self.name}"


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
                    remedy=_SAYS_WHAT,
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


def read_operator(path: Path) -> OperatorFacts:
    """Read one ``op.toml``; BuildError says what is wrong with it."""
    try:
        document = tomllib.loads(read_text(path, most=SMALL))
        facts = _facts(path.parent, document)
        _check_files(facts)
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} cannot be used: {error}.", remedy=_SAYS_WHAT) from error
    return facts


def _facts(folder: Path, document: Mapping[str, Any]) -> OperatorFacts:
    unknown = sorted(set(document) - _MEMBERS - _TABLES)
    _require(not unknown, f'it has an unknown member "{"".join(unknown[:1])}"')
    check_namespace(folder.name, RUNTIMES)
    for member in ("operator", "domain"):
        _require(isinstance(document.get(member, ""), str), f'"{member}" is not a text')
    _require(bool(document.get("operator")), '"operator" does not say what models call it')
    own = f"{document.get('domain', '')}::{document.get('operator')}"
    aliases = document.get("aliases", [])
    opset = document.get("opset", 1)
    runtimes = _texts(document, "runtimes")
    source = document.get("source")
    _require(type(opset) is int and opset >= 1, '"opset" is not a positive whole number')
    _require(isinstance(source, str) and bool(source), '"source" does not say where it is defined')
    _require(isinstance(aliases, list), '"aliases" is not a list of names like "mmcv::Name"')
    _require_single('"runtimes"', runtimes)
    _require_single('"aliases" with the operator itself', [own, *map(str, aliases)])
    facts = OperatorFacts(
        folder=folder,
        names=tuple(_name(text) for text in (own, *aliases)),
        opset=opset,
        runtimes=runtimes,
        source=str(source),
        inputs=tuple(_port(each) for each in _tables(document, "inputs", MOST_INPUTS)),
        outputs=tuple(_port(each) for each in _tables(document, "outputs", MOST_INPUTS)),
        attributes=tuple(
            _attribute(each) for each in _tables(document, "attributes", MOST_ATTRIBUTES)
        ),
    )
    _require(bool(facts.inputs) and bool(facts.outputs), "it has no [[inputs]] or no [[outputs]]")
    for kind in ("input", "output", "attribute"):
        names = [item.name for item in getattr(facts, f"{kind}s")]
        _require(len(set(names)) == len(names), f"an {kind} is listed twice")
    # A reference would be given both by one name.
    both = {port.name for port in facts.inputs}.intersection(a.name for a in facts.attributes)
    _require(not both, f"an input and an attribute are both called {''.join(sorted(both)[:1])}")
    return facts


def _check_files(facts: OperatorFacts) -> None:
    """``runtimes`` and the files beside must be the same."""
    files = {path.stem for path in facts.folder.glob(f"*{KERNEL_SUFFIX}")}
    stray = sorted(files - set(facts.runtimes))
    missing = sorted(set(facts.runtimes) - files)
    _require(
        not stray, f'"runtimes" does not name {"".join(stray[:1])}, which has a file beside it'
    )
    _require(
        not missing,
        f'"runtimes" names {"".join(missing[:1])}, but there is no {"".join(missing[:1])}.cpp',
    )
    unknown = sorted(set(facts.runtimes) - set(carrying_runtimes()))
    _require(
        not unknown,
        f'"runtimes" names {"".join(unknown[:1])}, whose worker takes no operators; they can be '
        f"for {', '.join(carrying_runtimes())}",
    )
    for runtime in sorted(set(facts.runtimes).intersection(device_runtimes())):
        for name in DEVICE_FILES:
            _require(
                (facts.folder / name).is_file(),
                f'"runtimes" names {runtime}, which computes on a GPU, but there is no {name}',
            )


def _name(text: Any) -> tuple[str, str]:
    domain, separator, operator = str(text).rpartition("::")
    sound = (
        isinstance(text, str)
        and bool(separator)
        and _DOMAIN.fullmatch(domain) is not None
        and _WORD.fullmatch(operator) is not None
    )
    _require(sound, f"'{text}' is not a domain and an operator like \"mmcv::Name\"")
    _require(
        _TAKEN_DOMAIN.fullmatch(domain) is None,
        f"'{text}' is of a domain of ONNX Runtime's own (ONNX's operators have the domain \"\")",
    )
    return domain, operator


def _port(table: Mapping[str, Any]) -> PortFact:
    _members(table, _PORT_MEMBERS, "an input or output")
    name, kind, optional = table.get("name"), table.get("type"), table.get("optional", False)
    _require(
        isinstance(name, str) and _WORD.fullmatch(name) is not None,
        "an input or output has no name",
    )
    _require(kind in ELEMENT_TYPES, f'"type" of {name} is none of {", ".join(ELEMENT_TYPES)}')
    _require(isinstance(optional, bool), f'"optional" of {name} is neither true nor false')
    return PortFact(name=str(name), type=str(kind), optional=optional)


def _attribute(table: Mapping[str, Any]) -> AttributeFact:
    _members(table, _ATTRIBUTE_MEMBERS, "an attribute")
    name, kind, default = table.get("name"), table.get("type"), table.get("default")
    _require(
        isinstance(name, str) and _WORD.fullmatch(name) is not None, "an attribute has no name"
    )
    _require(kind in ATTRIBUTE_TYPES, f'"type" of {name} is none of {", ".join(ATTRIBUTE_TYPES)}')
    values = _texts(table, "values")
    _require((kind == "choice") == bool(values), f'only a choice has "values"; see {name}')
    _require_single(f'"values" of {name}', values)
    _require(not any("|" in each for each in values), f'a "values" of {name} has a "|"')
    sound = default is None or _fits(default, str(kind), values)
    _require(sound, f'"default" of {name} is not of the type {kind}')
    before = None
    if "before" in table:
        older = table["before"] if isinstance(table["before"], dict) else {}
        sound = set(older) == {"opset", "value"} and type(older["opset"]) is int
        sound = sound and _fits(older["value"], str(kind), values)
        _require(sound, f'"before" of {name} is not {{ opset = 16, value = "some {kind}" }}')
        before = (older["opset"], _held(older["value"]))
    return AttributeFact(
        name=str(name), type=str(kind), values=values, default=_held(default), before=before
    )


def _fits(value: Any, kind: str, values: tuple[str, ...]) -> bool:
    if kind == "choice":
        return value in values
    items = value if isinstance(value, list) else [value]
    types = (int,) if kind.startswith("int") else (int, float)
    sound = isinstance(value, list) == kind.endswith("s") and all(type(i) in types for i in items)
    most = _LARGEST_INTEGER if kind.startswith("int") else sys.float_info.max
    return sound and all(abs(i) <= most for i in items)  # NaN is not


def _held(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _tables(document: Mapping[str, Any], name: str, most: int) -> Sequence[Mapping[str, Any]]:
    found = document.get(name, [])
    sound = isinstance(found, list) and all(isinstance(each, dict) for each in found)
    _require(sound, f"[[{name}]] is not a list of tables")
    _require(len(found) <= most, f"it has more than {most} {name}")
    return list(found)


def _members(table: Mapping[str, Any], known: set[str], what: str) -> None:
    unknown = sorted(set(table) - known)
    _require(not unknown, f'{what} has an unknown member "{"".join(unknown[:1])}"')


def _texts(document: Mapping[str, Any], member: str) -> tuple[str, ...]:
    values = document.get(member, [])
    sound = isinstance(values, list) and all(isinstance(each, str) and each for each in values)
    _require(sound, f'"{member}" is not a list of texts')
    return tuple(values)


def _require_single(what: str, names: Sequence[str]) -> None:
    """ValueError where a name is in a list twice."""
    twice = sorted(name for name in set(names) if list(names).count(name) > 1)
    _require(not twice, f"{what} has {''.join(twice[:1])} twice")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)
