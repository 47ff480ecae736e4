"""Models that come quantized: each layer is right to a step, or the conversion is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.bundle import Verification
from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import ModelError, VerificationError
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConversionRequest, ConvertedModel, Converter
from deployx_edge.runtimes.onnx_converter import OnnxConverter
from deployx_edge.runtimes.proof import ProofRequest, prove
from deployx_edge.runtimes.runner import run_converted
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor, read_onnx
from deployx_edge.sources.onnx.walk import SourceWalk
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import model, save
from tests.integration.models.quantized_models import network, quantized

# Those that compute in half floats are in test_qnn_proof.py.
READERS = [row.name for row in RUNTIMES.values() if row.reads_onnx and not row.half_floats]
# It takes no zero points but 0.
SYMMETRIC = ("tensorrt",)
# The quantized tensors and weights that are made wrong, by their places in the model.
PLACES = {"digits": (0, 4, 7), "transformer": (0, 3, 9), "segmenter": (11,), "detector": (40,)}

Mutation = Callable[["Quantities", int], None]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, OnnxSource]:
    folder = tmp_path_factory.mktemp("sources")
    return {name: quantized(network(name, folder), folder) for name in PLACES}


def converted(source: OnnxSource, converter: Converter, folder: Path) -> ConvertedModel:
    first = SourceWalk(source).run(structured_inputs(source.inputs)[0])
    outputs = tuple(SourceTensor(name=name, shape=each.shape) for name, each in first.items())
    request = ConversionRequest(outputs=outputs, precision="fp32", folder=folder)
    return converter.convert(source, request)


def proven(made: ConvertedModel, source: OnnxSource) -> Verification:
    inputs = structured_inputs(source.inputs)
    request = ProofRequest(inputs=inputs, inner=(4, 5), telling=(), known={})
    return prove(made, SourceWalk(source), request).verification


def converter_of(runtime: str) -> Converter:
    return next(iter(load_runtime(runtime).converters().values()))()


@dataclass(frozen=True)
class Quantities:
    """A model's nodes that quantize and restore tensors, and those that restore weights."""

    graph: onnx.GraphProto

    def array(self, name: str) -> np.ndarray:
        return next(numpy_helper.to_array(t) for t in self.graph.initializer if t.name == name)

    def pairs(self) -> list[tuple[onnx.NodeProto, onnx.NodeProto]]:
        makers = {name: node for node in self.graph.node for name in node.output}
        return [
            (makers[node.input[0]], node)
            for node in self.graph.node
            if node.op_type == "DequantizeLinear" and node.input[0] in makers
        ]

    def weights(self) -> list[onnx.NodeProto]:
        codes = {t.name for t in self.graph.initializer if t.data_type == onnx.TensorProto.INT8}
        nodes = self.graph.node
        return [n for n in nodes if n.op_type == "DequantizeLinear" and n.input[0] in codes]

    def put(self, nodes: tuple[onnx.NodeProto, ...], place: int, array: np.ndarray) -> None:
        self.graph.initializer.append(numpy_helper.from_array(array, "wrong"))
        for node in nodes:
            node.input[place] = "wrong"


def scale_of_another(model: Quantities, place: int) -> None:
    """Of the tensor whose scale is nearest, but for those that are nearly the same."""
    pairs = model.pairs()
    own = float(model.array(pairs[place][1].input[1]))
    others = [float(model.array(node.input[1])) for _, node in pairs]
    near = min((s for s in others if abs(s / own - 1) > 0.1), key=lambda s: abs(np.log(s / own)))
    model.put(pairs[place], 1, np.array(near, np.float32))


def scale_lost(model: Quantities, place: int) -> None:
    model.put(model.pairs()[place][1:], 1, np.array(1, np.float32))


def zero_point_shifted(model: Quantities, place: int) -> None:
    node = model.pairs()[place][1]
    zero = model.array(node.input[2])
    model.put((node,), 2, np.array(zero + (1 if zero < 200 else -1), zero.dtype))


def one_channel_a_tenth_off(model: Quantities, place: int) -> None:
    nodes = model.weights()
    node = nodes[place % len(nodes)]
    scale = model.array(node.input[1]).copy()
    scale.reshape(-1)[0] *= 1.1
    model.put((node,), 1, scale)


def weights_by_another_layer(model: Quantities, place: int) -> None:
    nodes = model.weights()
    node, other = nodes[place % len(nodes)], nodes[(place + 1) % len(nodes)]
    scale = model.array(node.input[1])
    model.put((node,), 1, np.resize(model.array(other.input[1]), scale.shape))


MUTATIONS = (
    *(scale_of_another, scale_lost, zero_point_shifted),
    *(one_channel_a_tenth_off, weights_by_another_layer),
)


