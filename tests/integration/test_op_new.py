"""An operator of a user's, from an empty project on: written, built, tested, converted, run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from deployx_edge.bundle import load_bundle
from deployx_edge.device import Device
from deployx_edge.errors import (
    BuildError,
    MissingToolError,
    ModelError,
    UsageError,
    VerificationError,
)
from deployx_edge.operator_facts import forget_operators, users_operators
from deployx_edge.progress import Stage
from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.sources.onnx.walk import SourceWalk
from deployx_edge.target import find_target
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.build.build import build_target
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.run import run, run_bundle_here
from deployx_edge.workflows.operators.listing import examine_operators, list_rows
from deployx_edge.workflows.operators.new import new_operator
from deployx_edge.workflows.operators.testing import check_operators
from tests.integration.models.onnx_models import model, save

NET = """
import torch
from my_ops.my_shift.function import my_shift


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.conv = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, image):
        return torch.relu(my_shift(self.conv(image), 0.5)).mean(dim=(2, 3))
"""


class Project:
    """A folder in which commands are given, with a build of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kernel = folder / "my_ops" / "my_shift" / "kernel.h"

    def command(self, *words: str, code: int = 0) -> str:
        """What it prints; it must end with that code."""
        done = subprocess.run(
            [sys.executable, "-m", "deployx_edge", *words],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "COLUMNS": "300"},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def change(self, old: str, new: str) -> None:
        """Change the kernel."""
        text = self.kernel.read_text(encoding="utf-8")
        assert old in text
        self.kernel.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    folder = tmp_path / "my project"  # compilers and CMake take a path with a blank
    folder.mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "dist"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.chdir(folder)
    forget_operators()
    yield Project(folder)
    forget_operators()


