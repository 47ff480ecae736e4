"""The toolkit's simulator, as what runs converted models on this computer.

It runs what the toolkit has just built, and no .rknn file, so the ONNX model of a bundle is built
again: the same file, chip and toolkit give the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployx_edge.differences import WholeValues
from deployx_edge.runtime import ONNX_ROLE, SOC_KEY
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.onnx_layers import OnnxNames, onnx_producers, onnx_tensors
from deployx_edge.runtimes.rknn import toolkit
from deployx_edge.runtimes.rknn.socs import PLATFORMS
from deployx_edge.runtimes.runner import (
    Arrays,
    Culprit,
    OpenModel,
    Producer,
    Take,
    check_arrays,
    take_nothing,
)

if TYPE_CHECKING:
    from deployx_edge.model import Array


class _OpenRknnModel:
    def __init__(self, model: ConvertedModel, process: toolkit.ToolkitProcess) -> None:
        self._model = model
        self._process = process
        self.overflows: HalfOverflows | None = None
        path = model.path(ONNX_ROLE)
        alone = model.precision == "int8"
        chip = PLATFORMS[soc_of(model)]
        process.ask({"do": "open", "onnx": str(path), "soc": chip, "alone": alone})

    def run(
        self,
        arrays: Arrays,
        blobs: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``.

        What is inside comes from another build: who asks for it stops the toolkit from joining
        layers, and the outputs are to be those that a board gives.
        """
        check_arrays(self._model.inputs, [arrays])
        specs = self._model.outputs
        found = self._tensors(arrays, ())
        outputs = {
            spec.name: array.reshape(spec.shape) if array.size == _size(spec.shape) else array
            for spec, array in zip(specs, found, strict=True)
        }
        if blobs:
            names = list(dict.fromkeys(blobs))
            for name, array in zip(names, self._tensors(arrays, names), strict=True):
                take(name, WholeValues(array))
        return outputs

    def _tensors(self, arrays: Arrays, names: Sequence[str]) -> list[Array]:
        given = [arrays[spec.name] for spec in self._model.inputs]
        shapes = [array.shape for array in given]
        return self._process.ask({"do": "run", "inputs": shapes, "outputs": list(names)}, given)


def soc_of(model: ConvertedModel) -> str:
    """The chip that the model's files are for."""
    import onnx

    loaded = onnx.load(model.path(ONNX_ROLE), load_external_data=False)
    return {entry.key: entry.value for entry in loaded.metadata_props}[SOC_KEY]


def _size(shape: Sequence[int]) -> int:
    import math

    return math.prod(shape)


class RknnRunner(OnnxNames):
    """The toolkit's simulator, in a process of its own (see ``Runner``)."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        with toolkit.open_toolkit(model.path(ONNX_ROLE).name) as process:
            yield _OpenRknnModel(model, process)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``."""
        return onnx_producers(model, names)

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        return onnx_tensors(model)

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``; what it does wrong cannot be told from what is written wrong."""
        return None
