"""What the native converter writes: ncnn layers, and for every tensor the blob that holds it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.model import MAX_RUNTIME_DIMS
from deployx_edge.runtimes.ncnn.files import Layer, float_list, format_float, integer_list
from deployx_edge.runtimes.ncnn.native.axes import Dims, Grouping, grouped, natural_dims
from deployx_edge.runtimes.ncnn.native.graph import Graph, Node, RefusedError
from deployx_edge.runtimes.ncnn.native.names import Names

if TYPE_CHECKING:
    from numpy.typing import NDArray

Parameter = int | float | Sequence[int] | Sequence[float]

# The ids of sizes in Input, Reshape and MemoryData: fastest axis first, by number of dims.
_SIZE_IDS = {1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: (0, 1, 11, 2)}
LARGEST = 3.4028234e38  # of float32
# The ids by which convolutions and inner products name a fused activation.
_ACTIVATION = 9
_ACTIVATION_PARAMS = 10


@dataclass(frozen=True, kw_only=True)
class Weight:
    """An array that a layer reads from the ``.bin``; ``tagged`` where its type is stored too.

    Of int8 the quantized values are stored, all else as floats.
    """

    values: NDArray[Any]
    tagged: bool = False


@dataclass(frozen=True, kw_only=True)
class BuiltLayer:
    """A layer with its weights, and the node that it is named by ("" for what comes between).

    ``float32`` says why it stays so in a model of 16 bits ("": it does not, see ``KeptFloat``);
    ``no_winograd`` where it may not be computed so.
    """

    layer: Layer
    weights: tuple[Weight, ...]
    node: str = ""
    float32: str = ""
    no_winograd: bool = False


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a tensor lies: a blob and the dimensions by which it is counted there."""

    blob: str
    dims: Dims


