"""The toolkit's simulator, as what runs converted models on this computer.

It runs what the toolkit has just built, and no .rknn file, so the ONNX model of a bundle is built
again: the same file, chip and toolkit give the same model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.runtime import ONNX_ROLE, SOC_KEY
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.onnx_layers import OnnxNames, OpenOnnxModel, onnx_tensors
from deployx_edge.runtimes.rknn import toolkit
from deployx_edge.runtimes.rknn.socs import PLATFORMS
from deployx_edge.runtimes.runner import Arrays, OpenModel, Producer

if TYPE_CHECKING:
    from deployx_edge.model import Array

# The role of the toolkit's own text of what its calibration found.
RANGES_ROLE = "ranges"


class _OpenRknnModel(OpenOnnxModel):
    def __init__(self, model: ConvertedModel, process: toolkit.ToolkitProcess) -> None:
        super().__init__(model)
        self._process = process
        found = ranges_of(model)
        job = {"do": "open", "onnx": str(self.path.absolute()), "soc": PLATFORMS[soc_of(model)]}
        alone = model.precision == "int8"
        process.ask({**job, "alone": alone, "ranges": str(found.absolute()) if found else ""})

    def compute(self, arrays: Arrays, names: tuple[str, ...]) -> dict[str, Array]:
        """See ``OpenOnnxModel``; the toolkit builds the model anew for what is inside."""
        given = [arrays[spec.name] for spec in self.model.inputs]
        sizes = {spec.name: spec.shape for spec in self.model.outputs}
        if ranges_of(self.model) and names != tuple(sizes):  # what is inside cannot be had
            whole = self.compute(arrays, tuple(sizes))
            return {name: whole[name] for name in names}
        asked = [] if names == tuple(sizes) else list(names)
        shapes = [array.shape for array in given]
        found = self._process.ask({"do": "run", "inputs": shapes, "outputs": asked}, given)
        named = dict(zip(names, found, strict=True))
        if asked:
            return named
        return {
            name: array.reshape(sizes[name]) if array.size == math.prod(sizes[name]) else array
            for name, array in named.items()
        }


def ranges_of(model: ConvertedModel) -> Path | None:
    """The toolkit's own ranges, of a model that it calibrated itself."""
    return dict(model.files).get(RANGES_ROLE)


def soc_of(model: ConvertedModel) -> str:
    """The chip that the model's files are for."""
    import onnx

    loaded = onnx.load(model.path(ONNX_ROLE), load_external_data=False)
    return {entry.key: entry.value for entry in loaded.metadata_props}[SOC_KEY]


class RknnRunner(OnnxNames):
    """The toolkit's simulator, in a process of its own (see ``Runner``)."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        with toolkit.open_toolkit(model.path(ONNX_ROLE).name) as process:
            yield _OpenRknnModel(model, process)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``; of a model that the toolkit calibrated itself its outputs."""
        return super().producers(model, [name for name in names if name in self._given(model)])

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        given = self._given(model)
        return tuple(name for name in super().tensors(model) if name in given)

    def _given(self, model: ConvertedModel) -> set[str]:
        if ranges_of(model):
            return {spec.name for spec in model.outputs}
        return set(onnx_tensors(model))
