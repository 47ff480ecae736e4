"""Branches, loops, sequences, functions and constants: judged by what simplification leaves."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from deployx_edge.errors import DeployxError, ModelError
from deployx_edge.report.inspection import inspection_document
from deployx_edge.sources.onnx.extraction import extract
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from tests.integration.models.onnx_models import constant, model, save, weights
from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import check
from tests.integration.models.operators.case import Case
from tests.integration.models.structure_cases import Structure, all_structures

STRUCTURES = {case.name: case for case in all_structures()}
_SAMPLED = 16
IMAGE = {"x": (1, 6, 8, 8)}


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure(name: str, tmp_path: Path) -> None:
    """Right in ncnn, or refused by the name of the node that is the cause."""
    case = STRUCTURES[name]
    outcome = check(Case(name=case.name, model=case.model), tmp_path)
    assert outcome.verdict == ("refused" if case.refused else "right"), outcome.detail
    assert case.refused in outcome.detail


def sampled() -> list[Case | Structure]:
    """Some of the matrix of operators, and some structures, the same in each run."""
    chosen = random.Random(14)
    return [
        *chosen.sample(all_cases(), _SAMPLED),
        *chosen.sample(list(STRUCTURES.values()), _SAMPLED),
        *(case for case in STRUCTURES.values() if case.refused),
    ]


@pytest.mark.parametrize("case", sampled(), ids=lambda case: case.name)
def test_inspect_and_convert_answer_alike(case: Case | Structure, tmp_path: Path) -> None:
    path = save(case.model, tmp_path / "m.onnx")
    try:
        make_bundle(path, tmp_path / "bundle", BundleOptions(verify=False))
        converted = ""
    except ModelError as error:
        converted = str(error)
    try:
        found = inspect_model(path)
        nodes = [node.node for use in found.operators for node in use.refused.get("ncnn", ())]
        inspected = " ".join([*nodes, found.refused["ncnn"]]).strip()
    except ModelError as error:
        nodes, inspected = [], str(error)
    assert bool(converted) == bool(inspected), (converted, inspected)
    assert not nodes or any(f"'{node}'" in converted for node in nodes)


@pytest.mark.parametrize("form", ["single", "all-outputs", "dropout"])
@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_training_mode_is_named(form: str, runtime: str, tmp_path: Path) -> None:
    outputs = ["n", "m1", "v1"] if form == "all-outputs" else ["n"]
    training = {
        "dropout": helper.make_node("Dropout", ["c", "half", "yes"], ["n"], name="odd"),
    }.get(
        form,
        helper.make_node(
            "BatchNormalization", ["c", "g", "b", "m", "v"], outputs, name="odd", training_mode=1
        ),
    )
    made = model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"]),
            training,
            helper.make_node("Relu", ["n"], ["y"]),
        ],
        IMAGE,
        {"y": (1, 6, 8, 8)},
        [
            weights("w", 6, 6, 1, 1),
            constant("half", np.float32(0.5)),
            constant("yes", np.asarray(True)),
            *(constant(name, np.full(6, 0.5, dtype=np.float32)) for name in "gbmv"),
        ],
        opset=15,
    )
    path = save(made, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"training mode.*\(node 'odd'\).*eval\(\)"):
        make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
    if form == "single":  # which ONNX Runtime does not even load
        return
    made.graph.node[1].CopyFrom(helper.make_node("Identity", ["c"], ["n"]))
    made.graph.node.add().CopyFrom(training)
    made.graph.node[-1].output[0] = "nobody"
    bundle = make_bundle(save(made, path), tmp_path / "b", BundleOptions(runtime=runtime))
    assert bundle.provenance.verification.status == "passed"


def test_a_function_of_another_opset_is_refused_only_where_its_operators_differ(
    tmp_path: Path,
) -> None:
    def calling(operator: str) -> onnx.ModelProto:
        body = [helper.make_node(operator, ["a"], ["b"])]
        old = [helper.make_opsetid("", 11)]
        function = helper.make_function("own", "Old", ["a"], ["b"], body, old)
        made = model(
            [helper.make_node("Old", ["x"], ["y"], domain="own")],
            IMAGE,
            {"y": (1, 6, 8, 8)},
            opset=11 if operator == "Hardmax" else 18,
        )
        made.functions.append(function)
        made.opset_import.append(helper.make_opsetid("own", 1))
        return made

    for runtime in ("ncnn", "onnxruntime"):
        path = save(calling("Softmax"), tmp_path / "m.onnx")
        with pytest.raises(ModelError, match=r"function 'Old'.*opset 11.*18.*'Softmax'"):
            make_bundle(path, tmp_path / runtime, BundleOptions(runtime=runtime))
        path = save(calling("Softsign"), tmp_path / "m.onnx")
        bundle = make_bundle(path, tmp_path / runtime, BundleOptions(runtime=runtime))
        assert bundle.provenance.verification.status == "passed"


def test_a_foreign_operator_is_the_cause_and_not_what_follows(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], name="first"),
            helper.make_node("Odd", ["c"], ["o"], name="stranger", domain="com.example"),
            helper.make_node("Conv", ["o", "w"], ["d"], name="behind"),
            helper.make_node("Relu", ["d"], ["y"], name="last"),
        ],
        IMAGE,
        {"y": (1, 6, 8, 8)},
        [weights("w", 6, 6, 1, 1)],
    )
    made.opset_import.append(helper.make_opsetid("com.example", 1))
    path = save(made, tmp_path / "m.onnx")
    for runtime in ("ncnn", "onnxruntime"):
        with pytest.raises(ModelError, match=r"'Odd' \(node 'stranger'\).*'com\.example'") as error:
            make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
        assert "behind" not in str(error.value)
    found = inspect_model(path)
    assert all("'Odd' (node 'stranger')" in reason for reason in found.refused.values())
    named = [node.node for use in found.operators for node in use.refused.get("ncnn", ())]
    assert named == ["stranger"]
    macs = {use.operator: use.macs for use in found.operators}
    assert macs["Odd"] is None
    assert macs["Relu"] == 0
    assert found.macs is None
    made.graph.node[2].input[0] = "c"  # now nobody reads what it gives
    for runtime in ("ncnn", "onnxruntime"):
        bundle = make_bundle(save(made, path), tmp_path / runtime, BundleOptions(runtime=runtime))
        assert bundle.provenance.verification.status == "passed"


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
@pytest.mark.parametrize("name", [name for name in STRUCTURES if "computed" in name])
def test_what_stays_is_right_where_it_runs(name: str, runtime: str, tmp_path: Path) -> None:
    """ONNX Runtime has branches, loops and sequences; nothing is ever an error within."""
    path = save(STRUCTURES[name].model, tmp_path / "m.onnx")
    try:
        bundle = make_bundle(path, tmp_path / "b", BundleOptions(runtime=runtime))
        assert runtime == "onnxruntime"
        assert bundle.provenance.verification.status == "passed"
    except DeployxError as error:
        words = (f"(node '{STRUCTURES[name].node}')", "test inputs", "proves nothing")
        assert any(word in str(error) for word in words), error


@pytest.mark.parametrize(
    ("operator", "operands"),
    [
        ("Max", ["x", "low"]),
        ("Max", ["low", "x"]),
        ("Min", ["x", "high"]),
        ("Max", ["x", "lows"]),
        ("Min", ["highs", "x"]),
        ("Max", ["x", "some"]),
        ("Max", ["x", "low", "x"]),
        ("Clip", ["x", "low", "high"]),
        ("Clip", ["x", "low", "half"]),
        ("Clip", ["x", "half", "high"]),
        ("Clip", ["x", "", "high"]),
        ("Div", ["x", "high"]),
    ],
)
@pytest.mark.parametrize("behind", ["Relu", "Conv"])
def test_infinite_bounds(operator: str, operands: list[str], behind: str, tmp_path: Path) -> None:
    """A Max by minus infinity, as exports of sums over windows hold it, is not a bound."""
    infinity = np.float32(np.inf)
    mixed = np.where(np.arange(6) % 2, -infinity, np.float32(0.25)).reshape(1, 6, 1, 1)
    last = ["t", "w"] if behind == "Conv" else ["t"]
    nodes = [
        helper.make_node("Conv", ["x0", "w"], ["x"]),
        helper.make_node(operator, operands, ["t"]),
        helper.make_node(behind, last, ["u"]),
        helper.make_node("Add", ["u", "x0"], ["y"]),
    ]
    made = model(
        nodes,
        {"x0": (1, 6, 8, 8)},
        {"y": (1, 6, 8, 8)},
        [
            weights("w", 6, 6, 1, 1),
            constant("low", -infinity),
            constant("high", infinity),
            constant("half", np.float32(0.5)),
            constant("lows", np.full((1, 6, 1, 1), -infinity)),
            constant("highs", np.full((6, 1, 1), infinity)),
            constant("some", mixed.astype(np.float32)),
        ],
    )
    outcome = check(Case(name="infinite", model=made), tmp_path)
    assert outcome.verdict == "right", outcome.detail


def test_unknown_multiply_accumulates_are_no_zeros(tmp_path: Path) -> None:
    case = STRUCTURES["loop/computed"]
    found = inspect_model(save(case.model, tmp_path / "m.onnx"))
    macs = {use.operator: use.macs for use in found.operators}
    assert macs == {"Cast": 0, "Greater": 0, "Loop": None, "ReduceSum": 0}
    assert not any(use.rewritten for use in found.operators)
    assert found.macs is None
    assert inspection_document(found)["macs"] is None


def test_nodes_of_graphs_within_nodes_are_known(tmp_path: Path) -> None:
    source = read_onnx(save(STRUCTURES["if/shape"].model, tmp_path / "m.onnx"), {})
    assert {"If", "Relu", "Add"} <= {node.operator for node in source.nodes}
    odd = STRUCTURES["if/shape"].model
    odd = onnx.ModelProto.FromString(odd.SerializeToString())
    branch = next(a.g for a in odd.graph.node[-1].attribute if a.name == "then_branch")
    branch.node[0].op_type = "Blur"
    with pytest.raises(ModelError, match="'Blur' \\(node 'relu'\\)"):
        read_onnx(save(odd, tmp_path / "m.onnx"), {})


def test_a_part_takes_along_what_a_branch_reads(tmp_path: Path) -> None:
    """What only a graph within a node reads is needed all the same."""
    made = STRUCTURES["if/computed"].model
    part = extract(made, (), ("y",))
    assert part.inputs == ("x",)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(
    "name",
    [
        "if/rank-one-nested",
        "folded/quantized-weight",
        "folded/rounded-weight",
        "optional/empty-has",
        "optional/full-get",
        "sequence/insert-at",
    ],
)
def test_a_structure_in_onnx_runtime(name: str, precision: str, tmp_path: Path) -> None:
    path = save(STRUCTURES[name].model, tmp_path / "m.onnx")
    options = BundleOptions(runtime="onnxruntime", precision=precision)
    bundle = make_bundle(path, tmp_path / "b", options)
    assert bundle.provenance.verification.status == "passed"