def test_an_operator_from_an_empty_project_to_a_board(
    project: Project, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    build = ("build", "--target", host_target_id())
    project.command("op", "new", "my_shift", "--runtime", "ncnn,onnxruntime,tensorrt")
    project.command("op", "new", "gpu_only", "--runtime", "tensorrt")
    (project.folder / "net.py").write_text(NET, encoding="utf-8")

    if pytestconfig.getoption("--all"):
        a_kernel_that_does_not_compile_is_named(project)
    sources_that_change_while_they_compile_are_refused(project)
    project.command(*build)
    assert verdicts() == {"right": 12}
    rows = {row.name: row for row in list_rows()}
    assert (rows["my_shift"].names, rows["my_shift"].cases) == (("my_ops::MyShift",), 4)
    here = (host_target_id(),)
    assert rows["my_shift"].built == (
        ("ncnn", here),
        ("onnxruntime", here),
        ("tensorrt", ()),
    )
    assert all(check.present for check in examine_operators())
    a_kernel_for_gpus_alone_stands_in_for_itself(project)
    told = project.command("convert", "net:Net", "--input", "image:1x3x8x8", "-o", "bundle")
    assert "passed" in told
    run_on_boards(project, tmp_path, emulated=pytestconfig.getoption("--all"))
    if pytestconfig.getoption("--all"):
        int8_has_it_in_floats(project)
        a_kernel_that_is_wrong_is_named(project)


def sources_that_change_while_they_compile_are_refused(project: Project) -> None:
    """Nobody could say which of them the compiler read; what it made does not reach ``dist/``."""

    def edit(stage: Stage) -> None:
        if stage.text == "Checking what was built":
            project.change("x.data[i] + by_", "x.data[i] - by_")

    with pytest.raises(BuildError, match="were changed while they were compiled"):
        build_target(find_target(host_target_id()), on_event=edit)
    assert not dist_folder(host_target_id()).exists()
    project.change("x.data[i] - by_", "x.data[i] + by_")


def a_kernel_for_gpus_alone_stands_in_for_itself(project: Project) -> None:
    """Compiled for the processor: in `op test`, and where a conversion is compared."""
    outcomes = check_operators(["gpu_only"], None)
    assert [each.verdict for each in outcomes] == ["right"] * 4
    path = shift_model(project.folder, operator="GpuOnly", by=0.5)
    made = make_bundle(path, project.folder / "gpu", BundleOptions(runtime="tensorrt"))
    assert made.operators == ("gpu_only",)
    assert made.provenance.verification.status == "passed"


def a_kernel_that_does_not_compile_is_named(project: Project) -> None:
    """With the compiler's lines."""
    project.change("x.data[i] + by_", "x.data[i] + by")
    told = project.command("build", "--target", host_target_id(), code=20)
    assert re.search(r"The operator my_shift \(.*/my_ops/my_shift\) does not compile\.", told), told
    assert re.search(r"kernel.h:\d+:\d+: error: use of undeclared identifier 'by'", told)
    project.change("x.data[i] + by", "x.data[i] + by_")


def int8_has_it_in_floats(project: Project) -> None:
    """Between a convolution in int8 and what follows, calibrated by its reference."""
    samples = np.random.default_rng(3).standard_normal((16, 3, 8, 8)).astype(np.float32)
    np.savez(project.folder / "data.npz", image=samples)
    words = ("--calibration", "data.npz", "--preset", "fast", "--input", "image:1x3x8x8")
    for runtime in ("ncnn", "onnxruntime"):
        project.command("quantize", "net:Net", *words, "--runtime", runtime, "-o", runtime)
        bundle = load_bundle(project.folder / runtime)
        assert (bundle.precision, bundle.operators) == ("int8", ("my_shift",))
        wanted = run_bundle_here(load_bundle(project.folder / "bundle"), {"image": samples[:1]})
        found = run_bundle_here(bundle, {"image": samples[:1]})["output"]
        error = np.linalg.norm(found - wanted["output"]) / np.linalg.norm(wanted["output"])
        assert 1e-5 < error < 0.05  # 8 bits of the convolution, and no more


def a_kernel_that_is_wrong_is_named(project: Project) -> None:
    """It gives other values, none at all, or an exception on each of its threads."""
    first = "    const Tensor& x = call.input(0);"
    thrown = "    if (by_ > 100.0F) call.parallel(4, [](std::int64_t, int) { throw 1; });"
    project.change(first, f"{thrown}\n{first}")
    project.change("x.data[i] + by_", "(by_ == 0.0F ? by_ / by_ : x.data[i] - by_)")
    path = shift_model(project.folder)
    for stale in (verdicts, partial(make_bundle, path, project.folder / "other")):
        with pytest.raises(MissingToolError, match=r"The operator my_shift .* was changed since"):
            stale()
    project.command("build", "--target", host_target_id())
    forget_operators()
    said = {(each.runtime, each.case): each.detail for each in check_operators(["my_shift"], None)}
    for runtime in ("ncnn", "onnxruntime"):
        assert "off by" in said[runtime, "rows"]
        assert "is not finite in other places" in said[runtime, "5d"]
        assert "its kernel threw an exception" in said[runtime, "vector"]
    assert "0 of 4" in project.command("op", "test", "my_shift", code=12)
    for runtime in ("ncnn", "onnxruntime"):
        options = BundleOptions(runtime=runtime)
        with pytest.raises(VerificationError, match=r"of the layer 'shift' \(") as raised:
            make_bundle(path, project.folder / "other", options)
        assert "`deployx-edge op test my_shift`" in raised.value.remedy


def verdicts() -> dict[str, int]:
    """How many cases of the operator are of each."""
    forget_operators()
    return dict(Counter(each.verdict for each in check_operators(["my_shift"], None)))


def run_on_boards(project: Project, tmp_path: Path, *, emulated: bool) -> None:
    """The bundle gives there what it gives here, where it was compared with its source."""
    bundle = load_bundle(project.folder / "bundle")
    assert bundle.operators == ("my_shift",)
    values = np.random.default_rng(4).standard_normal((1, 3, 8, 8)).astype(np.float32)
    wanted = run_bundle_here(bundle, {"image": values})["output"]
    assert float(np.ptp(wanted)) > 0.01
    for uri in ("local:", *(["virtual:linux-arm64"] if emulated else [])):
        board = Device(name="board", uri=uri, work_folder=str(tmp_path / "work"))
        with open_session(board) as session:
            found = run(session, bundle, {"image": values})["output"]
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def shift_model(folder: Path, operator: str = "MyShift", **attributes: object) -> Path:
    """The operator between two of ONNX's, without PyTorch."""
    made = model(
        [
            helper.make_node("Relu", ["x"], ["a"], "first"),
            helper.make_node(operator, ["a"], ["b"], "shift", domain="my_ops", **attributes),
            helper.make_node("Sigmoid", ["b"], ["y"], "last"),
        ],
        {"x": (1, 3, 5)},
        {"y": (1, 3, 5)},
    )
    made.opset_import.append(helper.make_opsetid("my_ops", 1))
    return save(made, folder / "shift.onnx")


_ONNX_FUNCTION = """
from onnxscript import FLOAT, script
from onnxscript import opset18 as op


@script(default_opset=op)
def reference(x: FLOAT[...], by: float):
    return op.Add(x, op.CastLike(op.Constant(value_float=by), x))
"""


@pytest.mark.parametrize("written", ["", _ONNX_FUNCTION], ids=["NumPy", "onnxscript"])
def test_a_source_runs_by_the_operators_reference(project: Project, written: str) -> None:
    """Between two stretches of ONNX Runtime's, with the defaults of op.toml."""
    folder = new_operator("my_shift", folder=None).facts.folder
    if written:
        (folder / "reference.py").write_text(written, encoding="utf-8")
    values = np.linspace(-2, 2, 15, dtype=np.float32).reshape(1, 3, 5)
    for attributes, by in (({}, 1.0), ({"by": -0.25}, -0.25)):
        path = shift_model(project.folder, **attributes)
        source = read_onnx(path, {})
        found = Reference(source).run({"x": values})["y"]
        wanted = 1 / (1 + np.exp(-(np.maximum(values, 0) + by)))
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
        inside = SourceWalk(source).tensors({"x": values})
        tensors = {name: array for part in inside for name, array in part.items()}
        np.testing.assert_allclose(tensors["b"], np.maximum(values, 0) + by, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def reference(x, by):\n    return x + by, x\n", "gives 2 outputs, op.toml names 1"),
        ("def reference(x):\n    return x\n", "fails: TypeError: .*unexpected keyword"),
        ("def reference(x, by):\n    return x + nothing\n", "fails: NameError: .*'nothing'"),
        ("def reference(x, by):\n    x += by\n    return x\n", "fails: ValueError: .*x.copy()"),
        ("def reference(x, by):\n    pass\n", "gives None as its output 'y', .* float32"),
        ("def reference(x, by):\n    return 'x'\n", "gives a str as its output 'y', .* float32"),
        ("def reference(x, by):\n    return [[1, 2], [3]]\n", "gives a list as its output 'y'"),
        ("def reference(x, by):\n    return x * 1j\n", "gives values of complex64 that it"),
    ],
)
def test_a_reference_that_is_wrong_is_named(project: Project, text: str, says: str) -> None:
    new_operator("my_shift", folder=None)
    (project.folder / "my_ops/my_shift/reference.py").write_text(text, encoding="utf-8")
    path = shift_model(project.folder)
    with pytest.raises(ModelError, match=f"reference of the operator my_shift .*{says}"):
        make_bundle(path, project.folder / "bundle")


