"""Models to rewrite, and helpers that export them and run what came out."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
import torch.nn.functional as F  # noqa: N812
from onnx import helper
from torch.nn.functional import gelu as imported_gelu

from deployx_edge.bundle import Bundle
from deployx_edge.model import (
    MARK_DOMAIN,
    MARK_OPERATOR,
    from_runtime_array,
    to_runtime_arrays,
)
from deployx_edge.rewriting import Registry, RewriterContext, RewriteRequest, RewriterUse, rewriting
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, run_ncnn
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.models.onnx_models import model as onnx_model

EXPORTERS = ("dynamo", "torchscript")
HERE = __name__

# What torch 2.13's exporters warn of in every export, whatever the model is.
_EXPORTER_WARNINGS = (
    (DeprecationWarning, "You are using the legacy TorchScript-based ONNX export"),
    (DeprecationWarning, "The feature will be removed"),
    (FutureWarning, r"`isinstance\(treespec, LeafSpec\)` is deprecated"),
)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The exported model, and what its rewriters did."""

    model: onnx.ModelProto
    used: tuple[RewriterUse, ...]
    unused: tuple[RewriterUse, ...]

    @property
    def operators(self) -> list[str]:
        return [node.op_type for node in self.model.graph.node if node.op_type != "Constant"]

    def nodes(self, operator: str) -> list[onnx.NodeProto]:
        return [node for node in self.model.graph.node if node.op_type == operator]


@contextmanager
def exporter_warnings_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        for category, message in _EXPORTER_WARNINGS:
            warnings.filterwarnings("ignore", message, category)
        yield


def write_onnx(
    model: torch.nn.Module, inputs: Sequence[torch.Tensor], exporter: str, path: Path, **more: Any
) -> None:
    """One export, without rewriters of ours."""
    more = {"input_names": [f"in{index}" for index in range(len(inputs))], **more}
    if exporter == "dynamo":
        more["verbose"] = False
    with exporter_warnings_ignored():
        torch.onnx.export(model, tuple(inputs), str(path), dynamo=exporter == "dynamo", **more)


