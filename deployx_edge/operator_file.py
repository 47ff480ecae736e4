"""What an operator of our own, or of a user's, says of itself in its ``op.toml``.

A folder is an operator; its name is the wiring. The C++ of its kernels is compiled with the same
file, so that host and board know one list of attributes with one set of defaults.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from deployx_edge.cpp_words import check_namespace
from deployx_edge.errors import BuildError
from deployx_edge.files import SMALL, read_text
from deployx_edge.operator_runtimes import carrying_runtimes, device_runtimes
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
# Where ONNX Runtime looks for operators of its own.
_TAKEN_DOMAIN = re.compile(r"(ai\.onnx|com\.microsoft)(\..*)?")
SAYS_WHAT = f"docs/adding-an-op.md says what {FACTS_FILE} holds."
_LARGEST_INTEGER = 2**31 - 1  # that every runtime's files hold


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


def read_operator(path: Path) -> OperatorFacts:
    """Read one ``op.toml``; BuildError says what is wrong with it."""
    try:
        document = tomllib.loads(read_text(path, most=SMALL))
        facts = _facts(path.parent, document)
        _check_files(facts)
    except (OSError, ValueError) as error:
        raise BuildError(f"{path} cannot be used: {error}.", remedy=SAYS_WHAT) from error
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
    _require(
        opset == 1 or any(not domain for domain, _ in facts.names),
        f'"opset" is {opset}, but only ONNX\'s own domain has several; write 1, and give an '
        "operator with other results another name",
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


def misfit(facts: OperatorFacts, given: Sequence[bool], attributes: Mapping[str, Any]) -> str:
    """What of a node is not as op.toml has it, as a sentence's part; "" where all is.

    ``given`` says of each input whether it is there, ``attributes`` are those that the node has.
    """
    if len(given) > len(facts.inputs):
        return f"it has {len(given)} inputs, {FACTS_FILE} names {len(facts.inputs)}"
    for place, port in enumerate(facts.inputs):
        if not port.optional and not (place < len(given) and given[place]):
            return f"its input '{port.name}' is left out"
    known = {each.name: each for each in facts.attributes}
    for name, value in attributes.items():
        if name not in known:
            return f"its attribute '{name}' is not in {FACTS_FILE}"
        kind, values = known[name].type, known[name].values
        held = value.decode(errors="replace") if isinstance(value, bytes) else value
        if kind == "choice" and held not in values:
            return f"its attribute '{name}' is '{held}', not one of {', '.join(values)}"
        if kind != "choice" and not _is_of(held, kind):
            return f"its attribute '{name}' is {held!r}, {FACTS_FILE} says {kind}"
    return ""


def _is_of(value: Any, kind: str) -> bool:
    """Whether numbers, or one, as a node has them are of that type."""
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    number = Integral if kind.startswith("int") else Real
    items = value if is_list else [value]
    return is_list == kind.endswith("s") and all(isinstance(each, number) for each in items)


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
