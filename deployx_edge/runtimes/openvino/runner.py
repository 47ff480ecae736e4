"""OpenVINO on this computer, as what runs converted models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.onnx_layers import OnnxNames, OpenOnnxModel, onnx_producers, onnx_tensors
from deployx_edge.runtimes.openvino import wheel
from deployx_edge.runtimes.runner import Arrays, OpenModel, Producer

if TYPE_CHECKING:
    from deployx_edge.model import Array


class _OpenOpenvinoModel(OpenOnnxModel):
    def __init__(self, model: ConvertedModel) -> None:
        super().__init__(model)
        self._input_names = [spec.name for spec in model.inputs]
        self._compiled: dict[tuple[str, ...], Any] = {}

    def compute(self, arrays: Arrays, names: tuple[str, ...]) -> dict[str, Array]:
        """See ``OpenOnnxModel``."""
        import numpy as np

        compiled = self._ready(names)
        try:
            request = compiled.create_infer_request()
            for port, name in wheel.ports(compiled.inputs, self._input_names):
                request.set_tensor(port, wheel.tensor(arrays[name]))
            request.infer()
            return {
                name: np.array(request.get_tensor(port).data)
                for port, name in wheel.ports(compiled.outputs, self._names_of(names))
                if name in names
            }
        except UsageError:
            raise
        except Exception as error:
            reason = wheel.plain_reason(str(error))
            raise ModelError(f"{self.path.name} does not run in OpenVINO: {reason}.") from error

    def _names_of(self, wanted: Sequence[str]) -> list[str]:
        own = [spec.name for spec in self.model.outputs]
        return own + [name for name in wanted if name not in own]

    def _ready(self, names: tuple[str, ...]) -> Any:
        if names not in self._compiled:
            model = self.path.read_bytes()
            self._compiled[names] = wheel.compile_model(self.path.name, model, names)
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
