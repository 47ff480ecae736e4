"""The SDK's ``snpe-net-run`` on this computer's processor, as what runs converted models.

It reads inputs from files and writes outputs to files, and is started for each run. A quantized
model it computes in floats of what its codes stand for.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.model import TensorSpec
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.runner import (
    Arrays,
    Culprit,
    OpenModel,
    Producer,
    Take,
    check_arrays,
    take_nothing,
)
from deployx_edge.runtimes.snpe.converter import DLC_ROLE
from deployx_edge.runtimes.snpe.quantizer import write_input_list
from deployx_edge.runtimes.snpe.tools import Asked, first_tool, run_tool
from deployx_edge.sources.onnx.file import OnnxSource

if TYPE_CHECKING:
    from deployx_edge.model import Array

_RUN = "snpe-net-run"
_MADE = "made"


class _OpenDlc:
    def __init__(self, model: ConvertedModel) -> None:
        self._model = model
        self._dlc = model.path(DLC_ROLE).absolute()
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        inner: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; what is inside are its outputs again."""
        from deployx_edge.differences import WholeValues

        check_arrays(self._model.inputs, [arrays])
        with tempfile.TemporaryDirectory(prefix="deployx-edge-snpe-") as name:
            found = self._run(Path(name), arrays)
        for tensor in inner:
            take(tensor, WholeValues(found[tensor]))
        return found

    def _run(self, folder: Path, arrays: Arrays) -> dict[str, Array]:
        inputs = {spec.runtime_name: arrays[spec.name] for spec in self._model.inputs}
        outputs = [spec.runtime_name for spec in self._model.outputs]
        listed = write_input_list(folder, [inputs], outputs)
        asked = Asked(name=self._dlc.name, nodes={})
        given = ("--container", self._dlc, "--input_list", listed.name, "--output_dir", _MADE)
        run_tool(_RUN, given, asked, folder)
        return {spec.name: _read(folder / _MADE / "Result_0", spec) for spec in self._model.outputs}


def _read(folder: Path, spec: TensorSpec) -> Array:
    import numpy as np

    path = folder / f"{spec.runtime_name}.raw"
    if not path.is_file():
        there = ", ".join(sorted(file.name for file in folder.glob("*.raw"))) or "nothing"
        raise ModelError(f"{_RUN} gave {there}, and not the output '{spec.runtime_name}'.")
    array = np.fromfile(path, dtype=np.float32)
    if array.size != math.prod(spec.shape):
        raise ModelError(
            f"{_RUN} gave {array.size} values for the output '{spec.name}', which has "
            f"{math.prod(spec.shape)}."
        )
    return array.reshape(spec.shape)


class SnpeRunner:
    """``snpe-net-run`` on the processor (see ``Runner``). Layers inside are not compared: the
    SDK's converter moves their axes."""

    step_quantized: Collection[str] = ()

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``; MissingToolError without the SDK."""
        first_tool(_RUN)
        yield _OpenDlc(model)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``; of what is inside none can be asked for."""
        return {}

    def matched(self, model: ConvertedModel, source: OnnxSource) -> Mapping[str, Producer]:
        """See ``Runner``; its outputs."""
        return {
            spec.name: Producer(layer=spec.name, type="output", runtime_name=spec.name)
            for spec in model.outputs
            if spec.name in source.output_names
        }

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``; its outputs."""
        return tuple(spec.name for spec in model.outputs)

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``; what it does wrong cannot be told from what is written wrong."""
        return None

    def name_of(self, tensor: str) -> str:
        """See ``Runner``."""
        return tensor

    def as_values(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """See ``Runner``; they are values."""
        return dict(tensors)

    def as_handed_on(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """See ``Runner``; outputs are floats."""
        return dict(tensors)
