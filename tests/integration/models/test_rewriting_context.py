"""Around all rewriters: nothing stays behind, and what was not used is told."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from deployx_edge.bundle import load_bundle
from deployx_edge.errors import UsageError
from deployx_edge.rewriting import (
    FunctionContext,
    Registry,
    RewriteRequest,
    rewriting,
)
from tests.integration.models import rewriter_helper as models
from tests.integration.models.rewriter_helper import (
    EXPORTERS,
    HERE,
    entered,
    export,
    noise,
    run_onnx,
)

by_exporter = pytest.mark.parametrize("exporter", EXPORTERS)


@pytest.fixture
def registry() -> Registry:
    return Registry()


def everything(registry: Registry) -> None:
    """One rewriter of each kind, all of which only pass on."""
    registry.function_rewriter("torch.nn.functional.gelu")(lambda context, x: context.original(x))
    registry.function_rewriter("torch.Tensor.repeat")(lambda c, x, *sizes: c.original(x, *sizes))
    registry.module_rewriter(f"{HERE}.Block")(models.BlockForNcnn)
    registry.symbolic_rewriter(f"{HERE}.Squared")(lambda graph, x: graph.op("Mul", x, x))
    registry.symbolic_rewriter("aten::relu")(lambda graph, x: graph.op("Relu", x))


class All(torch.nn.Module):
    def __init__(self, *, fail: bool = False) -> None:
        super().__init__()
        self.block = models.Block()
        self.gelus = models.Gelus()
        self.fail = fail

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = models.kept_squared(self.gelus(self.block(x))).repeat(1, 2)
        if self.fail:
            raise ValueError("in the middle")
        return torch.relu(y)


def patched(model: All) -> list[Any]:
    """Everything that ``everything`` may touch, as it is at the moment."""
    from torch.onnx._internal.torchscript_exporter.registration import registry

    group = registry.get_function_group("aten::relu")
    assert group is not None
    return [
        F.gelu,
        models.imported_gelu,
        torch._C._nn.gelu,  # type: ignore[attr-defined]
        vars(torch.Tensor).get("repeat"),
        vars(models.Squared).get("apply"),
        models.kept_squared,
        model.block,
        vars(model.gelus)["activation"],
        len(model._forward_pre_hooks),
        *(group.get(opset) for opset in range(9, 21)),
    ]


@by_exporter
def test_nothing_stays_behind(registry: Registry, tmp_path: Path, exporter: str) -> None:
    everything(registry)
    model = All().eval()
    before = patched(model)
    x = noise(2, 4)
    found = export(model, [x], tmp_path / "m.onnx", registry, exporter=exporter)
    assert {use.path: use.calls for use in found.used} == {
        "torch.nn.functional.gelu": 3,
        "torch.Tensor.repeat": 1,
        f"{HERE}.Block": 1,
        f"{HERE}.Squared": 1,
        "aten::relu": 1,
    }
    assert all(one is other for one, other in zip(patched(model), before, strict=True))


@by_exporter
def test_nothing_stays_behind_after_a_failure(
    registry: Registry, tmp_path: Path, exporter: str
) -> None:
    everything(registry)
    model = All(fail=True).eval()
    before = patched(model)
    with pytest.raises(Exception, match="in the middle"):
        export(model, [noise(2, 4)], tmp_path / "m.onnx", registry, exporter=exporter)
    assert all(one is other for one, other in zip(patched(model), before, strict=True))


@by_exporter
def test_contexts_can_be_nested(registry: Registry, exporter: str) -> None:
    everything(registry)
    inner_registry = Registry()
    everything(inner_registry)

    @inner_registry.function_rewriter("torch.nn.functional.gelu", runtime="ncnn")
    def gelu(context: FunctionContext, x: torch.Tensor) -> torch.Tensor:
        return context.original(x) * 100

    model = All().eval()
    x = noise(2, 4)
    states = [patched(model)]
    with entered(registry, model, exporter=exporter) as outer:
        states.append(patched(model))
        with entered(inner_registry, model, exporter=exporter, runtime="ncnn") as inner:
            torch.testing.assert_close(F.gelu(x), torch._C._nn.gelu(x))  # type: ignore[attr-defined]
            assert inner.used()[0].calls == 2
            assert outer.used() == ()  # the inner one calls what was there before any rewriter
        assert all(a is b for a, b in zip(patched(model), states[1], strict=True))
        F.gelu(x)
        assert outer.used()[0].calls == 1
    assert all(a is b for a, b in zip(patched(model), states[0], strict=True))


def test_what_was_never_called_is_told(registry: Registry, tmp_path: Path) -> None:
    registry.function_rewriter(f"{HERE}.halved")(lambda context, x: x)
    registry.function_rewriter("torch.Tensor.repeat")(lambda c, x, *sizes: c.original(x, *sizes))
    registry.function_rewriter("no_such_package.f", optional=True)(lambda context: None)
    registry.symbolic_rewriter("no_such_library::f", optional=True)(lambda graph: None)
    registry.module_rewriter(f"{HERE}.NoSuchClass", optional=True)(lambda module, context: module)
    found = export(models.Repeating(), [noise(2, 4)], tmp_path / "m.onnx", registry)
    assert [use.path for use in found.used] == ["torch.Tensor.repeat"]
    assert [(use.path, use.missing) for use in found.unused] == [
        (f"{HERE}.halved", False),
        ("no_such_package.f", True),
        ("no_such_library::f", True),
        (f"{HERE}.NoSuchClass", True),
    ]


REFUSED = {
    "torch.Tensor.repet": r"'torch\.Tensor' has no 'repet'\. Did you mean torch\.Tensor\.repeat\?",
    "torch.nn.Linear": r"is not a function or method, but of the type type",
    "torch._C.TensorBase.repeat": r"Name it by the Python class that inherits it",
    "no_such_package.f": r"there is no module 'no_such_package'",
}


@pytest.mark.parametrize("path", REFUSED)
def test_paths_that_lead_to_nothing_that_can_be_rewritten(registry: Registry, path: str) -> None:
    registry.function_rewriter(path)(lambda context: None)
    model = models.Halving()
    with pytest.raises(UsageError, match=REFUSED[path]):
        rewriting(RewriteRequest(), model, registry=registry).__enter__()
    assert "repeat" not in vars(torch.Tensor)


@pytest.mark.parametrize(
    ("kind", "path", "message"),
    [
        ("module_rewriter", "torch.relu", "is not a class of torch.nn.Module"),
        ("symbolic_rewriter", "aten::no_such_operator", "torch has no operator"),
        ("symbolic_rewriter", "aten::add.Tensor", "without an overload"),
    ],
)
def test_what_each_kind_cannot_rewrite(
    registry: Registry, kind: str, path: str, message: str
) -> None:
    getattr(registry, kind)(path)(lambda *arguments: None)
    with pytest.raises(UsageError, match=message):
        rewriting(RewriteRequest(), models.Halving(), registry=registry).__enter__()


def test_two_rewriters_of_one_function_under_two_names(registry: Registry) -> None:
    registry.function_rewriter("torch.nn.functional.gelu")(lambda context, x: x)
    registry.function_rewriter("torch._C._nn.gelu")(lambda context, x: x)
    with pytest.raises(UsageError, match="are the same function, with two rewriters"):
        rewriting(RewriteRequest(), models.Halving(), registry=registry).__enter__()


def test_only_modules_in_python_can_be_rewritten(registry: Registry) -> None:
    with pytest.raises(UsageError, match="Rewriters work on modules in Python; int is none"):
        rewriting(RewriteRequest(), 3, registry=registry).__enter__()  # type: ignore[arg-type]


def test_it_can_be_imported_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import deployx_edge.rewriting as r\n"
        "r.function_rewriter('torch.Tensor.repeat')(lambda c, x: x)\n"
        "print(r.mark('m')(lambda x: x)(5), 'onnx' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["5", "False"]


def test_the_document_runs(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs/write-a-rewriter.md").read_text()
    files: dict[str, str] = {}
    for name, code in re.findall(r"```python\n# (\w+\.py)\n(.*?)```", text, re.S):
        files[name] = files.get(name, "") + code
    assert text.count("```python") >= len(files) == 4
    for name, code in files.items():
        (tmp_path / name).write_text(code)
    commands = [[sys.executable, "check.py"], [sys.executable, "my_detector.py"]]
    for command in re.findall(r"^deployx-edge (.*)$", text, re.M):
        commands.append(
            [str(Path(sys.executable).with_name("deployx-edge")), *shlex.split(command)]
        )
    assert len(commands) == 4
    for words in commands:
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stderr[-2000:])
    x = torch.rand(1, 3, 8, 8)
    assert run_onnx(onnx.load(tmp_path / "head.onnx"), [x])[0].shape == (1, 4, 8, 8)
    bundle = load_bundle(tmp_path / "bundle")
    assert bundle.provenance.verification.status == "passed"
    assert bundle.provenance.notes == ()  # each rewriter was used
