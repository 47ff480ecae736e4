"""ONNX files as they lie on the disk, read and cleaned of what no two programs read alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import DeployxError, ModelError
from deployx_edge.graph.cleaning import clean
from deployx_edge.graph.fixed_inputs import fix_inputs, fixed_values
from deployx_edge.graph.functions import (
    holds_own_operators,
    inline_functions,
    refuse_mixed_opsets,
)
from deployx_edge.graph.standard_names import write_by_standard
from deployx_edge.graph.subgraphs import all_names
from deployx_edge.model import InputRequest
from deployx_edge.sources.onnx.external_data import ExternalData, find_external_data
from deployx_edge.sources.placeholders import refuse_placeholder

if TYPE_CHECKING:
    import onnx

# From this one on the initializers need not be listed among the inputs.
LEAST_IR_VERSION = 4
_NEWEST_IR_VERSION = 13  # of ONNX 1.20; what a later one may hold would be lost in a copy


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a file holds, cleaned; ``is_changed`` where it is not as others would read it."""

    model: onnx.ModelProto
    data: ExternalData
    is_changed: bool
    notes: tuple[str, ...]


def load_file(path: Path, *, external: bool) -> Loaded:
    """Read a file, its ``external`` data with it where that is asked for; ModelError where it is
    broken or newer than what is read here."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        refuse_placeholder(path)
        model = onnx.load(path, load_external_data=False)
        data = find_external_data(path, model)
        if external:
            onnx.load_external_data_for_model(model, str(data.folder))
    except DeployxError:
        raise
    except DecodeError as error:
        raise ModelError(
            f"{path} is not an ONNX file, or only a part of one.",
            remedy="Export or copy it again.",
        ) from error
    except FileNotFoundError as error:
        raise ModelError(f"{error.filename or path} does not exist.") from error
    except Exception as error:  # onnx checks external data by exceptions of many kinds
        raise ModelError(f"{path} cannot be read: {one_line(error)}.") from error
    if not model.graph.node or not model.graph.output:
        raise ModelError(
            f"{path} is not a whole ONNX model: it has no nodes or no outputs.",
            remedy="Export or copy it again.",
        )
    if model.ir_version > _NEWEST_IR_VERSION:
        raise ModelError(
            f"{path.name} has the IR version {model.ir_version}, which is newer than the ONNX "
            f"Runtime here reads ({_NEWEST_IR_VERSION}).",
            remedy="Export it for an older version of ONNX.",
        )
    if not all(isinstance(name, str) for name in all_names(model.graph)):
        raise ModelError(
            f"{path} holds names that are no text in UTF-8.", remedy="Export or copy it again."
        )
    cleaned = clean(model)
    has_inlined = holds_own_operators(model)
    if has_inlined:
        refuse_mixed_opsets(model, path.name)
        model = inline_functions(model)
    rewritten = write_by_standard(model)
    is_old = model.ir_version < LEAST_IR_VERSION
    return Loaded(
        model=model,
        data=data,
        is_changed=bool(cleaned.changed or has_inlined or rewritten or data.moved or is_old),
        notes=cleaned.notes,
    )


def load_whole(path: Path, requests: Mapping[str, InputRequest] | None = None) -> onnx.ModelProto:
    """The model with its external data, and without the inputs that ``requests`` fixes.

    Constants are no inputs, as old files have them.
    ModelError where the file is broken.
    """
    model = load_file(path, external=True).model
    graph = model.graph
    fix_inputs(graph, fixed_values(path, graph, requests or {}))
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    model.ir_version = max(LEAST_IR_VERSION, model.ir_version)
    return model


def one_line(error: object) -> str:
    """An exception's text on one line, cut to what a person reads."""
    return " ".join(str(error).split())[:300].rstrip(".")
