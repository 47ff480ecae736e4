"""Rewriters: what they change in an export by either exporter, and that nothing stays behind."""

from __future__ import annotations

import multiprocessing
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from deployx_edge.errors import UsageError
from deployx_edge.rewriting import (
    FunctionContext,
    Registry,
    RewriterContext,
    RewriteRequest,
    rewriting,
)
from tests.integration.models import rewriter_helper as models
from tests.integration.models.rewriter_helper import (
    EXPORTERS,
    HERE,
    assert_same,
    entered,
    export,
    noise,
    run_onnx,
)

by_exporter = pytest.mark.parametrize("exporter", EXPORTERS)


@pytest.fixture
def registry() -> Registry:
    return Registry()


# --- functions --------------------------------------------------------------------------------


@by_exporter
def test_a_function_is_rewritten_wherever_it_is_called(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    @registry.function_rewriter("torch.nn.functional.gelu")
    def gelu(context: FunctionContext, x: torch.Tensor) -> torch.Tensor:
        return context.original(x) * 2

    x = noise(2, 4)
    found = export(models.Gelus(), [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), F.gelu(x) * 6)
    assert [(use.path, use.calls) for use in found.used] == [("torch.nn.functional.gelu", 3)]
    assert found.unused == ()


@by_exporter
def test_a_method_of_tensors_is_rewritten_once_a_call(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    # torch hands a tensor's method to the modes of torch.export by looking it up by name.
    @registry.function_rewriter("torch.Tensor.repeat")
    def repeat(context: FunctionContext, tensor: torch.Tensor, *sizes: int) -> torch.Tensor:
        return context.original(tensor, *sizes) * 3

    x = noise(2, 4)
    found = export(models.Repeating(), [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), x.repeat(1, 2) * 3 + 1)
    assert found.used[0].calls == 1
    assert "repeat" not in vars(torch.Tensor)


@by_exporter
def test_a_function_that_torch_looks_up_again_is_rewritten_once(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    # Functions written in Python hand themselves to modes with all arguments spelled out.
    @registry.function_rewriter("torch.nn.functional.interpolate")
    def interpolate(context: FunctionContext, x: torch.Tensor, **options: Any) -> torch.Tensor:
        return context.original(x, **options) * 3

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.interpolate(x, scale_factor=2.0)

    x = noise(1, 2, 4, 4)
    found = export(Model(), [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), F.interpolate(x, scale_factor=2.0) * 3)
    assert found.used[0].calls == 1


@by_exporter
def test_what_torch_calls_for_itself_is_left_alone(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    # torch.export takes an LSTM apart into calls of this function.
    @registry.function_rewriter("torch.nn.functional.linear")
    def linear(context: FunctionContext, *args: Any) -> torch.Tensor:
        return context.original(*args) * 2

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(4, 4, batch_first=True)
            self.linear = torch.nn.Linear(4, 2, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(self.lstm(x)[0])

    x, model = noise(1, 3, 4), Model().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both exporters warn of LSTMs, each in its way
        found = export(model, [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), model(x) * 2)
    assert found.used[0].calls == 1


def rewrite_indexing(folder: Path, exporter: str) -> None:
    registry = Registry()

    @registry.function_rewriter("torch.Tensor.__getitem__")
    def getitem(context: FunctionContext, tensor: torch.Tensor, index: Any) -> torch.Tensor:
        return context.original(tensor, index) * 3

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, 1:3] + 1

    x = noise(2, 4)
    path = folder / "m.onnx"
    if exporter == "torchscript":
        with pytest.raises(UsageError, match="cannot be rewritten for the exporter torchscript"):
            export(Model(), [x], path, registry, exporter=exporter)
    else:
        found = export(Model(), [x], path, registry, exporter=exporter)
        assert_same(run_onnx(found.model, [x]), x[:, 1:3] * 3 + 1)
    assert "__getitem__" not in vars(torch.Tensor)


@by_exporter
def test_indexing_is_rewritten_where_the_exporter_can(tmp_path: Path, exporter: str) -> None:
    """In a process of its own: once __getitem__ of a class in C was set, CPython takes its objects
    for sequences from then on, and torch.tensor([a, b]) of numbers asks for their length."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(rewrite_indexing, (tmp_path, exporter))


@by_exporter
def test_the_entry_for_the_runtime_wins_and_sees_config_and_original(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    seen: list[FunctionContext] = []

    @registry.function_rewriter(f"{HERE}.halved")
    def plain(context: FunctionContext, x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
        return context.original(x, by)

    @registry.function_rewriter(f"{HERE}.halved", runtime="ncnn")
    def for_ncnn(context: FunctionContext, x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
        seen.append(context)
        return x * context.config["factor"]

    x = noise(2, 4)
    model = models.Halving()
    config = {"factor": 5.0}
    path = tmp_path / "m.onnx"
    found = export(model, [x], path, registry, exporter=exporter, runtime="ncnn", config=config)
    assert_same(run_onnx(found.model, [x]), x * 10)
    assert seen[0].original is models.halved
    assert (seen[0].runtime, seen[0].exporter, seen[0].intermediate) == ("ncnn", exporter, "onnx")
    found = export(model, [x], path, registry, exporter=exporter, runtime="onnxruntime")
    assert_same(run_onnx(found.model, [x]), x / 2 + x / 4)
    assert [(use.path, use.runtime, use.calls) for use in found.used] == [
        (f"{HERE}.halved", None, 2)
    ]


def test_methods_of_all_kinds_are_reached_and_restored(registry: Registry) -> None:
    @registry.function_rewriter(f"{HERE}.Tools.doubled")
    def doubled(context: FunctionContext, x: torch.Tensor) -> torch.Tensor:
        return -context.original(x)

    @registry.function_rewriter(f"{HERE}.MoreTools.shifted")
    def shifted(context: FunctionContext, kind: type, x: torch.Tensor) -> torch.Tensor:
        assert kind is models.MoreTools
        return -context.original(kind, x)

    @registry.function_rewriter(f"{HERE}.Tools.scaled")
    def scaled(context: FunctionContext, self: models.Tools, x: torch.Tensor) -> torch.Tensor:
        return -context.original(self, x)

    before = dict(vars(models.Tools)), dict(vars(models.MoreTools))
    one = torch.tensor(1.0)
    with entered(registry, models.Halving()):
        assert models.Tools.doubled(one) == models.Tools().doubled(one) == -2
        assert models.MoreTools.shifted(one) == models.MoreTools().shifted(one) == -2
        assert models.Tools.shifted(one) == 2  # the path names the class that inherits it
        assert models.MoreTools().scaled(one) == -3
    after = dict(vars(models.Tools)), dict(vars(models.MoreTools))
    assert after == before
    assert all(after[0][name] is value for name, value in before[0].items())


def test_a_rewriter_that_calls_what_it_rewrites_does_not_run_forever(registry: Registry) -> None:
    @registry.function_rewriter(f"{HERE}.halved")
    def same_arguments(context: FunctionContext, x: torch.Tensor) -> torch.Tensor:
        return models.halved(x) * 10

    one = torch.tensor(1.0)
    with entered(registry, models.Halving()):
        assert models.halved(one) == 5

    @registry.function_rewriter(f"{HERE}.halved", replace=True)
    def other_arguments(context: FunctionContext, x: torch.Tensor) -> torch.Tensor:
        return models.halved(x + 1)

    with entered(registry, models.Halving()), pytest.raises(UsageError) as caught:
        models.halved(one)
    assert "context.original" in str(caught.value)


@by_exporter
def test_calls_within_the_original_are_rewritten_too(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    @registry.function_rewriter(f"{HERE}.Tree.forward")
    def forward(context: FunctionContext, self: models.Tree, x: torch.Tensor) -> torch.Tensor:
        return context.original(self, x) + 1

    x = noise(2, 4)
    found = export(models.Tree(3), [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert_same(run_onnx(found.model, [x]), x + 4)
    assert found.used[0].calls == 4


# --- modules ----------------------------------------------------------------------------------


@by_exporter
def test_modules_are_replaced_by_class_and_put_back(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    registry.module_rewriter(f"{HERE}.Block", runtime="ncnn")(models.BlockForNcnn)
    model = models.Network().eval()
    before = dict(model.named_modules(remove_duplicate=False))
    x = noise(2, 4)
    twice = -model.first.linear(-model.first.linear(x))
    wanted = -model.deep[1].linear(torch.relu(model.own.linear(twice)))
    found = export(model, [x], tmp_path / "m.onnx", registry, exporter=exporter, runtime="ncnn")
    assert_same(run_onnx(found.model, [x]), wanted)
    assert [(use.kind, use.calls) for use in found.used] == [("module", 3)]
    after = dict(model.named_modules(remove_duplicate=False))
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)


def test_shared_modules_stay_shared_and_the_root_can_be_replaced(registry: Registry) -> None:
    made: list[models.BlockForNcnn] = []

    @registry.module_rewriter(f"{HERE}.Block")
    def replaced(module: models.Block, context: RewriterContext) -> models.BlockForNcnn:
        made.append(models.BlockForNcnn(module, context))
        return made[-1]

    @registry.module_rewriter(f"{HERE}.Network")
    class Around(torch.nn.Module):
        def __init__(self, module: models.Network, context: RewriterContext) -> None:
            super().__init__()
            self.inner = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    model = models.Network().eval()
    context = rewriting(RewriteRequest(config={"a": 1}), model, registry=registry)
    with context as rewritten:
        assert type(rewritten) is Around
        assert rewritten.inner is model
        assert model.first is model.again
        assert made == [model.first, model.deep[1]]
        assert type(model.own) is models.BlockOfMine
        assert not any(module.training for module in rewritten.modules())
        assert made[0].context.config == {"a": 1}
    assert type(model.first) is models.Block
