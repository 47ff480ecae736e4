"""Operators of MMDeploy's and mmcv's that are ONNX's own under another name, or a few of ONNX's.

They were written for TensorRT when it lacked them, and models exported there hold them. Written by
ONNX's operators every runtime has them. Only what is exactly the same is rewritten; the rest is for
operators of our own (``ops/``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.editing import GraphEditor, keep_nodes
from deployx_edge.graph.links import attribute, opset_of
from deployx_edge.operator_facts import users_operators

if TYPE_CHECKING:
    import onnx

# Their sizes and indices are counted by operators that came with it.
_LEAST_OPSET = 11
# From here on RoiAlign says how its places are counted.
_COUNTED_ROIS = 16
_CUBIC = -0.75  # of PyTorch's bicubic interpolation


class _Writer:
    """The nodes that one node becomes; the last one gives its output and has its name."""

    def __init__(self, node: onnx.NodeProto, editor: GraphEditor, opset: int) -> None:
        self.node = node
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self._editor = editor

    def has(self, place: int) -> bool:
        """Whether the node has that input."""
        return len(self.node.input) > place and bool(self.node.input[place])

    def add(self, operator: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """A node; gives the name of what it makes."""
        from onnx import helper

        is_end = output in self.node.output and bool(output)
        name = output or self._editor.free(f"{self.node.output[0]}/{operator}")
        title = self.node.name if is_end and output == self.node.output[0] else name
        self.nodes.append(helper.make_node(operator, inputs, [name], title, **attributes))
        return name

    def end(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """The node that gives what the node gave."""
        return self.add(operator, *inputs, output=self.node.output[0], **attributes)

    def integers(self, *values: int) -> str:
        """A constant list."""
        import numpy as np

        return self._constant(np.asarray(values, dtype=np.int64))

    def scalar(self, value: float | int) -> str:
        """A constant without axes, a float or a whole number as it is given."""
        import numpy as np

        dtype = np.float32 if isinstance(value, float) else np.int64
        return self._constant(np.asarray(value, dtype=dtype))

    def floats(self, *values: float) -> str:
        """A constant list."""
        import numpy as np

        return self._constant(np.asarray(values, dtype=np.float32))

    def sizes(self, tensor: str, begin: int, end: int) -> str:
        """The sizes of a tensor's axes from ``begin`` to before ``end``, as a list."""
        shape = self.add("Shape", tensor)
        return self.add("Slice", shape, self.integers(begin), self.integers(end), self.integers(0))

    def size(self, tensor: str, axis: int) -> str:
        """The size of one axis, without axes."""
        return self.add("Gather", self.add("Shape", tensor), self.scalar(axis), axis=0)

    def with_axis(self, tensor: str, axis: int) -> str:
        """The tensor with an axis of size 1 more."""
        name = self._editor.free(f"{self.node.output[0]}/axis")
        self.nodes.append(self._editor.with_axis("Unsqueeze", tensor, axis, name))
        return name

    def range(self, count: str) -> str:
        """0, 1, … to before ``count``."""
        return self.add("Range", self.scalar(0), count, self.scalar(1))

    def _constant(self, values: Any) -> str:
        return self._editor.constant(f"{self.node.output[0]}/constant", values)


# False where a node of that name is not what ONNX's operators are.
_Rule = Callable[[_Writer], bool]


def _renamed(operator: str, *attributes: str) -> _Rule:
    def rule(writer: _Writer) -> bool:
        kept = {
            name: value
            for name in attributes
            if (value := attribute(writer.node, name)) is not None
        }
        writer.end(operator, *writer.node.input, **kept)
        return True

    return rule


def _gather_top_k(writer: _Writer) -> bool:
    """Rows of each sample by their numbers: all samples become one list of rows."""
    from onnx import TensorProto

    data, index = writer.node.input
    rows = writer.size(data, 1)
    row = writer.add("Concat", writer.integers(-1), writer.sizes(data, 2, 2**31), axis=0)
    flat = writer.add("Reshape", data, row)
    begins = writer.add("Mul", writer.range(writer.size(data, 0)), rows)
    whole = writer.add("Cast", index, to=TensorProto.INT64)
    places = writer.add("Add", whole, writer.with_axis(begins, 1))
    writer.end("Gather", flat, places, axis=0)
    return True


def _grid_priors(writer: _Writer) -> bool:
    """The base anchors at each place of a map, which is as large as two other inputs are long."""
    from onnx import TensorProto

    anchors, height, width = writer.node.input
    shifts = []
    for source, name in ((width, "stride_w"), (height, "stride_h")):
        count = writer.range(writer.size(source, 0))
        places = writer.add("Cast", count, to=TensorProto.FLOAT)
        step = writer.scalar(float(attribute(writer.node, name, 1)))
        shifts.append(writer.add("Mul", places, step))
    grid = writer.add("Concat", writer.sizes(height, 0, 1), writer.sizes(width, 0, 1), axis=0)
    x = writer.add("Expand", writer.with_axis(shifts[0], 0), grid)
    y = writer.add("Expand", writer.with_axis(shifts[1], 1), grid)
    columns = [writer.with_axis(each, 2) for each in (x, y, x, y)]
    both = writer.add("Concat", *columns, axis=2)
    places = writer.add("Reshape", both, writer.integers(-1, 1, 4))
    moved = writer.add("Add", places, writer.with_axis(anchors, 0))
    writer.end("Reshape", moved, writer.integers(-1, 4))
    return True


