"""What half floats cannot hold inside an ONNX model, tensor by tensor and sum by sum.

ONNX Runtime on x86 computes most nodes of an fp16 file in floats and only rounds what lies between
them; on ARM convolutions, products of matrices and average pools also add in half floats. So the
model runs once more with absolute weights on absolute values at every such node: no order in
which its terms can be added comes to more. The runs give only the largest value of each, not the
tensors.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.comparison import FP16_LARGEST
from deployx_edge.errors import ModelError
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.graph.values import without_weights
from deployx_edge.runtimes.converter import HalfOverflows
from deployx_edge.sources.onnx.loading import one_line

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_ADDING = ("AveragePool", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "MatMul")


def graph_overflows(
    model: onnx.ModelProto, inputs: Sequence[Mapping[str, NDArray[Any]]], path: Path
) -> HalfOverflows:
    """The tensors and, by their names, the nodes of the model that half floats cannot hold.

    ``path`` is where the model lies. Raises ModelError where the model does not run.
    """
    measured, tensors, sums = _with_maxima(model)
    largest: dict[str, float] = {}
    wanted = [*tensors, *sums]
    try:
        session = open_model(measured.SerializeToString(), folder=path.parent)
        for arrays in inputs:
            for name, value in zip(wanted, session.run(wanted, dict(arrays)), strict=True):
                found = float(value)
                if math.isfinite(found):
                    largest[name] = max(largest.get(name, 0.0), found)
    except Exception as error:  # ONNX Runtime's exceptions share no base
        raise ModelError(f"{path.name} does not run: {one_line(error)}.") from error
    return HalfOverflows(
        tensors=_beyond({tensors[name]: largest.get(name, 0.0) for name in tensors}),
        sums=_beyond(
            {node: largest.get(name, 0.0) * times for name, (node, times) in sums.items()}
        ),
    )


def _beyond(values: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value > FP16_LARGEST}


def _with_maxima(
    model: onnx.ModelProto,
) -> tuple[onnx.ModelProto, dict[str, str], dict[str, tuple[str, float]]]:
    """The model with scalars as its outputs: the largest values of its tensors and sums.

    Beside it the tensors by these scalars' names, and the nodes with what is to be multiplied.
    """
    import onnx

    made = copy.deepcopy(model)
    graph = made.graph
    floats = _float_tensors(made)
    maxima = _Maxima(graph)
    tensors = {
        maxima.largest(maxima.absolute(name)): name
        for node in model.graph.node
        for name in node.output
        if name in floats
    }
    sums = {}
    for node in model.graph.node:
        if node.op_type in _ADDING and node.domain == "" and node.output[0] in floats:
            sums[maxima.largest(maxima.sum_of(node))] = (node.name, _terms(node))
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in (*tensors, *sums))
    return made, tensors, sums


class _Maxima:
    """Adds nodes to a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._absolute: dict[str, str] = {}
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)}

    def absolute(self, tensor: str) -> str:
        """The tensor's absolute values."""
        from onnx import numpy_helper

        if tensor not in self._absolute:
            name = self._absolute[tensor] = self._name(f"{tensor}/abs")
            if tensor in self._weights:
                values = abs(numpy_helper.to_array(self._weights[tensor]))
                self._graph.initializer.append(numpy_helper.from_array(values, name))
            else:
                self._add("Abs", [tensor], name)
        return self._absolute[tensor]

    def sum_of(self, node: onnx.NodeProto) -> str:
        """What the node gives for absolute weights and inputs; of a global pool the sum."""
        name = self._name(f"{node.output[0]}/sum")
        given = [self.absolute(each) if each else "" for each in node.input]
        copied = self._graph.node.add()
        copied.CopyFrom(node)
        copied.name = name
        del copied.input[:], copied.output[:]
        copied.input.extend(given)
        copied.output.append(name)
        for attribute in copied.attribute:
            if attribute.name in ("alpha", "beta"):  # of Gemm, which scales what it has added
                attribute.f = max(abs(attribute.f), 1.0)
        return self._times_terms(given[0], name) if node.op_type == "GlobalAveragePool" else name

    def largest(self, tensor: str) -> str:
        """The largest value of a tensor."""
        name = self._name(f"{tensor}/max")
        return self._add("ReduceMax", [tensor], name, keepdims=0)

    def _times_terms(self, image: str, means: str) -> str:
        """The means times the number of values behind each, whatever the image's size is."""
        sizes = []
        for tensor in (image, means):
            size = self._add("Size", [tensor], self._name(f"{means}/size"))
            sizes.append(self._add("Cast", [size], self._name(f"{means}/float"), to=1))
        terms = self._add("Div", sizes, self._name(f"{means}/terms"))
        return self._add("Mul", [means, terms], self._name(f"{means}/total"))

    def _add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self._graph.node.append(
            helper.make_node(operator, inputs, [output], name=output, **attributes)
        )
        return output

    def _name(self, wanted: str) -> str:
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted


def _terms(node: onnx.NodeProto) -> float:
    """How many values stand behind one of an average."""
    kernel = [entry.ints for entry in node.attribute if entry.name == "kernel_shape"]
    return float(math.prod(kernel[0])) if node.op_type == "AveragePool" and kernel else 1.0


def _float_tensors(model: onnx.ModelProto) -> set[str]:
    """The tensors that nodes make and that are float32, as far as inference can tell."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(without_weights(model)).graph
    return {
        value.name
        for value in (*inferred.value_info, *inferred.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
