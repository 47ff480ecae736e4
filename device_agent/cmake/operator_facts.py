"""Writes what each operator's op.toml says as C++ (called by DxOperators.cmake).

``operator_facts.py OPS OUTPUT`` reads OPS/*/op.toml and writes OUTPUT/<name>_facts.h where it is
not so already. What is wrong with a file is told by ``deployx_edge/operator_file.py``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

try:
    import tomllib
except ImportError:
    import tomli as tomllib

_KINDS = {"int": "kInteger", "float": "kNumber", "ints": "kIntegers", "floats": "kNumbers"}
_ELEMENTS = {"float32": "kFloat", "T": "kFloat", "int64": "kInt64", "int32": "kInt32"}
_ELEMENTS["bool"] = "kBool"
_TEMPLATE = """\
// Made from op.toml by operator_facts.py.
#pragma once

#include "operators/facts.h"

namespace dx::op::{folder} {{

{arrays}inline constexpr OperatorFacts kFacts{{"{folder}", {members}}};

}}  // namespace dx::op::{folder}
"""


def header(folder: str, document: dict[str, Any]) -> str:
    """The text of the header."""
    names = [f"{document.get('domain', '')}::{document['operator']}", *document.get("aliases", ())]
    attributes = document.get("attributes", [])
    defaults = [_default(each) for each in attributes]
    arrays = [
        f"inline constexpr double kDefault{index}[] = {{{', '.join(values)}}};\n"
        for index, values in enumerate(defaults)
        if values
    ]
    rows = {
        "NameFact kNames": [_braced(*map(json.dumps, name.split("::", 1))) for name in names],
        "AttributeFact kAttributes": [
            _braced(
                json.dumps(each["name"]),
                f"AttributeKind::{_KINDS.get(each['type'], 'kChoice')}",
                json.dumps("|".join(each.get("values", ()))),
                str(len(defaults[index])),
                f"kDefault{index}" if defaults[index] else "nullptr",
            )
            for index, each in enumerate(attributes)
        ],
        "PortFact kInputs": [_port(each) for each in document["inputs"]],
        "PortFact kOutputs": [_port(each) for each in document["outputs"]],
    }
    members = []
    for name, items in rows.items():
        if items:
            arrays.append(f"inline constexpr {name}[] = {{{', '.join(items)}}};\n")
        members += [str(len(items)), name.split()[1] if items else "nullptr"]
    text = "".join(arrays)
    return _TEMPLATE.format(folder=folder, arrays=text, members=", ".join(members))


def _default(attribute: dict[str, Any]) -> list[str]:
    value = attribute.get("default")
    if value is None:
        return []
    if attribute["type"] == "choice":
        return [str(attribute["values"].index(value))]
    return [str(each) for each in (value if isinstance(value, list) else [value])]


def _port(port: dict[str, Any]) -> str:
    optional = "true" if port.get("optional") else "false"
    return _braced(json.dumps(port["name"]), f"Element::{_ELEMENTS[port['type']]}", optional)


def _braced(*words: str) -> str:
    return "{" + ", ".join(words) + "}"


def main(operators: Path, output: Path) -> None:
    """Write the headers."""
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted(operators.glob("*/op.toml")):
        folder = path.parent.name
        text = header(folder, tomllib.loads(path.read_text(encoding="utf-8")))
        target = output / f"{folder}_facts.h"
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
