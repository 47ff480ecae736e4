"""The model as PPQ is given it: the same nodes under the same names, with nothing left unsaid.

PPQ knows an operator's attributes only where they are written, reads a node without the values
that its sub-graphs take from outside, and takes all omitted outputs for one tensor. So defaults
are written out, and what a node reads and makes has a name. The view is for finding scales:
what is emitted or exported is the model itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx

_OMITTED = "deployx-omitted"
_PASSED = "deployx-passed"
_ONNX = ("", "ai.onnx")


def view_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that PPQ reads as ONNX means it. Every node must have a name of its own.

    A node's inputs are its own, then what its sub-graphs read from outside (``outer_inputs``).
    """
    made = copy.deepcopy(model)
    opsets = {entry.domain: entry.version for entry in made.opset_import}
    _constants_to_initializers(made.graph)
    for node in made.graph.node:
        _write_defaults(node, opsets)
        while node.input and not node.input[-1]:  # PPQ takes it for an input
            del node.input[-1]
        node.input.extend(outer_inputs(node))
        for place, name in enumerate(node.output):
            if not name:
                node.output[place] = f"{_OMITTED}/{node.name}/{place}"
    _make_outputs(made.graph)
    return made


def outer_inputs(node: onnx.NodeProto) -> list[str]:
    """The tensors that a node's sub-graphs read and do not make, each once."""
    found = dict.fromkeys(name for graph in _graphs(node) for name in _free_names(graph))
    return [name for name in found if name not in node.input]


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _free_names(graph: onnx.GraphProto) -> Iterator[str]:
    known = {value.name for value in graph.input}
    known.update(tensor.name for tensor in graph.initializer)
    for node in graph.node:
        inner = [name for each in _graphs(node) for name in _free_names(each)]
        yield from (name for name in (*node.input, *inner) if name and name not in known)
        known.update(node.output)
    yield from (value.name for value in graph.output if value.name not in known)


def _constants_to_initializers(graph: onnx.GraphProto) -> None:
    from onnx import numpy_helper

    kept = []
    for node in graph.node:
        value = _constant(node) if node.op_type == "Constant" else None
        if value is None:
            kept.append(node)
        else:
            graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)


def _constant(node: onnx.NodeProto) -> Any:
    """The array of a Constant; None for strings and sparse ones, which no layer computes with."""
    import numpy as np
    from onnx import helper, numpy_helper

    attribute = node.attribute[0]
    value = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        return numpy_helper.to_array(value)
    if attribute.name in ("value_float", "value_floats"):
        return np.asarray(value, dtype=np.float32)
    if attribute.name in ("value_int", "value_ints"):
        return np.asarray(value, dtype=np.int64)
    return None


def _write_defaults(node: onnx.NodeProto, opsets: dict[str, int]) -> None:
    """The attributes that are not written, with the values that the operator's schema gives."""
    import numpy as np
    import onnx
    from onnx import helper, numpy_helper

    domain = "" if node.domain in _ONNX else node.domain
    version = opsets.get(domain, opsets.get("ai.onnx", 1))
    try:
        schema = onnx.defs.get_schema(node.op_type, version, domain)
    except onnx.defs.SchemaError:  # an operator of somebody's own
        return
    written = {attribute.name for attribute in node.attribute}
    for name, known in schema.attributes.items():
        if name not in written and known.default_value.type:
            node.attribute.append(known.default_value)
    if node.op_type == "ConstantOfShape" and "value" not in written:  # said in words only
        zero = numpy_helper.from_array(np.zeros(1, dtype=np.float32))
        node.attribute.append(helper.make_attribute("value", zero))


def _make_outputs(graph: onnx.GraphProto) -> None:
    """Outputs that no node makes (an input, a constant) are passed through a node of their own."""
    from onnx import helper

    made = {name for node in graph.node for name in node.output}
    for value in graph.output:
        if value.name not in made:
            name = f"{_PASSED}/{value.name}"
            graph.node.append(helper.make_node("Identity", [value.name], [name], name=name))
            value.name = name


@dataclass(frozen=True, kw_only=True)
class Window:
    """What a convolution or pooling moves over its input, by what the shapes are in a run.

    ``sizes`` are the input's along the window's axes, ``out`` the output's; ``kernel`` is that
    of the weights, or what ``attributes`` say.
    """

    type: str
    attributes: Mapping[str, Any]
    sizes: Sequence[int]
    kernel: Sequence[int]
    out: Sequence[int]

    def written(self) -> dict[str, Any]:
        """All of it as attributes; ``auto_pad`` and ``output_shape`` have become ``pads``."""
        rank = len(self.sizes)
        window = {
            "kernel_shape": list(self.kernel),
            "strides": self._given("strides", 1),
            "dilations": self._given("dilations", 1),
            "auto_pad": "NOTSET",
        }
        if self._is_transposed:
            window["output_padding"] = self._given("output_padding", 0)
        mode = self.attributes.get("auto_pad", "NOTSET")
        asked = self._is_transposed and self.attributes.get("output_shape")
        if mode in ("SAME_UPPER", "SAME_LOWER") or asked:
            pairs = [self._pads(axis, mode) for axis in range(rank)]
            window["pads"] = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        else:
            window["pads"] = list(self.attributes.get("pads") or [0] * (2 * rank))
        return window

    @property
    def _is_transposed(self) -> bool:
        return self.type == "ConvTranspose"

    def _given(self, name: str, default: int) -> list[int]:
        return list(self.attributes.get(name) or [default] * len(self.sizes))

    def _pads(self, axis: int, mode: str) -> tuple[int, int]:
        """Before and behind; the odd one comes first for SAME_LOWER and most transposed ones."""
        stride = self._given("strides", 1)[axis]
        reach = (self.kernel[axis] - 1) * self._given("dilations", 1)[axis] + 1
        if self._is_transposed:
            extra = self._given("output_padding", 0)[axis]
            total = stride * (self.sizes[axis] - 1) + extra + reach - self.out[axis]
        else:
            total = (self.out[axis] - 1) * stride + reach - self.sizes[axis]
        total = max(total, 0)
        is_first = mode == "SAME_LOWER" or (self._is_transposed and mode != "SAME_UPPER")
        before = total - total // 2 if is_first else total // 2
        return before, total - before
