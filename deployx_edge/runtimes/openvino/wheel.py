"""OpenVINO on this computer: its Python wheel, which is loaded late and tells nobody."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

from deployx_edge.distributions import installed_version
from deployx_edge.errors import MissingToolError, ModelError, UsageError
from deployx_edge.processors import free_cores

# What it prints before what it means: its own files, and the conditions that did not hold.
_PREAMBLE = ("Exception from ", "Check '")
_LONGEST = 300
_TELEMETRY = "openvino_telemetry"


def version() -> str:
    """The version of the wheel; MissingToolError where it is not installed."""
    _require()
    return installed_version("openvino")


def _require() -> None:
    if find_spec("openvino") is None:
        raise MissingToolError(
            "OpenVINO's models are made and run by the Python package openvino, which is not "
            "installed.",
            remedy="Install it with: pip install 'deployx-edge[openvino]'",
        )


@cache
def _openvino() -> Any:
    """The module; MissingToolError where it is not installed."""
    _require()
    # On import it writes an id below the home folder and sends it away. Without that package it
    # does neither, and misses nothing.
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        del sys.modules[_TELEMETRY]
        if before is not None:
            sys.modules[_TELEMETRY] = before
    return openvino


@cache
def _core() -> Any:
    return _openvino().Core()


def read(name: str, model: bytes) -> Any:
    """The model in OpenVINO's form; ModelError where it is refused. ``name`` is the file's."""
    openvino_core = _core()
    try:
        return openvino_core.read_model(model)
    except Exception as error:  # its exceptions are RuntimeErrors of whatever cause
        raise _refusal(name, error) from error


def compile_model(name: str, model: bytes, outputs: Sequence[str]) -> Any:
    """The model ready to run in fp32, with those tensors of it as its outputs."""
    read_model = read(name, model)
    try:
        given = {each for port in read_model.outputs for each in port.get_names()}
        read_model.add_outputs([each for each in outputs if each not in given])
        return _core().compile_model(read_model, "CPU", _properties())
    except Exception as error:
        raise _refusal(name, error) from error


def ports(found: Sequence[Any], names: Sequence[str]) -> list[tuple[Any, str]]:
    """The ports of a compiled model with the names that the ONNX file has for them, in its order.

    By their names, else by their places: what only hands its input on has one name for both.
    """
    named = {name: port for port in found for name in port.get_names()}
    return [(named.get(name, port), name) for port, name in zip(found, names, strict=True)]


def tensor(array: Any) -> Any:
    """An input with a copy of the array's values.

    UsageError for whole numbers that would become others: 64 bits are computed in 32.
    """
    import numpy as np

    limits = np.iinfo(np.int32)
    if array.dtype in (np.int64, np.uint64) and array.size:
        beyond = array[(array < limits.min) | (array > limits.max)]
        if beyond.size:
            raise UsageError(
                f"An input holds {beyond.flat[0]}; OpenVINO computes whole numbers of 64 bits in "
                "32."
            )
    return _openvino().Tensor(np.array(array, order="C"), shared_memory=False)


def _properties() -> Mapping[str, Any]:
    return {
        # Processors with half floats or bfloat16 would compute in those.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": free_cores(),
        # Others compute here too, and must not all be bound to the same cores.
        "ENABLE_CPU_PINNING": False,
    }


def _refusal(name: str, error: Exception) -> ModelError:
    return ModelError(f"OpenVINO {version()} refuses {name}: {plain_reason(str(error))}.")


def plain_reason(text: str) -> str:
    """What OpenVINO says, on one line, without where in itself it found that out."""
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith(_PREAMBLE)]
    return " ".join(said or lines)[:_LONGEST].rstrip(" .:")