def export(
    model: torch.nn.Module,
    inputs: Sequence[torch.Tensor],
    path: Path,
    registry: Registry,
    *,
    exporter: str = "dynamo",
    runtime: str | None = None,
    config: dict[str, Any] | None = None,
    **more: Any,
) -> Exported:
    """Export to ``path`` under the registry's rewriters."""
    request = RewriteRequest(runtime=runtime, exporter=exporter, config=config or {})
    context = rewriting(request, model.eval(), registry=registry)
    with context as rewritten:
        write_onnx(rewritten, inputs, exporter, path, **context.export_arguments(), **more)
    found = onnx.load(path)
    onnx.checker.check_model(found)
    return Exported(model=found, used=context.used(), unused=context.unused())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def run_onnx(model: onnx.ModelProto, inputs: Sequence[torch.Tensor]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [value.name for value in session.get_inputs()]
    given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    outputs: list[np.ndarray] = session.run(None, given)
    return outputs


def assert_same(found: Sequence[np.ndarray], wanted: Any) -> None:
    tensors = [wanted] if isinstance(wanted, torch.Tensor) else list(wanted)
    assert len(found) == len(tensors)
    for array, tensor in zip(found, tensors, strict=True):
        np.testing.assert_allclose(array, tensor.detach().numpy(), rtol=1e-4, atol=1e-5)


@contextmanager
def entered(registry: Registry, model: torch.nn.Module, **request: Any) -> Iterator[Any]:
    context = rewriting(RewriteRequest(**request), model, registry=registry)
    with context:
        yield context


@dataclass(frozen=True, kw_only=True)
class RuntimeRun:
    """``ran`` says that ncnn computed the outputs; ``layers`` are the types of its layers."""

    ran: bool
    layers: tuple[str, ...]
    exported: Exported
    bundle: Bundle


def assert_rewritten_runs(
    model: torch.nn.Module,
    inputs: Sequence[torch.Tensor],
    folder: Path,
    registry: Registry,
    *,
    exporter: str = "dynamo",
    config: dict[str, Any] | None = None,
) -> RuntimeRun:
    """Export for ncnn, convert by the project's own converter, run in ncnn, compare with torch.

    Nothing is skipped: what cannot be exported, converted or run fails the test, and the
    outputs that are compared are those that ncnn's own process wrote.
    """
    with torch.no_grad():
        wanted = model.eval()(*inputs)
    path = folder / "model.onnx"
    exported = export(
        model, inputs, path, registry, exporter=exporter, runtime="ncnn", config=config
    )
    bundle = make_bundle(path, folder / "bundle")
    assert bundle.provenance.verification.status == "passed"
    files = {file.role: bundle.folder / file.path for file in bundle.files}
    names = [value.name for value in onnx.load(path).graph.input]
    arrays = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    blobs = [spec.runtime_name for spec in bundle.outputs]
    pair = NcnnModel(param=files["param"], bin=files["bin"], precision="fp32")
    (run,) = run_ncnn(pair, [to_runtime_arrays(bundle.inputs, arrays)], outputs=blobs).runs
    found = [from_runtime_array(spec, run[spec.runtime_name]) for spec in bundle.outputs]
    assert_same(found, wanted)
    return RuntimeRun(
        ran=set(run) == set(blobs) and all(array.size for array in run.values()),
        layers=tuple(layer.type for layer in read_param(files["param"])),
        exported=exported,
        bundle=bundle,
    )


def mark_node(source: str, target: str, says: str) -> onnx.NodeProto:
    """``says`` is written like "detector[0]:input/image"."""
    name, _, rest = says.partition("[")
    call, _, rest = rest.partition("]:")
    kind, _, tensor = rest.partition("/")
    node = helper.make_node(MARK_OPERATOR, [source], [target], domain=MARK_DOMAIN)
    # Not as arguments: "name" would be the node's own.
    for key, value in {"name": name, "kind": kind, "tensor": tensor, "call": int(call)}.items():
        node.attribute.append(helper.make_attribute(key, value))
    return node


def marked_by_hand() -> onnx.ModelProto:
    """left ─ Relu ─ m[0]:input/image ─ Tanh ─ m[0]:output/boxes ─ Add(right) ─ sum."""
    made = onnx_model(
        [
            helper.make_node("Relu", ["left"], ["a"]),
            mark_node("a", "b", "m[0]:input/image"),
            helper.make_node("Tanh", ["b"], ["c"]),
            mark_node("c", "d", "m[0]:output/boxes"),
            helper.make_node("Add", ["d", "right"], ["sum"]),
        ],
        {"left": (1, 4), "right": (1, 4)},
        {"sum": (1, 4)},
    )
    made.opset_import.append(helper.make_opsetid(MARK_DOMAIN, 1))
    return made


# --- what the tests rewrite -------------------------------------------------------------------


# Operators that no exporter knows. The library is kept, as they go with it.
library = torch.library.Library("rewriter_tests", "FRAGMENT")
library.define("clamped(Tensor x, float low, float high=2.0) -> (Tensor, Tensor)")
library.impl(
    "clamped", lambda x, low, high=2.0: (x.clamp(low, high), x + high), "CompositeExplicitAutograd"
)
library.define("gated(Tensor x, float slope) -> Tensor")
library.impl("gated", lambda x, slope: x * torch.sigmoid(x * slope), "CompositeExplicitAutograd")


def halved(x: torch.Tensor, by: float = 2.0) -> torch.Tensor:
    """A function of the user's own."""
    return x / by


class Tools:
    """Functions in a class, in all ways that there are."""

    @staticmethod
    def doubled(x: torch.Tensor) -> torch.Tensor:
        return x * 2

    @classmethod
    def shifted(cls, x: torch.Tensor) -> torch.Tensor:
        return x + cls.shift()

    @classmethod
    def shift(cls) -> float:
        return 1.0

    def scaled(self, x: torch.Tensor) -> torch.Tensor:
        return x * 3


class MoreTools(Tools):
    """Inherits everything."""


class Halving(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return halved(x) + halved(x, by=4.0)


class Repeating(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.repeat(1, 2) + 1


class Gelus(torch.nn.Module):
    """Calls one function by all the names that people have for it."""

    def __init__(self) -> None:
        super().__init__()
        self.activation = F.gelu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.gelu(x) + imported_gelu(x) + self.activation(x)


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


class BlockForNcnn(torch.nn.Module):
    """Stands in for a Block: its result with the sign changed, and dropout, which must be off."""

    def __init__(self, module: Block, context: RewriterContext) -> None:
        super().__init__()
        self.linear = module.linear
        self.dropout = torch.nn.Dropout(0.9)
        self.context = context

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -self.dropout(self.linear(x))


class BlockOfMine(Block):
    """A subclass, which the rewriter of Block does not mean."""


class Network(torch.nn.Module):
    """A block that occurs twice, one of a subclass, and one within another module."""

    def __init__(self) -> None:
        super().__init__()
        self.first = Block()
        self.again = self.first
        self.own = BlockOfMine()
        self.deep = torch.nn.Sequential(torch.nn.ReLU(), Block())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.deep(self.own(self.again(self.first(x))))


class Scaled(torch.autograd.Function):
    """An operator of the user's own: x * factor + shift, and the sum of x over axes."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, factor: float, axes: tuple[int, ...], shift: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(x)
        moved = x * factor
        return moved if shift is None else moved + shift, x.sum(axes)


class Squared(torch.autograd.Function):
    """An operator with one output."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x * x


class ByNumpy(torch.autograd.Function):
    """Computes where torch cannot look: half the positive part of x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(np.maximum(x.numpy(force=True), 0) / 2)


kept_squared = Squared.apply


class Tree(torch.nn.Module):
    """Modules of one class within each other."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.inner = Tree(depth - 1) if depth else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.inner is None else self.inner(x)


class Squares(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(kept_squared(Squared.apply(self.linear(x))))


class Scaling(torch.nn.Module):
    def __init__(self, shift: torch.Tensor | None = None) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.shift = shift

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        moved, total = Scaled.apply(self.linear(x), 2.5, (0,), self.shift)
        return torch.relu(moved), total + 1
