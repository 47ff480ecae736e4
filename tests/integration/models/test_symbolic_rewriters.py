"""Symbolic rewriters: what becomes of functions and operators in ONNX, by either exporter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from deployx_edge.errors import UsageError
from deployx_edge.rewriting import Graph, Registry, RewriteRequest, rewriting
from tests.integration.models import rewriter_helper as models
from tests.integration.models.rewriter_helper import (
    EXPORTERS,
    HERE,
    assert_rewritten_runs,
    assert_same,
    export,
    noise,
    run_onnx,
    write_onnx,
)

by_exporter = pytest.mark.parametrize("exporter", EXPORTERS)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@by_exporter
def test_an_autograd_function_becomes_nodes_of_onnx(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    @registry.symbolic_rewriter(f"{HERE}.Scaled", inputs=("tensor", "float", "ints", "tensor"))
    def scaled(graph: Graph, x: Any, factor: float, axes: tuple[int, ...], shift: Any) -> Any:
        moved = graph.op("Mul", x, torch.tensor(factor))
        if shift is not None:
            moved = graph.op("Add", moved, shift)
        return moved, graph.op("ReduceSum", x, torch.tensor(axes), keepdims=False)

    x = noise(2, 4)
    for number, shift in enumerate((None, torch.full((4,), 0.5))):
        model = models.Scaling(shift).eval()
        path = tmp_path / f"{number}.onnx"
        found = export(model, [x], path, registry, exporter=exporter)
        assert_same(run_onnx(found.model, [x]), model(x))
        assert "Mul" in found.operators
        assert found.used[0].calls == 1
        shapes = [
            [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in found.model.graph.output
        ]
        assert shapes == [[2, 4], [4]]


@by_exporter
def test_an_operator_of_ones_own_has_attributes_outputs_and_a_domain(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    @registry.symbolic_rewriter(f"{HERE}.Scaled", inputs=("tensor", "float", "ints", "none"))
    def scaled(graph: Graph, x: Any, factor: float, axes: tuple[int, ...], _: None) -> Any:
        return graph.op(
            "deployx::Scaled", x, outputs=2, factor=factor, axes=axes, name="a", yes=True, no=None
        )

    path = tmp_path / "m.onnx"
    found = export(models.Scaling(), [noise(2, 4)], path, registry, exporter=exporter)
    (node,) = found.nodes("Scaled")
    assert node.domain == "deployx"
    assert len(node.output) == 2
    attributes = {entry.name: entry for entry in node.attribute}
    assert attributes["factor"].f == 2.5
    assert list(attributes["axes"].ints) == [0]
    assert attributes["name"].s == b"a"
    assert attributes["yes"].i == 1
    assert "no" not in attributes
    versions = {entry.domain: entry.version for entry in found.model.opset_import}
    assert versions["deployx"] == 1
    shapes = {value.name: value for value in found.model.graph.value_info}
    dims = shapes[node.output[0]].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [2, 4]


@by_exporter
def test_a_kept_apply_is_reached(registry: Registry, tmp_path: Path, exporter: str) -> None:
    @registry.symbolic_rewriter(f"{HERE}.Squared", inputs=("tensor",))
    def squared(graph: Graph, x: Any) -> Any:
        return graph.op("Pow", x, torch.tensor(2.0))

    x = noise(2, 4)
    model = models.Squares().eval()
    kept = models.kept_squared
    found = export(model, [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), model(x))
    assert found.operators.count("Pow") == 2
    assert models.kept_squared is kept
    assert "apply" not in vars(models.Squared)


@by_exporter
def test_an_operator_of_torch_becomes_nodes_of_onnx(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    seen: list[tuple[Any, ...]] = []

    @registry.symbolic_rewriter("aten::gelu", inputs=("tensor", "string"))
    def gelu(graph: Graph, x: Any, approximate: str) -> Any:
        return graph.op("Gelu", x, approximate=approximate)

    @registry.symbolic_rewriter(
        "torch.ops.aten.layer_norm",
        inputs=("tensor", "ints", "tensor", "tensor", "float", "bool"),
    )
    def layer_norm(
        graph: Graph, x: Any, shape: Any, weight: Any, bias: Any, epsilon: float, fast: bool
    ) -> Any:
        seen.append((shape, epsilon, fast))
        return graph.op("LayerNormalization", x, weight, bias, epsilon=epsilon, axis=-len(shape))

    model = torch.nn.Sequential(torch.nn.LayerNorm(4), torch.nn.GELU("tanh")).eval()
    x = noise(2, 4)
    path = tmp_path / "m.onnx"
    found = export(model, [x], path, registry, exporter=exporter, opset_version=20)
    assert_same(run_onnx(found.model, [x]), model(x))
    assert found.operators == ["LayerNormalization", "Gelu"]
    assert seen[0][0] == (4,)
    assert seen[0][1] == pytest.approx(1e-5)
    assert isinstance(seen[0][2], bool)
    assert {use.path for use in found.used} == {"aten::gelu", "aten::layer_norm"}


@by_exporter
def test_an_operator_of_a_library_becomes_nodes_of_onnx(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    class Clamping(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            clamped, shifted = torch.ops.rewriter_tests.clamped(x, -0.5)
            return clamped, shifted

    @registry.symbolic_rewriter("rewriter_tests::clamped", inputs=("tensor", "float", "float"))
    def clamped(graph: Graph, x: Any, low: float, high: float) -> Any:
        kept = graph.op("Clip", x, torch.tensor(low), torch.tensor(high))
        return kept, graph.op("Add", x, torch.tensor(high))

    x = noise(2, 4)
    found = export(Clamping(), [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), (x.clamp(-0.5, 2.0), x + 2))


@by_exporter
def test_a_function_becomes_nodes_of_onnx_with_inputs_left_out(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    @registry.symbolic_rewriter(
        "torch.nn.functional.hardtanh", inputs=("tensor", "float", "float", "bool")
    )
    def hardtanh(graph: Graph, x: Any, low: float, high: float, inplace: bool) -> Any:
        assert (low, inplace) == (-1.0, False)
        return graph.op("Clip", x, None, torch.tensor(high))

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.hardtanh(x, max_val=0.5)

    x = noise(2, 4)
    found = export(Model(), [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), x.clamp(max=0.5))
    assert found.operators == ["Clip"]


class SizeAsNumber(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return models.halved(x, x.shape[1])


@by_exporter
def test_a_number_that_depends_on_a_size(registry: Registry, tmp_path: Path, exporter: str) -> None:
    @registry.symbolic_rewriter(f"{HERE}.halved", inputs=("tensor", "float"))
    def halved(graph: Graph, x: Any, by: float) -> Any:
        return graph.op("Div", x, torch.tensor(by))

    x = noise(2, 4)
    path = tmp_path / "m.onnx"
    found = export(SizeAsNumber(), [x], path, registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), x / 4)
    dynamic: dict[str, Any] = {"dynamic_axes": {"in0": {1: "width"}}}
    if exporter == "dynamo":
        dynamic = {"dynamic_shapes": {"x": {1: torch.export.Dim("width", min=2, max=64)}}}
    with pytest.raises(UsageError, match=r"describes argument 1 \('by'\) as 'float'"):
        export(SizeAsNumber(), [x], path, registry, exporter=exporter, **dynamic)


@by_exporter
def test_an_original_that_needs_values(registry: Registry, tmp_path: Path, exporter: str) -> None:
    @registry.symbolic_rewriter(f"{HERE}.ByNumpy", inputs=("tensor",))
    def by_numpy(graph: Graph, x: Any) -> Any:
        return graph.op("Mul", graph.op("Relu", x), torch.tensor(0.5))

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return models.ByNumpy.apply(x) + 1

    x = noise(2, 4)
    path = tmp_path / "m.onnx"
    if exporter == "dynamo":  # it runs the model on tensors without values
        with pytest.raises(UsageError, match="Take the exporter torchscript") as caught:
            export(Model(), [x], path, registry, exporter=exporter)
        assert "ByNumpy' has a symbolic rewriter, but cannot be run" in str(caught.value)
        return
    found = export(Model(), [x], path, registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), Model()(x))


@by_exporter
def test_dynamic_axes_stay_dynamic(registry: Registry, tmp_path: Path, exporter: str) -> None:
    @registry.symbolic_rewriter(f"{HERE}.Squared", inputs=("tensor",))
    def squared(graph: Graph, x: Any) -> Any:
        return graph.op("Mul", x, x)

    registry.symbolic_rewriter("aten::relu")(lambda graph, x: graph.op("Relu", x))
    dynamic: dict[str, Any] = {"dynamic_axes": {"in0": {0: "batch"}}}
    if exporter == "dynamo":
        dynamic = {"dynamic_shapes": {"x": {0: torch.export.Dim("batch")}}}
    model = models.Squares().eval()
    path = tmp_path / "m.onnx"
    found = export(model, [noise(2, 4)], path, registry, exporter=exporter, **dynamic)
    x = noise(5, 4)
    assert_same(run_onnx(found.model, [x]), model(x))


MISFITS = {
    "a string for an int": (
        ("tensor", "string", "ints", "none"),
        r"describes argument 1 \('factor'\) as 'string'; it is called with 2\.5",
    ),
    "a tensor for a float": (
        ("float", "float", "ints", "none"),
        r"describes argument 0 \('x'\) as 'float'; it is called with a tensor that is computed",
    ),
    "a number for a tensor": (
        ("tensor", "tensor", "ints", "none"),
        r"describes argument 1 \('factor'\) as 'tensor'; it is called with 2\.5",
    ),
    "too few descriptors": (
        ("tensor", "float", "ints"),
        r"describes 3 arguments by inputs=, and is called with 4",
    ),
}


@by_exporter
@pytest.mark.parametrize("misfit", MISFITS)
def test_arguments_that_do_not_fit_are_named(
    registry: Registry, tmp_path: Path, exporter: str, misfit: str
) -> None:
    inputs, message = MISFITS[misfit]

    @registry.symbolic_rewriter(f"{HERE}.Scaled", inputs=inputs)
    def scaled(graph: Graph, x: Any, factor: Any, axes: Any, shift: Any) -> Any:
        raise AssertionError("it must not come to this")

    with pytest.raises(UsageError, match=message) as caught:
        export(models.Scaling(), [noise(2, 4)], tmp_path / "m.onnx", registry, exporter=exporter)
    assert "test_symbolic_rewriters.py" in str(caught.value)


MISTAKES = {
    "one result of two": (
        lambda graph, x: graph.op("Relu", x),
        r"gives 1 tensors, the original gives 2",
    ),
    "no tensor": (lambda graph, x: (1, 2), r"gives \(1, 2\), not tensors of the graph"),
    "a number as input": (
        lambda graph, x: graph.op("Mul", x, 2.0),
        r"Input 1 of the node 'Mul' is 2\.0, not a tensor",
    ),
    "an unknown operator": (
        lambda graph, x: graph.op("Reul", x),
        r"ONNX has no operator 'Reul'.*Did you mean Relu\?",
    ),
    "an unknown attribute": (
        lambda graph, x: graph.op("Relu", x, alpha=1),
        r"'Relu' has no attribute 'alpha'",
    ),
    "an attribute that cannot be": (
        lambda graph, x: graph.op("deployx::A", x, a=[]),
        r"'a' of the node 'deployx::A' is \[\], which ONNX cannot hold",
    ),
}


@by_exporter
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_a_symbolic_rewriter_are_named(
    registry: Registry, tmp_path: Path, exporter: str, mistake: str
) -> None:
    write, message = MISTAKES[mistake]

    @registry.symbolic_rewriter(f"{HERE}.Scaled")
    def scaled(graph: Graph, x: Any, *others: Any) -> Any:
        return write(graph, x)

    with pytest.raises(UsageError, match=message):
        export(models.Scaling(), [noise(2, 4)], tmp_path / "m.onnx", registry, exporter=exporter)


@by_exporter
def test_symbolic_rewriters_leave_a_plain_run_alone(registry: Registry, exporter: str) -> None:
    registry.symbolic_rewriter(f"{HERE}.Squared")(lambda graph, x: graph.op("Mul", x, x))
    x = noise(2, 4)
    model = models.Squares().eval()
    context = rewriting(RewriteRequest(exporter=exporter), model, registry=registry)
    with context:
        torch.testing.assert_close(models.kept_squared(x), x * x)
        assert context.used() == ()


@by_exporter
def test_a_rewritten_model_runs_in_ncnn(registry: Registry, tmp_path: Path, exporter: str) -> None:
    """A model with an operator that no exporter knows: without its rewriter it ends there."""

    @registry.symbolic_rewriter("rewriter_tests::gated", runtime="ncnn", inputs=("tensor", "float"))
    def gated(graph: Graph, x: Any, slope: float) -> Any:
        steep = graph.op("Mul", x, torch.tensor(slope))
        return graph.op("Mul", x, graph.op("Sigmoid", steep))

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.rewriter_tests.gated(self.conv(x), 2.0)

    x = noise(1, 3, 8, 8)
    run = assert_rewritten_runs(Model(), [x], tmp_path, registry, exporter=exporter)
    assert run.ran
    assert "Convolution" in run.layers
    assert "Sigmoid" in run.layers
    assert [use.calls for use in run.exported.used] == [1]
    with pytest.raises(Exception, match="gated"):
        write_onnx(Model().eval(), [x], exporter, tmp_path / "without.onnx")
