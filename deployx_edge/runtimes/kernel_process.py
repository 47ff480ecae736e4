"""ONNX Runtime with kernels that may be wrong, in a process of its own, where it may die alone.

A kernel that reads what is not its own, or never ends, is told as that; in this process it would
end the command without a word.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import MissingToolError, ModelError
from deployx_edge.graph.onnx_runtime import require_library
from deployx_edge.runtimes.runner_process import RunnerProcess

if TYPE_CHECKING:
    from deployx_edge.model import Array

_PROGRAM = (sys.executable, "-m", "deployx_edge.runtimes.kernel_child")


class KernelProcess:
    """The process, which runs one bundle's file; it is started with the first run."""

    def __init__(self, path: Path, operators: Collection[str]) -> None:
        """``operators`` are those of the model that ONNX Runtime lacks; MissingToolError where the
        library does not have them as their folders do."""
        require_library(operators)
        self._path = path
        title = f"ONNX Runtime with the kernels of {', '.join(sorted(operators))}"
        self._process = RunnerProcess(_PROGRAM, title, path.name, {})
        self._process.ask({"model": str(path.absolute())})

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def close(self) -> None:
        """End the process."""
        self._process.close()

    def run(self, names: Sequence[str], arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Those tensors by name, of which no two are the same; ModelError where it died of them."""
        import numpy as np

        ready = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        inputs = [
            {"name": name, "dtype": array.dtype.name, "shape": np.shape(arrays[name])}
            for name, array in ready.items()
        ]
        with self._process.watched():
            self._process.ask({"tensors": list(names), "inputs": inputs}, *ready.values())
            answer = self._process.answer()
            if "missing" in answer:
                raise MissingToolError(answer["missing"], remedy=answer["remedy"])
            if "refused" in answer:
                raise ModelError(
                    f"{self._path.name} does not run in ONNX Runtime: {answer['refused']}."
                )
            found = {}
            for entry in answer["arrays"]:
                found[entry["name"]] = np.empty(entry["shape"], dtype=entry["dtype"])
                self._process.fill(found[entry["name"]])
        return found