def test_what_a_reference_gives_is_held_by_the_type_of_its_output(project: Project) -> None:
    """Numbers that are whole are taken as floats, too; all others are named."""
    made = new_operator("my_shift", folder=None)
    facts = made.facts.folder / "op.toml"
    text = facts.read_text(encoding="utf-8")
    head, outputs = text.split("[[outputs]]")
    facts.write_text(f"{head}[[outputs]]{outputs.replace('float32', 'int64')}", encoding="utf-8")
    whole = model(
        [
            helper.make_node("MyShift", ["x"], ["n"], "shift", domain="my_ops"),
            helper.make_node("Cast", ["n"], ["y"], to=1),
        ],
        {"x": (1, 3)},
        {"y": (1, 3)},
    )
    whole.opset_import.append(helper.make_opsetid("my_ops", 1))
    reference = Reference(read_onnx(save(whole, project.folder / "m.onnx"), {}))
    found = reference.run({"x": np.asarray([[1, -2, 3]], dtype=np.float32)})["y"]
    np.testing.assert_array_equal(found, [[2, -1, 4]])
    with pytest.raises(ModelError, match=r"values of float32 that it does not hold .* int64") as e:
        reference.run({"x": np.asarray([[1, 0.5, 3]], dtype=np.float32)})
    assert "op.toml" in e.value.remedy


def test_an_attribute_that_nobody_gives_a_value_is_named(project: Project) -> None:
    made = new_operator("my_shift", folder=None)
    facts = made.facts.folder / "op.toml"
    text = facts.read_text(encoding="utf-8")
    facts.write_text(text.replace("default = 1.0\n", ""), encoding="utf-8")
    forget_operators()
    with pytest.raises(ModelError, match="fails: TypeError") as raised:
        make_bundle(shift_model(project.folder), project.folder / "bundle")
    assert "the attribute 'by', which has no default in op.toml" in raised.value.remedy


def test_a_reference_without_its_function_is_named(project: Project) -> None:
    made = new_operator("my_shift", folder=None)
    (made.facts.folder / "reference.py").write_text("def other(x):\n    return x\n")
    with pytest.raises(UsageError, match=r"reference.py has no function 'reference'"):
        make_bundle(shift_model(project.folder), project.folder / "bundle")


def test_without_a_reference_nobody_knows_what_it_computes(project: Project) -> None:
    made = new_operator("my_shift", folder=None)
    (made.facts.folder / "reference.py").unlink()
    with pytest.raises(ModelError, match=r"my_shift .* has no reference.py") as raised:
        make_bundle(shift_model(project.folder), project.folder / "bundle")
    assert "reference.py" in raised.value.remedy


def test_an_operator_that_nobody_has_leads_to_a_new_one(project: Project) -> None:
    path = shift_model(project.folder)
    with pytest.raises(ModelError, match="of the domain 'my_ops' is not a standard") as raised:
        make_bundle(path, project.folder / "bundle")
    command = re.search(r"deployx-edge (op new \S+ --operator \S+)\.", raised.value.remedy)
    assert command is not None
    project.command(*command[1].split())
    forget_operators()
    assert [facts.titles for facts in users_operators().values()] == [("my_ops::MyShift",)]
