"""Operators of our own: each case of each, in every runtime, is as the reference has it."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.device import Device
from deployx_edge.errors import MissingToolError, ModelError
from deployx_edge.operator_facts import all_operators
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import open_converted
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.conversion import read_converted
from deployx_edge.workflows.operators.cases import build_cases
from deployx_edge.workflows.operators.listing import list_rows
from deployx_edge.workflows.operators.new import new_operator
from deployx_edge.workflows.operators.testing import cases_of, check_operator, check_operators
from tests.integration.models.onnx_models import model, save

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("facts", all_operators().values(), ids=lambda facts: facts.name)
def test_every_case_is_as_the_reference(facts: OperatorFacts) -> None:
    outcomes = check_operator(facts)
    assert len(outcomes) == len(cases_of(facts)) * len(facts.runtimes) > 0
    assert [each for each in outcomes if each.verdict != "right"] == []


def test_a_board_tells_what_a_case_takes_and_the_list_where_it_was_right() -> None:
    outcomes = check_operators(["top_k"], "local:")
    cases = len(cases_of(all_operators()["top_k"]))
    assert [each.mean_ns for each in outcomes[:cases]] == [None] * cases
    assert [each.place for each in outcomes[cases:]] == ["local:"] * cases
    assert all(each.mean_ns and not each.emulated for each in outcomes[cases:])
    (row,) = (row for row in list_rows() if row.name == "top_k")
    assert {(each.runtime, each.place, each.right, each.current) for each in row.tested} == {
        ("ncnn", "this computer", cases, True),
        ("ncnn", "local:", cases, True),
    }


def detector_head() -> onnx.ModelProto:
    """As RT-DETR ends: the best of all places by score, their boxes, those above a threshold."""
    random = np.random.default_rng(5)
    constants = {
        "w": (random.standard_normal((16, 3, 3, 3)) * 0.3).astype(np.float32),
        "classes": (random.standard_normal((16, 5)) * 0.3).astype(np.float32),
        "box": (random.standard_normal((16, 4)) * 0.3).astype(np.float32),
        "rows": np.asarray([1, 16, -1]),
        "count": np.asarray([20]),
        "last": np.asarray([-1]),
        "fourfold": np.asarray([1, 1, 4]),
        "least": np.asarray(0.5, dtype=np.float32),
        "none": np.asarray(0, dtype=np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["features"], "stem", pads=[1] * 4),
        helper.make_node("Reshape", ["features", "rows"], ["flat"], "flat"),
        helper.make_node("Transpose", ["flat"], ["places"], "places", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["places", "classes"], ["each"], "scores"),
        helper.make_node("MatMul", ["places", "box"], ["all"], "boxes"),
        helper.make_node("ReduceMax", ["each"], ["score"], "best", axes=[-1], keepdims=0),
        helper.make_node("TopK", ["score", "count"], ["scores", "index"], "top", axis=1),
        helper.make_node("Unsqueeze", ["index", "last"], ["column"], "column"),
        helper.make_node("Tile", ["column", "fourfold"], ["chosen"], "chosen"),
        helper.make_node("GatherElements", ["all", "chosen"], ["found"], "gather", axis=1),
        helper.make_node("Greater", ["scores", "least"], ["kept"], "kept"),
        helper.make_node("Unsqueeze", ["kept", "last"], ["keeps"], "keeps"),
        helper.make_node("Where", ["keeps", "found", "none"], ["boxes"], "where"),
    ]
    return model(
        nodes,
        {"x": (1, 3, 48, 48)},
        {"boxes": (1, 20, 4), "scores": (1, 20)},
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        opset=13,
    )


def test_a_detector_whose_head_chooses_boxes_runs_whole_on_a_board(tmp_path: Path) -> None:
    path = save(detector_head(), tmp_path / "head.onnx")
    bundle = make_bundle(path, tmp_path / "bundle")
    assert bundle.operators == ("gather_elements", "greater", "top_k", "where")
    assert bundle.provenance.verification.status == "passed"
    values = np.random.default_rng(6).standard_normal((1, 3, 48, 48)).astype(np.float32)
    wanted = Reference(read_onnx(path, {})).run({"x": values})
    board = Device(name="here", uri="local:", work_folder=str(tmp_path / "work"))
    with open_session(board) as session, session.loaded(bundle) as loaded:
        found = loaded({"x": values})
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_indices_are_exact_where_the_rest_has_16_bits(tmp_path: Path, precision: str) -> None:
    """Half floats hold whole numbers up to 2048, bfloat16 up to 256."""
    nodes = [
        helper.make_node("TopK", ["x", "count"], ["values", "index"], "top", axis=1),
        helper.make_node("Add", ["index", "more"], ["next"], "next"),
        helper.make_node("Reshape", ["next", "rows"], ["grid"], "grid"),
        helper.make_node("Transpose", ["grid"], ["turned"], "turned", perm=[0, 2, 1]),
        helper.make_node("Reshape", ["turned", "flat"], ["chosen"], "chosen"),
        helper.make_node("GatherElements", ["x", "chosen"], ["y"], "gather", axis=1),
    ]
    constants = {
        "count": np.asarray([8]),
        "more": np.asarray([1]),
        "rows": np.asarray([1, 4, 2]),
        "flat": np.asarray([1, 8]),
    }
    made = model(
        nodes,
        {"x": (1, 6001)},
        {"y": (1, 8)},
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    path = save(made, tmp_path / "m.onnx")
    options = BundleOptions(precision=precision, verify=False)
    bundle = make_bundle(path, tmp_path / "bundle", options)
    values = np.random.default_rng(7).random((1, 6001)).astype(np.float32)
    values[0, 211:6000:777] = 2.0 ** np.arange(8, 0, -1)  # that no format rounds
    wanted = Reference(read_onnx(path, {})).run({"x": values})
    with open_converted(read_converted(bundle)) as opened:
        found = opened.run({"x": values})
    np.testing.assert_allclose(found["y"], wanted["y"], rtol=1e-2)
    assert np.array_equal(wanted["y"].reshape(2, 4).T.reshape(-1), values[0, 212::777])


def test_without_a_build_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "nothing"))
    path = save(detector_head(), tmp_path / "head.onnx")
    with pytest.raises(MissingToolError, match=r"operators of our own \(gather_elements, gre") as e:
        make_bundle(path, tmp_path / "bundle")
    assert "deployx-edge build --target" in e.value.remedy


def test_a_name_of_another_domain_leads_to_the_operator_of_ours(tmp_path: Path) -> None:
    made = model(
        [helper.make_node("TopK", ["x"], ["y"], "top", domain="theirs")],
        {"x": (1, 6)},
        {"y": (1, 6)},
    )
    made.opset_import.append(helper.make_opsetid("theirs", 1))
    with pytest.raises(ModelError, match="of the domain 'theirs'") as found:
        make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "bundle")
    assert '"aliases" in ops/top_k/op.toml' in found.value.remedy


def test_the_page_makes_an_operator_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files are those of `op new`; its kernel compiles, and its reference is what it says."""
    page = (ROOT / "docs" / "adding-an-op.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\w+\n(?:#|//) (my_ops/my_shift/\S+)\n(.*?)```", page, re.S)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    facts = new_operator("my_shift", folder=None, runtimes=["ncnn", "onnxruntime"]).facts
    written = {path.name: path.read_text(encoding="utf-8") for path in facts.folder.iterdir()}
    assert {Path(name).name: text for name, text in blocks} == written
    script = ROOT / "device_agent" / "cmake" / "operator_facts.py"
    headers = tmp_path / "headers"
    subprocess.run([sys.executable, script, tmp_path / "my_ops", headers], check=True)
    sources = f'#include "my_shift/kernel.h"\n#include "my_shift_facts.h"\n{MAIN}'
    (tmp_path / "main.cpp").write_text(sources, encoding="utf-8")
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    words = [compiler, "-std=c++17", "-Wall", "-Wextra", "-Werror"]
    words += ["-I", tmp_path / "my_ops", "-I", headers, "-I", ROOT / "device_agent"]
    words += [tmp_path / "main.cpp", ROOT / "device_agent/operators/operator.cpp"]
    subprocess.run([*map(str, words), "-o", str(tmp_path / "main")], check=True)
    done = subprocess.run([tmp_path / "main"], check=True, capture_output=True, text=True)
    assert done.stdout == "2 1 3.5 "  # 1, 0 and 2.5, shifted by the default
    cases = cases_of(facts)
    assert [case.name for case in cases] == ["image", "rows", "5d", "vector"]
    _, built = build_cases(facts, cases)
    reference = runpy.run_path(str(facts.folder / "reference.py"))["reference"]
    assert np.array_equal(reference(*built[1].values, by=-2.5), built[1].values[0] - 2.5)


