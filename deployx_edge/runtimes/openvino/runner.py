"""OpenVINO on this computer, as what runs converted models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deployx_edge.differences import WholeValues
from deployx_edge.errors import ModelError, UsageError
from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.onnx_layers import OnnxNames, onnx_producers, onnx_tensors
from deployx_edge.runtimes.openvino import wheel
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


class _OpenOpenvinoModel:
    def __init__(self, model: ConvertedModel) -> None:
        self._model = model
        self._path = model.path(ONNX_ROLE)
        self._input_names = [spec.name for spec in model.inputs]
        self._compiled: dict[tuple[str, ...], Any] = {}
        self.overflows: HalfOverflows | None = None

    def run(
        self,
        arrays: Arrays,
        inner: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; half floats are given as float32.

        What is inside comes from another compilation: who asks for it stops OpenVINO from joining
        layers, and the outputs are to be those that a board gives.
        """
        check_arrays(self._model.inputs, [arrays])
        outputs = self._tensors(arrays, [spec.name for spec in self._model.outputs])
        if inner:
            for name, array in self._tensors(arrays, inner).items():
                take(name, WholeValues(array))
        return outputs

    def _tensors(self, arrays: Arrays, names: Sequence[str]) -> dict[str, Array]:
        import numpy as np

        wanted = list(dict.fromkeys(names))
        compiled = self._ready(tuple(wanted))
        try:
            request = compiled.create_infer_request()
            for port, name in wheel.ports(compiled.inputs, self._input_names):
                request.set_tensor(port, wheel.tensor(arrays[name]))
            request.infer()
            found = {
                name: np.array(request.get_tensor(port).data)
                for port, name in wheel.ports(compiled.outputs, self._names_of(wanted))
                if name in wanted
            }
        except UsageError:
            raise
        except Exception as error:
            reason = wheel.plain_reason(str(error))
            raise ModelError(f"{self._path.name} does not run in OpenVINO: {reason}.") from error
        return {
            name: array.astype(np.float32) if array.dtype == np.float16 else array
            for name, array in found.items()
        }

    def _names_of(self, wanted: Sequence[str]) -> list[str]:
        own = [spec.name for spec in self._model.outputs]
        return own + [name for name in wanted if name not in own]

    def _ready(self, names: tuple[str, ...]) -> Any:
        if names not in self._compiled:
            model = self._path.read_bytes()
            self._compiled[names] = wheel.compile_model(self._path.name, model, names)
        return self._compiled[names]


class OpenvinoRunner(OnnxNames):
    """OpenVINO on the CPU, in this process (see ``Runner``)."""

    @contextmanager
    def open(self, model: ConvertedModel) -> Iterator[OpenModel]:
        """See ``Runner``."""
        yield _OpenOpenvinoModel(model)

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``."""
        return onnx_producers(model, self._known(model, names))

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        return tuple(self._known(model, onnx_tensors(model)))

    def _known(self, model: ConvertedModel, names: Sequence[str]) -> list[str]:
        """Those that OpenVINO can give: what its front end works out while it reads is gone."""
        path = model.path(ONNX_ROLE)
        operations = wheel.read(path.name, path.read_bytes()).get_ops()
        there = {
            name for each in operations for port in each.outputs() for name in port.get_names()
        }
        return [name for name in names if name in there]

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``; what it does wrong cannot be told from what is written wrong."""
        return None
