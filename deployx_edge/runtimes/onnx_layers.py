"""The layers of a converted model that is ONNX, for the runners of runtimes that read it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from deployx_edge.differences import WholeValues
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.runner import (
    Arrays,
    Culprit,
    Producer,
    Take,
    check_arrays,
    take_nothing,
)
from deployx_edge.sources.onnx.file import OnnxSource

if TYPE_CHECKING:
    import onnx

    from deployx_edge.model import Array


class OpenOnnxModel(ABC):
    """An ``OpenModel`` whose tensors are asked for by the names that they have in the source."""

    def __init__(self, model: ConvertedModel) -> None:
        self.model = model
        self.path = model.path(ONNX_ROLE)
        self.overflows: HalfOverflows | None = None

    @abstractmethod
    def compute(self, arrays: Arrays, names: tuple[str, ...]) -> dict[str, Array]:
        """Those tensors, of which no two are the same."""

    def run(
        self,
        arrays: Arrays,
        inner: Sequence[str] = (),
        take: Take = take_nothing,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """See ``OpenModel``; half floats are given as float32.

        What is inside is computed apart: who asks for it stops runtimes from joining layers, and
        the outputs are to be those that a board gives.
        """
        check_arrays(self.model.inputs, [arrays])
        outputs = self._floats(arrays, [spec.name for spec in self.model.outputs])
        if inner:
            for name, array in self._floats(arrays, inner).items():
                take(name, WholeValues(array))
        return outputs

    def _floats(self, arrays: Arrays, names: Sequence[str]) -> dict[str, Array]:
        import numpy as np

        return {
            name: array.astype(np.float32) if array.dtype == np.float16 else array
            for name, array in self.compute(arrays, tuple(dict.fromkeys(names))).items()
        }


class OnnxNames:
    """What ``Runner`` asks of names and values, where a model's tensors keep theirs.

    A runtime that does not have all tensors, or can tell who is to blame, says so itself.
    """

    step_quantized: Collection[str] = ()

    def producers(self, model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
        """See ``Runner``."""
        return onnx_producers(model, names)

    def tensors(self, model: ConvertedModel) -> tuple[str, ...]:
        """See ``Runner``."""
        return onnx_tensors(model)

    def culprit(self, model: ConvertedModel, inputs: Sequence[Arrays]) -> Culprit | None:
        """See ``Runner``; what it does wrong cannot be told from what is written wrong."""
        return None

    def matched(self, model: ConvertedModel, source: OnnxSource) -> Mapping[str, Producer]:
        """See ``Runner``; names survive."""
        return {}

    def name_of(self, tensor: str) -> str:
        """See ``Runner``."""
        return tensor

    def as_values(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """See ``Runner``; they are values."""
        return dict(tensors)

    def as_handed_on(self, model: ConvertedModel, tensors: Arrays) -> dict[str, Array]:
        """See ``Runner``; quantized tensors have nodes of their own."""
        return dict(tensors)


def onnx_producers(model: ConvertedModel, names: Sequence[str]) -> dict[str, Producer]:
    """See ``Runner.producers``; tensors keep their names."""
    wanted = set(names)
    return {
        name: Producer(layer=node.name or name, type=_type_of(node), runtime_name=name)
        for node in _graph(model).node
        for name in node.output
        if name in wanted
    }


def _type_of(node: onnx.NodeProto) -> str:
    """As people write it: with the domain of an operator that is none of ONNX Runtime's own."""
    return node.op_type if node.domain in KNOWN_DOMAINS else f"{node.domain}::{node.op_type}"


def onnx_tensors(model: ConvertedModel) -> tuple[str, ...]:
    """See ``Runner.tensors``."""
    return tuple(name for node in _graph(model).node for name in node.output if name)


def _graph(model: ConvertedModel) -> onnx.GraphProto:
    import onnx

    return onnx.load(model.path(ONNX_ROLE), load_external_data=False).graph