def test_the_page_shows_what_is_written_for_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "adding-an-op.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```cpp\n// (kernel\.cu|device\.h)\n(.*?)```", page, re.S)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    facts = new_operator("my_shift", folder=None, runtimes=["tensorrt"]).facts
    assert sorted(name for name, _ in blocks) == ["device.h", "kernel.cu"]
    for name, text in blocks:
        assert text in (facts.folder / name).read_text(encoding="utf-8")
    assert facts.runtimes == ("tensorrt",)


# Runs the kernel on three values: a call with one thread and nothing else.
MAIN = r"""
#include <cstdio>

class OneCall : public dx::op::Call {
 public:
  bool has(std::size_t) const override { return true; }
  const dx::op::Tensor& input(std::size_t) const override { return input_; }
  float* output(std::size_t, const dx::op::Shape&) override { return output_; }
  float* scratch(std::size_t) override { return nullptr; }
  int threads() const override { return 1; }
  bool multiply(const float*, const float*, float*, std::int64_t, std::int64_t,
                std::int64_t) override {
    return false;
  }
  const float* made() const { return output_; }

 protected:
  void loop(std::int64_t count, Body body, void* context) override {
    for (std::int64_t i = 0; i < count; ++i) body(context, i, 0);
  }

 private:
  float values_[3] = {1, 0, 2.5};
  float output_[3] = {};
  dx::op::Tensor input_{values_, {1, 3}};
};

int main() {
  OneCall call;
  const dx::op::my_shift::Kernel kernel{dx::op::Attributes(dx::op::my_shift::kFacts)};
  if (kernel.run(call) != nullptr) return 1;
  for (int i = 0; i < 3; ++i) std::printf("%g ", static_cast<double>(call.made()[i]));
}
"""
