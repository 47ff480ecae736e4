"""QNN on this computer: Qualcomm's HTP emulator, behind ONNX Runtime's QNN provider.

It computes what the HTP of a named SoC would, and says nothing about its speed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import LeftNode
from deployx_edge.distributions import installed_version
from deployx_edge.errors import MissingToolError, ModelError
from deployx_edge.graph.onnx_runtime import plain_reason
from deployx_edge.runtimes.converter import LeftNodesError
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
# What it says of a node whose operator it has not, whatever goes into it.
_LACKING = re.compile(r"^Operators of type `.*` are not supported")
# Telemetry would keep an id below the home folder and send it away.
_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def version() -> str:
    """The version of the wheel; MissingToolError where it is not installed."""
    _folder()
    return installed_version(_PACKAGE)


def is_lacking(node: LeftNode) -> bool:
    """Whether QNN leaves the node for its operator alone."""
    return _LACKING.match(node.reason) is not None


class RefusedError(ModelError):
    """QNN does not run a model, for another reason than nodes that it leaves to the processor."""


class QnnProcess:
    """A model that is loaded for a SoC, in a process of its own; a context manager.

    Raises LeftNodesError where QNN leaves any node to the processor, unless ``allow_fallback``:
    then ``left`` are those nodes. What its HTP's graph is made of is written to the file
    ``context``, where one is named.
    """

    def __init__(
        self, model: Path, soc: Soc, context: Path | None = None, *, allow_fallback: bool = False
    ) -> None:
        folder = _folder()
        self._model, self._soc = model, soc
        self.left: tuple[LeftNode, ...] = ()
        self._process = RunnerProcess(_PROGRAM, "QNN", model.name, _ENVIRONMENT)
        self._job = {
            "model": str(model.absolute()),
            "library": str(folder / _LIBRARY),
            "backend": str(folder / _BACKEND),
            "options": {**_OPTIONS, "soc_model": str(soc.number)},
            "entries": {**_KEEPING, _KEPT_AT: str(context.absolute())} if context else {},
            "allow_fallback": allow_fallback,
        }

    def __enter__(self) -> QnnProcess:
        try:
            with self._process.watched():
                self._process.ask(self._job)
                answer = self._process.answer()
                self._check(answer)
                self.left = _nodes(answer["left"])
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
        nodes = _nodes(answer["refused"])
        if nodes:
            raise self.refusal(nodes)
        said = plain_reason(Exception(answer["said"]))
        raise RefusedError(f"QNN for {self._soc.name} does not run {self._model.name}: {said}.")

    def refusal(self, nodes: tuple[LeftNode, ...]) -> LeftNodesError:
        """The error that names these nodes, and the ways out."""
        return LeftNodesError(
            f"QNN for {self._soc.name} does not run {self._model.name} as a whole; it leaves to "
            f"the processor: {_listed(nodes)}.",
            nodes,
            remedy="Let the processor compute them (--allow-fallback), take them out of its part "
            "of the model with --partition, or rewrite them (docs/write-a-rewriter.md).",
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


def _nodes(entries: Iterable[Mapping[str, str]]) -> tuple[LeftNode, ...]:
    return tuple(LeftNode(**entry) for entry in entries)


def _listed(nodes: Iterable[LeftNode]) -> str:
    named = [str(node) for node in nodes]
    more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
    return ", ".join(named[:_NAMED]) + more
