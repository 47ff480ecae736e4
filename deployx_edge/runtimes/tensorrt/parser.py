"""Does TensorRT take a model? Its own parser says so where it is installed, else a table.

The parser is that of TensorRT-RTX, which is TensorRT for desktop cards: of the same making, with
wheels that need no GPU to parse. The board's TensorRT is another version, and parses again.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge import process
from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.runtimes.tensorrt import parser_place
from deployx_edge.runtimes.tensorrt.operators import is_known
from deployx_edge.runtimes.tensorrt.plugins import lacks_tensors, without_plugins
from deployx_edge.runtimes.tensorrt.quantities import refuse_zero_points
from deployx_edge.visible import visible

if TYPE_CHECKING:
    import onnx

_CHILD = Path(__file__).with_name("parser_process.py")
_SECONDS = 600.0
_SHOWN = 5
_LONGEST = 200
# Lines that say no more than the code does, or speak of the GPU that this computer lacks.
_EMPTY_LINE = re.compile(r"false|Invalid Node|.*\(cudaError \d+: ")
# A condition of its source that did not hold, with a sentence for people behind it.
_CONDITION = re.compile(r'.* && "(?P<sentence>.+)"')
# What was taken before: a conversion asks about the same model more than once.
_taken: set[bytes] = set()


@dataclass(frozen=True, kw_only=True)
class ParserError:
    """A node that is refused, and why."""

    operator: str
    node: str
    reason: str


def check_model(name: str, model: onnx.ModelProto) -> None:
    """ModelError, naming every node that is refused; ``name`` is the file's.

    Plugins of our own are left out; what follows one of unknown shape is looked up in the table.
    MissingToolError where the parser is installed and cannot be used.
    """
    refuse_zero_points(name, model)
    model = without_plugins(model)
    if not parser_place.is_installed() or not model.graph.node or lacks_tensors(model):
        _refuse("A table of TensorRT's operators", name, _by_table(model))
        return
    content = model.SerializeToString()
    digest = hashlib.sha256(content).digest()
    if digest not in _taken:
        who = f"TensorRT-RTX {parser_place.version()}'s parser"
        _refuse(who, name, _by_parser(who, name, content, model))
        _taken.add(digest)


def _refuse(who: str, name: str, errors: Sequence[ParserError]) -> None:
    if not errors:
        return
    texts = [_text(error) for error in errors[:_SHOWN]]
    more = len(errors) - len(texts)
    raise ModelError(
        f"{who} refuses {name}: {'; '.join(texts)}" + (f"; and {more} more." if more else "."),
        remedy="Write them otherwise, or have another runtime compute them: --partition "
        "(docs/when-an-operator-is-missing.md).",
    )


def _text(error: ParserError) -> str:
    if not error.operator and not error.node:
        return error.reason
    return f"operator '{error.operator}' (node '{error.node}'): {error.reason}"


def _by_table(model: onnx.ModelProto) -> list[ParserError]:
    from deployx_edge.graph.subgraphs import nodes_within

    return [
        ParserError(
            operator=node.op_type,
            node=node.name or next(iter(node.output), ""),
            reason="it is not in there",
        )
        for node in nodes_within(model.graph.node)
        if not is_known(node.domain, node.op_type)
    ]


def _by_parser(who: str, name: str, content: bytes, model: onnx.ModelProto) -> list[ParserError]:
    with tempfile.TemporaryDirectory(prefix="deployx-edge-tensorrt-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        try:
            # It speaks of its own affairs on standard error.
            done = process.run(
                [*parser_place.python(), _CHILD, path], check=False, timeout=_SECONDS
            )
        except MissingToolError:
            raise
        except DeployxError as error:
            raise ModelError(f"{who} did not end within {_SECONDS:.0f} s on {name}.") from error
    answer = _answer(done.stdout)
    if "unusable" in answer:
        raise MissingToolError(
            f"{who} cannot be loaded: {visible(answer['unusable'])}.",
            remedy=parser_place.remedy(),
        )
    if done.returncode != 0 or "errors" not in answer:
        raise ModelError(
            f"{who} died of {name} (exit code {done.returncode}).",
            remedy="Cut the model by --partition to find what it dies of.",
        )
    return [_error(each, model) for each in answer["errors"]]


def _answer(output: bytes) -> dict[str, Any]:
    """The last line; {} where it is none of ours."""
    lines = output.splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _error(found: dict[str, Any], model: onnx.ModelProto) -> ParserError:
    node, index = found["node"], found["index"]
    if not node and 0 <= index < len(model.graph.node):
        node = next(iter(model.graph.node[index].output), "")
    lines = [line.strip() for line in found["text"].splitlines()]
    text = " ".join(line for line in lines if line and not _EMPTY_LINE.match(line))
    condition = _CONDITION.fullmatch(text)
    reason = condition["sentence"] if condition else text or found["code"].lower().replace("_", " ")
    return ParserError(
        operator=found["operator"], node=node, reason=visible(reason[:_LONGEST].rstrip(" ."))
    )
