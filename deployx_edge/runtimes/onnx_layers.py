"""The layers of a converted model that is ONNX, for the runners of runtimes that read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from deployx_edge.runtime import ONNX_ROLE
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.runner import Arrays, Producer
from deployx_edge.sources.onnx.file import OnnxSource

if TYPE_CHECKING:
    import onnx

    from deployx_edge.model import Array


class OnnxNames:
    """What ``Runner`` asks of names and values, where a model's tensors keep theirs."""

    step_quantized: Collection[str] = ()

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
        name: Producer(layer=node.name or name, type=node.op_type, runtime_name=name)
        for node in _graph(model).node
        for name in node.output
        if name in wanted
    }


def onnx_tensors(model: ConvertedModel) -> tuple[str, ...]:
    """See ``Runner.tensors``."""
    return tuple(name for node in _graph(model).node for name in node.output if name)


def _graph(model: ConvertedModel) -> onnx.GraphProto:
    import onnx

    return onnx.load(model.path(ONNX_ROLE), load_external_data=False).graph
