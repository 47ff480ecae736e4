"""What torch's exporters make of modules becomes one operator each, and comes out right."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from deployx_edge.graph.passes import NCNN_FUSIONS, NCNN_PASSES
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.sources.onnx.canonical import canonical
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.models.passes_helper import operators
from tests.integration.models.rewriter_helper import noise, write_onnx

Tensor = torch.Tensor


class Function(torch.nn.Module):
    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.function(*tensors)


class Norm(torch.nn.Module):
    """Layer norms as people write them themselves."""

    def __init__(self, kind: str, size: int = 32) -> None:
        super().__init__()
        self.kind = kind
        self.scale = torch.nn.Parameter(noise(size, seed=1))
        self.shift = torch.nn.Parameter(noise(size, seed=2))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "rms":
            return self.scale * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
        mean = x.mean(-1, keepdim=True)
        if self.kind == "moments":
            variance = (x - mean).pow(2).mean(-1, keepdim=True)
        else:
            variance = x.var(-1, keepdim=True, unbiased=self.kind == "unbiased")
        return self.scale * ((x - mean) / torch.sqrt(variance + 1e-6)) + self.shift


class Groups(torch.nn.GroupNorm):
    """A group norm whose scale and bias differ by channel."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__(groups, channels)
        torch.nn.init.normal_(self.weight)
        torch.nn.init.normal_(self.bias)