def _attention(writer: _Writer) -> bool:
    """softmax(q kᵀ / √width + mask) v, and the softmax itself."""
    from onnx import TensorProto

    query, key, value = writer.node.input[:3]
    width = writer.add("Cast", writer.size(query, 2), to=TensorProto.FLOAT)
    scaled = writer.add("Div", query, writer.add("Sqrt", width))
    scores = writer.add("MatMul", scaled, writer.add("Transpose", key, perm=[0, 2, 1]))
    if writer.has(3):
        scores = writer.add("Add", scores, writer.node.input[3])
    shares = writer.node.output[1] if len(writer.node.output) > 1 else ""
    weights = writer.add("Softmax", scores, output=shares, axis=2)
    writer.end("MatMul", weights, value)
    return True


def _cubic(writer: _Writer, sizes: str) -> bool:
    aligned = attribute(writer.node, "align_corners", 0)
    tensor = writer.node.input[0]
    whole = writer.add("Concat", writer.sizes(tensor, 0, 2), sizes, axis=0)
    # Older opsets want a region, which nothing reads.
    region = writer.floats() if writer.opset < 13 else ""
    writer.end(
        "Resize",
        *(tensor, region, writer.floats() if writer.opset < 13 else "", whole),
        mode="cubic",
        cubic_coeff_a=_CUBIC,
        coordinate_transformation_mode="align_corners" if aligned else "half_pixel",
    )
    return True


def _bicubic(writer: _Writer) -> bool:
    """To a multiple of height and width, rounded down."""
    from onnx import TensorProto

    factors = attribute(writer.node, "scale_factor", [1.0, 1.0])
    if len(factors) != 2:
        return False
    sizes = writer.add("Cast", writer.sizes(writer.node.input[0], 2, 4), to=TensorProto.FLOAT)
    scaled = writer.add("Floor", writer.add("Mul", sizes, writer.floats(*factors)))
    return _cubic(writer, writer.add("Cast", scaled, to=TensorProto.INT64))


def _resize_like(writer: _Writer) -> bool:
    """To the height and width of another tensor."""
    return _cubic(writer, writer.sizes(writer.node.input[1], 2, 4))


def _roi_align(writer: _Writer) -> bool:
    """Means of regions; the largest value of a region is something else in ONNX."""
    from onnx import TensorProto

    node = writer.node
    aligned = bool(attribute(node, "aligned", 1))
    pooled = attribute(node, "mode", b"avg")
    if pooled not in (b"avg", "avg") or (aligned and writer.opset < _COUNTED_ROIS):
        return False
    images, regions = node.input
    # A region of an image that is not there means nothing; ONNX Runtime ends at one.
    last = writer.add("Sub", writer.size(images, 0), writer.scalar(1))
    last = writer.add("Cast", last, to=TensorProto.FLOAT)
    numbers = writer.add("Gather", regions, writer.scalar(0), axis=1)
    numbers = writer.add("Clip", numbers, writer.scalar(0.0), last)
    corners = writer.add(
        "Slice", regions, writer.integers(1), writer.integers(5), writer.integers(1)
    )
    settings: dict[str, Any] = {
        "output_height": attribute(node, "output_height", 1),
        "output_width": attribute(node, "output_width", 1),
        "spatial_scale": attribute(node, "spatial_scale", 1.0),
        "sampling_ratio": attribute(node, "sampling_ratio", 0),
        "mode": "avg",
    }
    if writer.opset >= _COUNTED_ROIS:
        mode = "half_pixel" if aligned else "output_half_pixel"
        settings["coordinate_transformation_mode"] = mode
    whole = writer.add("Cast", numbers, to=TensorProto.INT64)
    writer.end("RoiAlign", images, corners, whole, **settings)
    return True


_RULES: dict[tuple[str, str], _Rule] = {
    **{
        ("mmdeploy", name): _renamed("InstanceNormalization", "epsilon")
        for name in ("TRTInstanceNormalization", "MMCVInstanceNormalization")
    },
    ("mmdeploy", "ScatterND"): _renamed("ScatterND"),
    ("mmdeploy", "GatherTopk"): _gather_top_k,
    ("mmdeploy", "GridPriorsTRT"): _grid_priors,
    ("mmdeploy", "ScaledDotProductAttentionTRT"): _attention,
    ("mmdeploy", "TRTBicubicInterpolate"): _bicubic,
    ("Test", "DynamicTRTResize"): _resize_like,
    ("mmdeploy", "DynamicTRTResize"): _resize_like,
    ("mmdeploy", "MMCVRoiAlign"): _roi_align,
    ("mmcv", "MMCVRoiAlign"): _roi_align,
}


def write_by_standard(model: onnx.ModelProto) -> int:
    """Write such nodes by ONNX's operators, in place; how many nodes were written so.

    What the model defines itself stays, and so do operators of a user's with such a name.
    """
    opset = opset_of(model)
    found = {(node.domain, node.op_type) for node in model.graph.node} & _RULES.keys()
    if not found or opset < _LEAST_OPSET:
        return 0
    own = {(function.domain, function.name) for function in model.functions}
    own.update(name for facts in users_operators().values() for name in facts.names)
    known = found - own
    editor = GraphEditor(model)
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in model.graph.node:
        key = (node.domain, node.op_type)
        writer = _Writer(node, editor, opset)
        if key in known and _RULES[key](writer):
            nodes += writer.nodes
            count += 1
        else:
            nodes.append(node)
    keep_nodes(model.graph, nodes)
    return count
