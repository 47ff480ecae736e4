"""A new operator that is right as it is: its folder, written, and named in ``deployx.toml``."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.config import FILE_NAME, load_config, project_file
from deployx_edge.cpp_words import check_namespace
from deployx_edge.errors import UsageError
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.operator_facts import (
    all_operators,
    find_operator,
    forget_operators,
    operators_folder,
)
from deployx_edge.operator_file import (
    DEVICE_FILES,
    FACTS_FILE,
    KERNEL_SUFFIX,
    OperatorFacts,
    read_operator,
)
from deployx_edge.operator_runtimes import carrying_runtimes, device_runtimes
from deployx_edge.resources import data_folder, is_checkout
from deployx_edge.runtime import DEFAULT_RUNTIME, RUNTIMES
from deployx_edge.workflows.boards.registry import read_document, store_document
from deployx_edge.workflows.operators import templates

FOLDER = "my_ops"
# What the files of the new operator call something else.
_TAKEN = ("torch", "write", "reference", "test")
_OPERATOR = re.compile(r"([A-Za-z_][A-Za-z0-9_.]{0,63})::([A-Za-z_][A-Za-z0-9_]{0,63})")


@dataclass(frozen=True, kw_only=True)
class NewOperator:
    """What was written: the operator, its ``files``, how Python imports its function ("" where the
    folder is not below the current one), and the settings that name the folder now (None where
    nothing had to be changed)."""

    facts: OperatorFacts
    files: tuple[Path, ...]
    package: str
    settings: Path | None


def writable_runtimes() -> tuple[str, ...]:
    """The runtimes for which one line makes a kernel an operator of theirs."""
    workers = data_folder("device_agent") / "workers"
    headers = {name: workers / name / "operator.h" for name in carrying_runtimes()}
    return tuple(
        name
        for name, header in headers.items()
        if header.is_file() and f"{_macro(name)}(" in header.read_text(encoding="utf-8")
    )


def new_operator(
    name: str, *, folder: Path | None, title: str = "", runtimes: Sequence[str] = ()
) -> NewOperator:
    """Write the files of an operator ``name`` into ``folder``.

    By default that is the first of the project's ``[ops] folders``, ``ops/`` in a checkout of this
    project, else ``my_ops`` beside ``deployx.toml``. ``title`` is what models call it
    ("my::Shift"). UsageError for what cannot be, or is there already.
    """
    place = _place(folder)
    if place.resolve() in load_config().operators:
        place.mkdir(parents=True, exist_ok=True)  # whoever named it first
    domain, operator = _title(title, name, place)
    wanted = tuple(dict.fromkeys(runtimes or (DEFAULT_RUNTIME,)))
    _check(name, place, (domain, operator), wanted)
    package = _package(place)
    words = {
        "NAMESPACE": domain.replace(".", "_"),
        "PACKAGE": package or place.name,
        "OPERATOR": operator,
        "DOMAIN": domain,
        "TITLE": f"{domain}::{operator}",
        "NAME": name,
        "HEADER": f"{name}_facts.h",
        "DEVICE_HEADER": f"{name}_device.h",
        "LAUNCHED": f"{name}_values",
        "LAUNCHER": f"{name}_values_kernel",
        "RUNTIMES": ", ".join(f'"{each}"' for each in wanted),
    }
    texts = {
        FACTS_FILE: templates.FACTS,
        "reference.py": templates.REFERENCE,
        "function.py": templates.FUNCTION,
        "symbolic.py": templates.SYMBOLIC,
        f"test_{name}.py": templates.TESTS,
    }
    if not set(wanted).issubset(device_runtimes()):
        texts["kernel.h"] = templates.KERNEL
    for each in wanted:
        on_gpu = each in device_runtimes()
        line = templates.DEVICE_LAYER if on_gpu else templates.LAYER
        texts[f"{each}{KERNEL_SUFFIX}"] = line.replace("MACRO", _macro(each)).replace("KIND", each)
        if on_gpu:
            contents = (templates.DEVICE_KERNEL, templates.DEVICE_CALL)
            texts.update(zip(DEVICE_FILES, contents, strict=True))
    files = _write(place / name, {file: _filled(text, words) for file, text in texts.items()})
    settings = _register(place)
    forget_operators()
    facts = read_operator(place / name / FACTS_FILE)
    return NewOperator(facts=facts, files=files, package=package, settings=settings)


def _place(folder: Path | None) -> Path:
    if folder is not None:
        return folder.absolute()
    named = load_config().operators
    if named:
        return named[0]
    project = project_file(Path.cwd())
    own = operators_folder()
    if project is None and is_checkout() and Path.cwd().is_relative_to(own.parent):
        return own
    return (project.parent if project else Path.cwd()) / FOLDER


def _title(title: str, name: str, place: Path) -> tuple[str, str]:
    """Domain and operator."""
    if not title:
        domain = "deployx" if place == operators_folder() else place.name
        return domain, "".join(word.capitalize() for word in name.split("_"))
    found = _OPERATOR.fullmatch(title)
    if found is None or found[1] in KNOWN_DOMAINS:
        own = " ONNX's own domains are taken." if found or "::" not in title else ""
        raise UsageError(
            f"--operator '{title}' is not a domain of your own and an operator.{own}",
            remedy="Write it as models call it: --operator my_domain::MyOperator.",
        )
    return found[1], found[2]


def _check(name: str, place: Path, called: tuple[str, str], runtimes: Sequence[str]) -> None:
    """UsageError for what cannot be, or is there already."""
    try:
        check_namespace(name, RUNTIMES)
    except ValueError as error:
        raise UsageError(
            f"An operator cannot be called '{name}': {error}.", remedy=_fitting(name)
        ) from error
    if keyword.iskeyword(name) or name in _TAKEN:
        raise UsageError(f"An operator cannot be called '{name}': Python means something else.")
    if not place.name.isidentifier() or keyword.iskeyword(place.name):
        raise UsageError(
            f"Python could import no function from a folder '{place.name}'.",
            remedy="Name it with letters, digits and _: --folder my_ops.",
        )
    known = all_operators()
    if name in known:
        raise UsageError(f"There is an operator {name} already: {known[name].folder}.")
    same = find_operator(*called)
    if same is not None:
        raise UsageError(
            f"The operator {same.name} ({same.folder}) is called '{'::'.join(called)}' already.",
            remedy="Name another: --operator my_domain::MyOperator.",
        )
    if (place / name).exists():
        raise UsageError(f"There is something at {place / name} already.")
    for each in runtimes:
        if each not in writable_runtimes():
            raise UsageError(
                f"Operators of your own cannot be built for the runtime '{each}'.",
                remedy=f"They can for {', '.join(writable_runtimes())}.",
            )


def _fitting(name: str) -> str:
    """A command with a name that is nearly the same and would do; "" where there is none such."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    near = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    try:
        check_namespace(near, RUNTIMES)
    except ValueError:
        near = f"my_{near}"
    return f"Call it so: deployx-edge op new {near}." if near != "my_" else ""


def _package(place: Path) -> str:
    """How Python imports from the folder, where that lies below the current one."""
    here = Path.cwd()
    return ".".join(place.relative_to(here).parts) if place.is_relative_to(here) else ""


def _macro(runtime: str) -> str:
    return f"DX_{runtime.upper()}_OPERATOR"


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(rf"\b({'|'.join(words)})\b", lambda found: words[found[0]], text)


def _write(folder: Path, texts: dict[str, str]) -> tuple[Path, ...]:
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return tuple(folder / name for name in sorted(texts))


def _register(place: Path) -> Path | None:
    """Name the folder in the project's settings, where they do not yet."""
    if place == operators_folder() or place.resolve() in load_config().operators:
        return None
    import tomlkit

    file = project_file(Path.cwd()) or Path.cwd() / FILE_NAME
    document = read_document(file)
    table = document.setdefault("ops", tomlkit.table())
    folders = table.setdefault("folders", tomlkit.array())
    folders.append(os.path.relpath(place.resolve(), file.parent.resolve()))
    store_document(file, document)
    return file