class Block(torch.nn.Module):
    """A block of a vision transformer, with timm's own attention."""

    def __init__(self, size: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(size) for _ in range(2))
        for norm in self.norms:
            torch.nn.init.normal_(norm.weight)
            torch.nn.init.normal_(norm.bias)
        self.inner = torch.nn.Linear(size, 3 * size)
        self.outer = torch.nn.Linear(size, size)
        self.wide = torch.nn.Linear(size, 2 * size)
        self.narrow = torch.nn.Linear(2 * size, size)

    def forward(self, x: Tensor) -> Tensor:
        batch, rows, size = x.shape
        parts = self.inner(self.norms[0](x)).reshape(batch, rows, 3, self.heads, -1)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (queries * (size // self.heads) ** -0.5) @ keys.transpose(-2, -1)
        mixed = scores.softmax(dim=-1) @ values
        x = x + self.outer(mixed.transpose(1, 2).reshape(batch, rows, size))
        return x + self.narrow(F.gelu(self.wide(self.norms[1](x))))


def two_tanhs(x: Tensor) -> Tensor:
    inner = (2.0 / torch.pi) ** 0.5 * (x + 0.044715 * torch.pow(x, 3.0))
    return 0.5 * x * (1.0 + torch.tanh(inner))


def focus(x: Tensor) -> Tensor:
    parts = (
        x[..., ::2, ::2],
        x[..., 1::2, ::2],
        x[..., ::2, 1::2],
        x[..., 1::2, 1::2],
    )
    return torch.cat(parts, 1)


def merged(x: Tensor) -> Tensor:
    return torch.cat((x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]), -1)


IMAGE = ((1, 4, 8, 6),)
ROWS = ((1, 9, 32),)
APART = ((1, 4, 9, 16),) * 3
SCRIPT = (11, 13, 17)
# By name: the module, the shapes of its inputs, what is left of it, and the opsets of the
# exporter by TorchScript that know it; 0 stands for the exporter by torch.export.
CASES: dict[str, tuple[torch.nn.Module, tuple[tuple[int, ...], ...], list[str], tuple[int, ...]]]
CASES = {
    "layer-norm": (torch.nn.LayerNorm(32), ROWS, ["LayerNormalization"], (*SCRIPT, 0)),
    "two-axes": (torch.nn.LayerNorm((9, 32)), ROWS, ["LayerNormalization"], (*SCRIPT, 0)),
    "moments": (Norm("moments"), ROWS, ["LayerNormalization"], (*SCRIPT, 0)),
    "variance": (Norm("biased"), ROWS, ["LayerNormalization"], (*SCRIPT, 0)),
    "unbiased": (Norm("unbiased"), ROWS, ["LayerNormalization"], (*SCRIPT, 0)),
    "group-norm": (Groups(2, 4), IMAGE, ["GroupNormalization"], (*SCRIPT, 0)),
    "group-norm-plain": (
        torch.nn.GroupNorm(2, 4, affine=False),
        IMAGE,
        ["GroupNormalization"],
        (*SCRIPT, 0),
    ),
    "group-norm-rows": (Groups(3, 9), ROWS, ["GroupNormalization"], (*SCRIPT, 0)),
    "response-norm": (torch.nn.LocalResponseNorm(3), IMAGE, ["LRN"], (0,)),
    "rms": (Norm("rms"), ROWS, ["RMSNormalization"], (*SCRIPT, 0)),
    "gelu": (torch.nn.GELU(), IMAGE, ["Gelu"], (*SCRIPT, 0)),
    "gelu-tanh": (torch.nn.GELU("tanh"), IMAGE, ["Gelu"], (*SCRIPT, 0)),
    "gelu-own": (Function(two_tanhs), IMAGE, ["Gelu"], (*SCRIPT, 0)),
    "hard-swish": (torch.nn.Hardswish(), IMAGE, ["HardSwish"], (*SCRIPT, 0)),
    "hard-sigmoid": (torch.nn.Hardsigmoid(), IMAGE, ["HardSigmoid"], (*SCRIPT, 0)),
    "relu6": (Function(lambda x: x * F.relu6(x + 3) / 6), IMAGE, ["HardSwish"], (*SCRIPT, 0)),
    "relu6-gate": (Function(lambda x: F.relu6(x + 3) / 6), IMAGE, ["HardSigmoid"], (*SCRIPT, 0)),
    "swish": (torch.nn.SiLU(), IMAGE, ["Swish"], (*SCRIPT, 0)),
    "mish": (torch.nn.Mish(), IMAGE, ["Mish"], (*SCRIPT, 0)),
    "attention": (Function(F.scaled_dot_product_attention), APART, ["Attention"], (17,)),
    "focus": (Function(focus), IMAGE, ["Reshape", "Transpose", "Reshape"], (*SCRIPT, 0)),
    "merged": (Function(merged), ((1, 8, 6, 5),), ["Reshape", "Transpose", "Reshape"], (13, 0)),
}


@pytest.mark.parametrize(
    ("name", "opset"),
    [(name, opset) for name, (_, _, _, opsets) in CASES.items() for opset in opsets],
)
def test_what_exporters_write_is_one_operator(name: str, opset: int, tmp_path: Path) -> None:
    module, shapes, wanted, _ = CASES[name]
    path = tmp_path / "model.onnx"
    exported(module, shapes, path, opset)
    made = canonical(read_onnx(path, {}), NCNN_PASSES, NCNN_FUSIONS)
    assert operators(made.model) == wanted
    bundle = make_bundle(path, tmp_path / "bundle")
    assert bundle.provenance.verification.status == "passed"


@pytest.mark.parametrize("opset", [13, 17, 0])
def test_a_transformer_block_is_fused_whole(opset: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    exported(Block(), ROWS, path, opset)
    made = canonical(read_onnx(path, {}), NCNN_PASSES, NCNN_FUSIONS)
    found = operators(made.model)
    assert [found.count(word) for word in ("LayerNormalization", "Gelu", "Attention")] == [2, 1, 1]
    assert not {"Erf", "ReduceMean", "Softmax", "Pow", "Sqrt"} & set(found)
    bundle = make_bundle(path, tmp_path / "bundle")
    assert bundle.provenance.verification.status == "passed"
    # Products with weights take the bias behind them in.
    layers = [layer.type for layer in read_param(bundle.path("param"))]
    assert "MatMul" not in layers
    assert layers.count("BinaryOp") == 2, "the sums with what goes around attention and network"


@pytest.mark.parametrize("is_causal", [False, True])
def test_attention_of_the_exporter_by_torch_export(is_causal: bool, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    module = Function(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=is_causal))
    exported(module, APART, path, 0)
    assert "Softmax" in operators(onnx.load(path))
    made = canonical(read_onnx(path, {}), NCNN_PASSES, NCNN_FUSIONS)
    assert "Attention" in operators(made.model)
    assert "Softmax" not in operators(made.model)
    bundle = make_bundle(path, tmp_path / "bundle")
    assert bundle.provenance.verification.status == "passed"


def exported(
    module: torch.nn.Module, shapes: tuple[tuple[int, ...], ...], path: Path, opset: int
) -> None:
    inputs = [noise(*shape, seed=index) for index, shape in enumerate(shapes)]
    exporter = "torchscript" if opset else "dynamo"
    with warnings.catch_warnings():
        # torch's own norms look at sizes, of which its tracer warns.
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        write_onnx(module.eval(), inputs, exporter, path, opset_version=opset or 18)