@pytest.mark.parametrize("runtime", READERS)
@pytest.mark.parametrize("name", PLACES)
def test_right_ones_pass(
    name: str, runtime: str, sources: dict[str, OnnxSource], tmp_path: Path
) -> None:
    source = sources[name]
    if runtime in SYMMETRIC:
        with pytest.raises(ModelError, match=r"quantized with zero points that are not 0 \(node '"):
            converter_of(runtime).check(source)
        source = quantized(network(name, tmp_path), tmp_path, symmetric=True)
        converter_of(runtime).check(source)
    found = proven(converted(source, converter_of(runtime), tmp_path), source)
    assert found.intermediates is not None
    assert found.intermediates.compared > 10
    # A step of 255 at most.
    assert found.intermediates.worst_error < 2e-2


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("name", PLACES)
def test_wrong_ones_are_caught(
    name: str, mutation: Mutation, sources: dict[str, OnnxSource], tmp_path: Path
) -> None:
    """Each in the runtime's file only; by ONNX Runtime, as all see the same file."""
    source = sources[name]
    for place in PLACES[name]:
        (folder := tmp_path / str(place)).mkdir()
        made = converted(source, converter_of(READERS[0]), folder)
        changed = onnx.load(made.path("onnx"))
        mutation(Quantities(changed.graph), place)
        onnx.save(changed, made.path("onnx"))
        with pytest.raises(VerificationError, match="does not compute what its scales say"):
            proven(made, source)


def pair(node: str, name: str, scale: str = "scale") -> list[onnx.NodeProto]:
    numbers = [scale, "zero"]
    return [
        helper.make_node("QuantizeLinear", [node, *numbers], [f"{name}q"], f"{name}q"),
        helper.make_node("DequantizeLinear", [f"{name}q", *numbers], [name], name),
    ]


def constants(**arrays: np.ndarray) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.array(each), name) for name, each in arrays.items()]


def test_a_scale_that_the_runtime_loses_is_caught(tmp_path: Path) -> None:
    """OpenVINO loses int8's behind a Concat, where its converter does not write it otherwise.

    It does so with its kernels for AVX-512's VNNI, and not with those for AVX2 or AMX: the verdict
    is that of what it computed on this processor.
    """
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Concat", ["a", "b"], ["joined"], axis=1),
        helper.make_node("Relu", ["joined"], ["x"]),
        *pair("x", "d"),
        helper.make_node("DequantizeLinear", ["w", "w_scale", "w_zero"], ["kernel"], axis=0),
        helper.make_node("Conv", ["d", "kernel"], ["y"], "conv"),
    ]
    given = constants(
        scale=np.float32(0.0088),
        zero=np.int8(0),
        w=random.integers(-127, 128, (4, 8, 1, 1), dtype=np.int8),
        w_scale=np.full(4, 0.01, dtype=np.float32),
        w_zero=np.zeros(4, dtype=np.int8),
    )
    shape = (1, 4, 6, 6)
    path = save(model(nodes, {"a": shape, "b": shape}, {"y": shape}, given), tmp_path / "m.onnx")
    source = read_onnx(path, {})
    (tmp_path / "right").mkdir()
    (tmp_path / "plain").mkdir()
    proven(converted(source, converter_of("openvino"), tmp_path / "right"), source)
    plain = converted(source, OnnxConverter("openvino"), tmp_path / "plain")
    if is_off(plain, source):
        with pytest.raises(VerificationError, match=r"'d' (holds values|is off by)|'y' is off by"):
            proven(plain, source)
    else:
        proven(plain, source)


def is_off(made: ConvertedModel, source: OnnxSource) -> bool:
    """Whether an output is further from the source's than a thousandth of its largest value."""
    inputs = structured_inputs(source.inputs)
    wanted = [SourceWalk(source).run(arrays) for arrays in inputs]
    return any(
        np.abs(found[name] - array).max() > 1e-3 * np.abs(array).max()
        for expected, found in zip(wanted, run_converted(made, inputs), strict=True)
        for name, array in expected.items()
    )


@pytest.mark.parametrize("runtime", READERS)
def test_a_scale_of_one_element_is_that_of_the_whole_tensor(runtime: str, tmp_path: Path) -> None:
    """ONNX Runtime refused it for QLinearAdd, which it makes of the Add; its sum is right."""
    nodes = [
        *(*pair("x", "xd"), *pair("y", "yd")),
        helper.make_node("Add", ["xd", "yd"], ["sum"], "add"),
        *pair("sum", "z"),
    ]
    shape = (1, 4, 6, 6)
    given = constants(scale=np.array([0.02], np.float32), zero=np.array([0], np.int8))
    made = model(nodes, {"x": shape, "y": shape}, {"z": shape}, given)
    path = save(made, tmp_path / "m.onnx")
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    assert bundle.provenance.verification.intermediates.compared == 3
    kept = {t.name: list(t.dims) for t in onnx.load(bundle.path("onnx")).graph.initializer}
    assert all(dims == [] for dims in kept.values()), kept


def test_outputs_that_rounding_does_not_explain_are_refused(tmp_path: Path) -> None:
    """Off by a sixth behind the last quantized layer, which int8's limits would let pass."""
    nodes = [
        *pair("x", "d"),
        helper.make_node("MatMul", ["d", "w"], ["y"], "dense"),
    ]
    given = constants(
        scale=np.float32(0.01),
        zero=np.int8(0),
        w=np.random.default_rng(0).standard_normal((16, 8)).astype(np.float32),
    )
    path = save(model(nodes, {"x": (1, 16)}, {"y": (1, 8)}, given), tmp_path / "m.onnx")
    source = read_onnx(path, {})
    made = converted(source, converter_of(READERS[0]), tmp_path)
    changed = onnx.load(made.path("onnx"))
    quantities = Quantities(changed.graph)
    (dense,) = (node for node in changed.graph.node if node.op_type in ("Gemm", "MatMul"))
    quantities.put((dense,), 1, quantities.array(dense.input[1]) * np.float32(1.17))
    onnx.save(changed, made.path("onnx"))
    with pytest.raises(VerificationError, match="'y' is off by"):
        proven(made, source)
