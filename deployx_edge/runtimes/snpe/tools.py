"""The SDK's tools, each a process of its own with a time limit.

They are called by their documented command lines. What one says goes into a file, and is shown
where it refuses a model, with the operator and the node that it speaks of.
"""

from __future__ import annotations

import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.process import kill_group, spawn, wait_for
from deployx_edge.qairt import Sdk, find_sdk
from deployx_edge.runtimes.snpe.environment import require_tools
from deployx_edge.visible import visible

LONGEST = 1800.0  # seconds; a step of minutes is slow, this is a hang
_SCRIPT = re.compile(rb"#!.*python")
# Of its lines those that say what is wrong: its own errors, and Python's last words.
_TELLING = re.compile(
    r"\b(ERROR|error|FATAL)\b|^[A-Za-z_][\w.]*(Error|Exception): |not supported|[Uu]nsupported"
)
_STAMP = re.compile(r"^[\d:.,\s/-]*\b(ERROR|FATAL)\b\W*")
_TOLD = 3  # lines
_LONGEST_REASON = 400


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The file that a tool is asked about: its ``name``, and the types of its ``nodes`` by their
    names, where they are known."""

    name: str
    nodes: Mapping[str, str]


def has_tool(name: str) -> bool:
    """Whether the configured SDK has that tool; MissingToolError without an SDK."""
    return (find_sdk().tools / name).is_file()


def first_tool(*names: str) -> str:
    """The first of them that the SDK has; MissingToolError where it has none."""
    for name in names:
        if has_tool(name):
            return name
    sdk = find_sdk()
    raise MissingToolError(
        f"The SDK in {sdk.folder} ({sdk.version}) has no {' or '.join(names)} in {sdk.tools.name}.",
        remedy="Unpack the SDK's archive again, with its tools for x86-64 Linux.",
    )


def run_tool(name: str, words: Sequence[str | Path], asked: Asked, folder: Path) -> str:
    """Run it in that folder; what it said. ModelError where it refuses the file or dies of it."""
    sdk = find_sdk()
    argv = _argv(sdk, name, words)
    with tempfile.TemporaryFile() as said:
        child = spawn(argv, cwd=folder, env=sdk.environment, merge_stderr=True)
        watch = threading.Timer(LONGEST, kill_group, [child])
        watch.daemon = True
        watch.start()
        try:
            assert child.stdout is not None
            for line in child.stdout:
                said.write(line)
            code = wait_for(child, None)
            hung = watch.finished.is_set()
        finally:
            watch.cancel()
            kill_group(child)
            for stream in (child.stdin, child.stdout):
                stream.close()  # type: ignore[union-attr]
        said.seek(0)
        text = said.read().decode(errors="replace").replace("\r", "\n")
    if hung:
        raise DeployxError(f"{name} was ended after {LONGEST:.0f} s on {asked.name}.")
    if code != 0:
        raise _failure(sdk, name, int(code or 0), text, asked)
    return text


def _argv(sdk: Sdk, name: str, words: Sequence[str | Path]) -> list[str | Path]:
    """Scripts by the Python of their own environment, whatever their first line names."""
    path = sdk.tools / first_tool(name)
    with path.open("rb") as file:
        is_script = _SCRIPT.match(file.readline()) is not None
    return [*([require_tools().python] if is_script else []), path, *words]


def _failure(sdk: Sdk, name: str, code: int, text: str, asked: Asked) -> ModelError:
    reason = _reason(text)
    if code > 128:
        begun = f"{name} of SNPE {sdk.version} died (signal {code - 128}) on {asked.name}"
    else:
        begun = f"{name} of SNPE {sdk.version} refuses {asked.name}"
    node = _node(text, asked)
    remedy = "Give the part with it to another runtime: --partition." if node else ""
    told = reason or f"it left no message (exit code {code})"
    return ModelError(f"{begun}{node}: {told}.", remedy=remedy)


def _reason(text: str) -> str:
    """The last of its lines that say what is wrong; its last ones where none does."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line) and "Traceback" not in line]
    chosen = (telling or lines)[-_TOLD:]
    said = "; ".join(dict.fromkeys(_STAMP.sub("", line).rstrip(".!: ") for line in chosen))
    return visible(said[-_LONGEST_REASON:]).strip()


def _node(text: str, asked: Asked) -> str:
    """The node of the model that it speaks of: the longest name that stands in telling lines."""
    told = "\n".join(line for line in text.splitlines() if _TELLING.search(line))
    named = [
        node
        for node in asked.nodes
        if node and re.search(rf"(?<![\w/]){re.escape(node)}(?![\w/])", told)
    ]
    if named:
        node = max(named, key=len)
        return f" at the operator '{asked.nodes[node]}' (node '{visible(node)}')"
    types = [each for each in asked.nodes.values() if re.search(rf"\b{re.escape(each)}\b", told)]
    return f" at the operator '{types[0]}'" if types else ""
