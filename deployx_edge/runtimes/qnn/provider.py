"""QNN on this computer: Qualcomm's HTP emulator, behind ONNX Runtime's QNN provider.

It computes what the HTP of a named SoC would, and says nothing about its speed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.distributions import installed_version
from deployx_edge.errors import MissingToolError, ModelError
from deployx_edge.graph.onnx_runtime import plain_reason
from deployx_edge.runtimes.qnn.socs import Soc
from deployx_edge.runtimes.runner_process import RunnerProcess

if TYPE_CHECKING:
    from deployx_edge.model import Array

_PACKAGE = "onnxruntime-qnn"
_FOLDER = "onnxruntime_qnn"
_LIBRARY, _BACKEND = "libonnxruntime_providers_qnn.so", "libQnnHtp.so"
_PROGRAM = (sys.executable, "-m", "deployx_edge.runtimes.qnn.provider_process")
# By default the provider leaves QuantizeLinear at inputs and outputs to the processor.
_OPTIONS = {"offload_graph_io_quantization": "0"}
# Settings of a session that writes what it makes of a model, as one file.
_KEEPING = {"ep.context_enable": "1", "ep.context_embed_mode": "1"}
_KEPT_AT = "ep.context_file_path"
_NAMED = 5  # of the nodes that are refused
# Telemetry would keep an id below the home folder and send it away.
_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def version() -> str:
    """The version of the wheel; MissingToolError where it is not installed."""
    _folder()
    return installed_version(_PACKAGE)


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A node that QNN leaves to the processor, and why ("" where it does not tell)."""

    node: str
    operator: str
    reason: str

    def __str__(self) -> str:
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.operator} (node '{self.node}'){reason}"


class RefusedError(ModelError):
    """QNN does not run a model as a whole; ``nodes`` are those that it leaves to the processor."""

    def __init__(self, message: str, nodes: tuple[Refused, ...], *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.nodes = nodes


class QnnProcess:
    """A model that is loaded for a SoC, in a process of its own; a context manager.

    Raises RefusedError where QNN leaves any node to the processor. What its HTP's graph is made
    of is written to the file ``context``, where one is named.
    """

    def __init__(self, model: Path, soc: Soc, context: Path | None = None) -> None:
        folder = _folder()
        self._model, self._soc = model, soc
        self._process = RunnerProcess(_PROGRAM, "QNN", model.name, _ENVIRONMENT)
        self._job = {
            "model": str(model.absolute()),
            "library": str(folder / _LIBRARY),
            "backend": str(folder / _BACKEND),
            "options": {**_OPTIONS, "soc_model": str(soc.number)},
            "entries": {**_KEEPING, _KEPT_AT: str(context.absolute())} if context else {},
        }

    def __enter__(self) -> QnnProcess:
        try:
            with self._process.watched():
                self._process.ask(self._job)
                self._check(self._process.answer())
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def run(self, arrays: Mapping[str, Array], tensors: Sequence[str]) -> dict[str, Array]:
        """Those tensors by name; who asks for what is inside may stop QNN from joining layers."""
        import numpy as np

        ready = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        inputs = [
            {"name": name, "dtype": array.dtype.name, "shape": np.shape(arrays[name])}
            for name, array in ready.items()
        ]
        with self._process.watched():
            self._process.ask({"tensors": list(tensors), "inputs": inputs}, *ready.values())
            answer = self._process.answer()
            self._check(answer)
            found = {}
            for entry in answer["arrays"]:
                found[entry["name"]] = np.empty(entry["shape"], dtype=entry["dtype"])
                self._process.fill(found[entry["name"]])
        return found

    def _check(self, answer: Mapping[str, Any]) -> None:
        if "refused" not in answer:
            return
        nodes = tuple(Refused(**entry) for entry in answer["refused"])
        where = f"QNN for {self._soc.name}"
        if not nodes:
            said = plain_reason(Exception(answer["said"]))
            raise RefusedError(f"{where} does not run {self._model.name}: {said}.", nodes)
        raise RefusedError(
            f"{where} does not run {self._model.name} as a whole; it leaves to the processor: "
            f"{_listed(nodes)}.",
            nodes,
            remedy="Take these out of its part of the model with --partition, or rewrite them "
            "(docs/write-a-rewriter.md).",
        )


def _folder() -> Path:
    spec = find_spec(_FOLDER)
    if spec is None or spec.origin is None:
        raise MissingToolError(
            f"QNN's models are run here by the Python package {_PACKAGE}, which is not installed.",
            remedy="Install it with: pip install 'deployx-edge[qnn]' (Python 3.11 or newer, on "
            "x86-64 Linux).",
        )
    return Path(spec.origin).parent


def _listed(nodes: Iterable[Refused]) -> str:
    named = [str(node) for node in nodes]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