class GraphBuilder:
    """The network as far as it is written. Families of operators add to it node by node."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layers: list[BuiltLayer] = []
        # Nodes that were taken into the layer of another.
        self.absorbed: set[str] = set()
        self.names = Names()
        self._places: dict[str, _Place] = {}
        self._views: dict[tuple[str, Dims], str] = {}

    def input(self, tensor: str) -> None:
        """Add the Input layer of a graph input."""
        dims = natural_dims(self.graph.shape(tensor))
        blob = self.names.blob(tensor)
        self._append("Input", self.names.layer(tensor), (), (blob,), sizes_of(dims), ())
        self._places[tensor] = _Place(blob=blob, dims=dims)

    def dims(self, tensor: str) -> Dims:
        """The dimensions in which the tensor lies now."""
        place = self._places.get(tensor)
        return natural_dims(self.graph.shape(tensor)) if place is None else place.dims

    def take(self, tensor: str, dims: Dims | None = None) -> str:
        """The blob that holds the tensor, counted by ``dims`` (None: as it lies)."""
        place = self._places.get(tensor)
        if place is None:
            place = self._constant(tensor, dims)
        if dims is None or dims == place.dims:
            return place.blob
        key = (place.blob, dims)
        if key not in self._views:
            if math.prod(dims) != math.prod(place.dims):
                raise RefusedError(
                    f"its tensor '{tensor}' has {math.prod(place.dims)} elements where its shape "
                    f"says {math.prod(dims)}: a constant of the model fixes another batch"
                )
            # Flatten does the same with less ado.
            type, params = ("Flatten", {}) if len(dims) == 1 else ("Reshape", sizes_of(dims))
            name = self.names.layer(f"{place.blob}/{type.lower()}")
            blob = self.names.blob(name)
            self._append(type, name, (place.blob,), (blob,), params, ())
            self._views[key] = blob
            self._views[(blob, place.dims)] = place.blob
        return self._views[key]

    def take_grouped(self, tensor: str, grouping: Grouping) -> str:
        """The blob that holds the tensor, counted by a grouping of its axes."""
        return self.take(tensor, grouped(self.graph.shape(tensor), grouping))

    def add(
        self,
        type: str,
        node: Node,
        bottoms: Sequence[str],
        tops: Mapping[str, Dims],
        params: Mapping[int, Parameter] | None = None,
        weights: Sequence[Weight] = (),
    ) -> None:
        """Add a layer; ``tops`` are the tensors that it makes, with their dimensions.

        The layer is named by the node.
        """
        name = self.names.layer(node.name)
        blobs = tuple(self.names.blob(tensor) for tensor in tops)
        self._append(type, name, bottoms, blobs, params or {}, weights, node.name)
        for (tensor, dims), blob in zip(tops.items(), blobs, strict=True):
            self._places[tensor] = _Place(blob=blob, dims=dims)

    def step(
        self,
        type: str,
        node: Node,
        bottoms: Sequence[str],
        params: Mapping[int, Parameter] | None = None,
        weights: Sequence[Weight] = (),
    ) -> str:
        """Add a layer whose result is not a tensor of the graph; gives its blob."""
        name = self.names.layer(f"{node.name}/{type.lower()}")
        blob = self.names.blob(name)
        self._append(type, name, bottoms, (blob,), params or {}, weights)
        return blob

    def reshape(self, node: Node, blob: str, dims: Dims) -> str:
        """Count a blob that ``step`` gave otherwise."""
        return self.step("Reshape", node, (blob,), sizes_of(dims))

    def memory(self, node: Node, values: NDArray[Any]) -> str:
        """A blob with constant values of one to four dimensions."""
        weights = (Weight(values=values),)
        return self.step("MemoryData", node, (), sizes_of(tuple(values.shape)), weights)

    def view(self, tensor: str, source: str) -> None:
        """The tensor has the elements of ``source``, counted otherwise: no layer is needed."""
        if source not in self._places:
            self._constant(source, None)
        self._places[tensor] = self._places[source]

    def view_of_blob(self, tensor: str, blob: str, dims: Dims) -> None:
        """The tensor lies in a blob that ``step`` gave."""
        self._places[tensor] = _Place(blob=blob, dims=dims)

    def unknown(self, tensor: str) -> None:
        """A place for a tensor whose operator was refused, so that the others can be looked at."""
        shape = self.graph.shapes.get(tensor, (1,))
        self._places[tensor] = _Place(blob=tensor, dims=natural_dims(shape))

    def finish_outputs(self) -> dict[str, str]:
        """Give every graph output its natural dimensions; the blobs by tensor."""
        blobs = {}
        given = {self._places[tensor].blob for tensor in self.graph.inputs}
        for tensor in self.graph.outputs:
            if tensor in self.graph.inputs or tensor in self.graph.constants:
                raise RefusedError(f"the output '{tensor}' is an input or a constant")
            blob = self.take(tensor, natural_dims(self.graph.shape(tensor)))
            blobs[tensor] = self._copied(tensor, blob) if blob in given else blob
        return blobs

    def fused_activation(self, tensor: str) -> tuple[str, dict[int, Parameter]]:
        """An activation that a convolution or inner product can run itself.

        Looks at the sole consumer of ``tensor``; gives the tensor that then comes out, and
        the layer's parameters. The consumer counts as done.
        """
        node = self.graph.sole_consumer(tensor)
        found = None if node is None else _activation(self.graph, node)
        if node is None or found is None:
            return tensor, {}
        self.absorbed.add(node.name)
        kind, values = found
        params: dict[int, Parameter] = {_ACTIVATION: kind}
        if values:
            params[_ACTIVATION_PARAMS] = values
        return node.outputs[0], params

    def _copied(self, tensor: str, source: str) -> str:
        """Another blob with the same elements: one cannot be an input and an output."""
        blob = self.names.blob(tensor)
        self._append("Split", self.names.layer(tensor), (source,), (blob,), {}, ())
        return blob

    def _constant(self, tensor: str, dims: Dims | None) -> _Place:
        import numpy as np

        values = self.graph.constant(tensor, "operand")
        if values.dtype.kind not in "fiub":
            raise RefusedError(f"the constant '{tensor}' is not a number")
        wanted = dims or natural_dims(values.shape)
        array = np.asarray(values, dtype=np.float32).reshape(wanted)
        blob = self.names.blob(tensor)
        name = self.names.layer(tensor)
        self._append("MemoryData", name, (), (blob,), sizes_of(wanted), (Weight(values=array),))
        self._places[tensor] = _Place(blob=blob, dims=wanted)
        return self._places[tensor]

    def _append(
        self,
        type: str,
        name: str,
        bottoms: Sequence[str],
        tops: Sequence[str],
        params: Mapping[int, Parameter],
        weights: Sequence[Weight],
        node: str = "",
    ) -> None:
        if any(weight.values.size == 0 for weight in weights):
            raise RefusedError("one of its constants is empty, which no blob of ncnn is")
        layer = Layer(
            type=type,
            name=name,
            bottoms=tuple(bottoms),
            tops=tuple(tops),
            params=tuple(_word(key, value) for key, value in sorted(params.items())),
        )
        self.layers.append(BuiltLayer(layer=layer, weights=tuple(weights), node=node))


def sizes_of(dims: Dims) -> dict[int, Parameter]:
    """The parameters by which Input, Reshape and MemoryData say their dimensions."""
    if not 1 <= len(dims) <= MAX_RUNTIME_DIMS:
        raise AssertionError(f"{dims} cannot be dimensions of ncnn")
    return dict(zip(_SIZE_IDS[len(dims)], reversed(dims), strict=True))


def _word(key: int, value: Parameter) -> tuple[int, str]:
    if isinstance(value, bool | int):
        return key, str(int(value))
    if isinstance(value, float):
        return key, format_float(_finite(value))
    if all(isinstance(item, int) for item in value):
        return integer_list(key, [int(item) for item in value])
    return float_list(key, [_finite(item) for item in value])


def _finite(value: float) -> float:
    """The float32 next to the value: ncnn's reader knows no word for infinity."""
    if math.isnan(value):
        raise RefusedError("one of its constants is NaN")
    return max(-LARGEST, min(LARGEST, value))


def _activation(graph: Graph, node: Node) -> tuple[int, tuple[float, ...]] | None:
    """The number and the values by which ncnn fuses the activation (``fused_activation.h``)."""
    if node.operator == "Relu":
        return 1, ()
    if node.operator == "LeakyRelu":
        return 2, (node.number("alpha", 0.01),)
    if node.operator == "Clip":
        bounds = clip_bounds(graph, node)
        return None if bounds is None else (3, bounds)
    if node.operator == "Sigmoid":
        return 4, ()
    if node.operator == "Mish":
        return 5, ()
    if node.operator == "HardSwish":
        return 6, (1.0 / 6.0, 0.5)
    return None


def clip_bounds(graph: Graph, node: Node) -> tuple[float, float] | None:
    """The bounds of a Clip, float32's own where left out; None where they are computed."""
    bounds = []
    for name, index, default in (("min", 1, -LARGEST), ("max", 2, LARGEST)):
        if node.input(index):
            if node.input(index) not in graph.constants:
                return None
            bounds.append(float(graph.constants[node.input(index)].reshape(-1)[0]))
        else:
            bounds.append(node.number(name, default))
    return bounds[0], bounds[1]
