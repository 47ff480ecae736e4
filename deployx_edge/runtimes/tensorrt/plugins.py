"""Operators of our own in a model for TensorRT, which knows them as plugins of our worker's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.operator_facts import find_operator
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.runtimes.tensorrt.operators import is_known

if TYPE_CHECKING:
    import onnx

_RUNTIME = __package__.rpartition(".")[2]


def plugin_of(node: onnx.NodeProto) -> OperatorFacts | None:
    """The operator of our own that computes the node; None where TensorRT does so itself."""
    if is_known(node.domain, node.op_type):
        return None
    facts = find_operator(node.domain, node.op_type)
    return facts if facts is not None and _RUNTIME in facts.runtimes else None


def fill_gaps(model: onnx.ModelProto) -> None:
    """Give inputs that a plugin's node leaves out a value, where others come after them.

    TensorRT hands on what is there, one after the other, so that a plugin could not tell which is
    missing. ModelError where nothing stands for what is left out.
    """
    for node in model.graph.node:
        facts = plugin_of(node)
        if facts is None:
            continue
        while node.input and not node.input[-1]:
            node.input.pop()
        for place, name in enumerate(node.input):
            if not name:
                node.input[place] = _stand_in(model, node, facts, place)


def _stand_in(
    model: onnx.ModelProto, node: onnx.NodeProto, facts: OperatorFacts, place: int
) -> str:
    """The name of a constant that changes nothing: a bias of zeros beside known weights."""
    import numpy as np
    from onnx import numpy_helper

    ports = {port.name: index for index, port in enumerate(facts.inputs)}
    weights = node.input[ports["W"]] if "W" in ports else ""
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    port = facts.inputs[place].name
    if port != "B" or weights not in known:
        raise ModelError(
            f"Operator '{node.op_type}' (node '{node.name}') leaves out its input '{port}' and has "
            "others after it, which no plugin of TensorRT can tell apart.",
            remedy=f"Give it a value for '{port}'.",
        )
    zeros = np.zeros(known[weights].dims[0], dtype=np.float32)
    tensor = numpy_helper.from_array(zeros, f"{node.output[0]}/{port}")
    model.graph.initializer.append(tensor)
    return tensor.name


def without_plugins(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without plugins: what they give are inputs of it, where their shapes are known.

    The model itself where it has none.
    """
    import onnx

    plugins = [node for node in model.graph.node if plugin_of(node) is not None]
    if not plugins:
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    given = {name for node in plugins for name in node.output if name}
    rest = [node for node in made.graph.node if plugin_of(node) is None]
    del made.graph.node[:]
    made.graph.node.extend(rest)
    shown = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    outputs = [value for value in made.graph.output if value.name not in given]
    del made.graph.output[:]
    made.graph.output.extend(outputs)
    infos = [value for value in made.graph.value_info if value.name not in given]
    del made.graph.value_info[:]
    made.graph.value_info.extend(infos)
    made.graph.input.extend(shown[name] for name in sorted(given & shown.keys()))
    return made


def lacks_tensors(model: onnx.ModelProto) -> bool:
    """Whether a node reads what nothing gives: a plugin's output of unknown shape."""
    known = {value.name for value in model.graph.input}
    known |= {tensor.name for tensor in model.graph.initializer}
    known |= {name for node in model.graph.node for name in node.output}
    return any(name and name not in known for node in model.graph.node for name in node.input)
