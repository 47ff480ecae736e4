"""A user's operator in branches, loops and functions: its reference runs there as outside.

Each model is written twice, with the operator and with an Add in its place, which ONNX Runtime
has; both give the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deployx_edge.errors import ModelError
from deployx_edge.operator_facts import forget_operators
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.canonical import canonical, simplified
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.sources.onnx.walk import SourceWalk
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.operators.new import new_operator
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
from tests.integration.models.onnx_models import constant, model, save

SHAPE = (2, 3, 4)
BOOL, FLOAT, INT64 = TensorProto.BOOL, TensorProto.FLOAT, TensorProto.INT64
Shift = Callable[[str, str], onnx.NodeProto]
Nodes = list[onnx.NodeProto]
value = helper.make_tensor_value_info
node = helper.make_node


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path / "dist"))
    monkeypatch.chdir(tmp_path)
    forget_operators()
    new_operator("my_shift", folder=None, runtimes=("ncnn",))
    yield tmp_path
    forget_operators()


def graph(nodes: Nodes, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> onnx.GraphProto:
    """A body; a tensor is float of that shape, or a pair of type and shape."""

    def described(tensors: Mapping[str, Any]) -> list[onnx.ValueInfoProto]:
        pairs = {
            n: t if isinstance(t, tuple) and len(t) == 2 and t[0] in (BOOL, INT64) else None
            for n, t in tensors.items()
        }
        return [value(n, *(pair or (FLOAT, tensors[n]))) for n, pair in pairs.items()]

    return helper.make_graph(nodes, "body", described(inputs), described(outputs))


def counted(outputs: Mapping[str, Any], nodes: Nodes, *, goes: str = "goes") -> onnx.GraphProto:
    """The body of a Loop that carries ``v``, and goes on as ``goes`` says."""
    inputs = {"count": (INT64, ()), "goes": (BOOL, ()), "v": SHAPE}
    nodes = [*nodes, node("Identity", [goes], ["goes_on"])]
    return graph(nodes, inputs, {"goes_on": (BOOL, ()), **outputs})


def branch(shift: Shift) -> Nodes:
    bodies = {
        "then_branch": graph([shift("h", "a")], {}, {"a": SHAPE}),
        "else_branch": graph([node("Neg", ["h"], ["a"])], {}, {"a": SHAPE}),
    }
    return [
        node("Relu", ["x"], ["h"]),
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("If", ["c"], ["y"], **bodies),
    ]


def both_branches(shift: Shift) -> Nodes:
    """Nodes without names, whose branches make tensors of the same names."""
    other = [shift("x", "p"), shift("p", "a")]
    bodies = {
        "then_branch": graph([shift("x", "a")], {}, {"a": SHAPE}),
        "else_branch": graph(other, {}, {"a": SHAPE}),
    }
    return [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("Not", ["c"], ["d"]),
        node("If", ["c"], ["first"], **bodies),
        node("If", ["d"], ["second"], **bodies),
        node("Sub", ["first", "second"], ["y"]),
    ]


def loop(shift: Shift) -> Nodes:
    """With what each round leaves, and a body that reads what is around it."""
    nodes = [shift("v", "w"), node("Mul", ["w", "half"], ["u"]), node("Add", ["u", "x"], ["t"])]
    body = counted({"t": SHAPE, "w": SHAPE}, nodes)
    return [
        node("Loop", ["three", "true", "x"], ["last", "rounds"], body=body),
        node("ReduceSum", ["rounds", "first_axis"], ["sum"], keepdims=0),
        node("Add", ["last", "sum"], ["y"]),
    ]


def loop_until(shift: Shift) -> Nodes:
    """Without a number of rounds: values say when it ends."""
    nodes = [
        shift("v", "w"),
        node("ReduceMax", ["w"], ["most"], keepdims=0),
        node("Less", ["most", "limit"], ["small"]),
    ]
    return [node("Loop", ["", "true", "x"], ["y"], body=counted({"w": SHAPE}, nodes, goes="small"))]


def loop_never(shift: Shift) -> Nodes:
    body = counted({"w": SHAPE, "kept": SHAPE}, [shift("v", "w"), node("Neg", ["w"], ["kept"])])
    return [
        node("Loop", ["none", "true", "x"], ["last", "rounds"], body=body),
        node("ReduceSum", ["rounds", "first_axis"], ["sum"], keepdims=0),
        node("Add", ["last", "sum"], ["y"]),
    ]


def branch_in_loop(shift: Shift) -> Nodes:
    bodies = {
        "then_branch": graph([shift("v", "a")], {}, {"a": SHAPE}),
        "else_branch": graph([node("Mul", ["v", "half"], ["a"])], {}, {"a": SHAPE}),
    }
    nodes = [
        node("Mod", ["count", "two"], ["rest"]),
        node("Equal", ["rest", "none"], ["even"]),
        node("If", ["even"], ["w"], "inner", **bodies),
    ]
    return [node("Loop", ["three", "", "x"], ["y"], body=counted({"w": SHAPE}, nodes))]


def scan(shift: Shift) -> Nodes:
    """Along the last axis, one input backwards, outputs along another and backwards."""
    row = (2, 3)
    nodes = [
        node("Add", ["state", "one"], ["sum"]),
        shift("sum", "next"),
        node("Sub", ["next", "other"], ["out"]),
        node("Identity", ["next"], ["seen"]),
    ]
    body = graph(
        nodes, {"state": row, "one": row, "other": row}, {"next": row, "out": row, "seen": row}
    )
    directions = {"scan_input_axes": [2, -1], "scan_input_directions": [0, 1]}
    outputs = {"scan_output_axes": [-1, 2], "scan_output_directions": [1, 0]}
    names = ["last", "rows", "states"]
    return [
        node("ReduceSum", ["x", "last_axis"], ["start"], keepdims=0),
        node(
            "Scan",
            ["start", "x", "x"],
            names,
            body=body,
            num_scan_inputs=2,
            **directions,
            **outputs,
        ),
        node("Add", ["rows", "states"], ["both"]),
        node("Unsqueeze", ["last", "last_axis"], ["wide"]),
        node("Add", ["both", "wide"], ["y"]),
    ]


def function(shift: Shift) -> Nodes:
    return [
        node("Block", ["x"], ["h"], domain="local"),
        node("Outer", ["h"], ["y"], domain="local"),
    ]


def function_in_branch(shift: Shift) -> Nodes:
    bodies = {
        "then_branch": graph([node("Outer", ["x"], ["a"], domain="local")], {}, {"a": SHAPE}),
        "else_branch": graph([node("Neg", ["x"], ["a"])], {}, {"a": SHAPE}),
    }
    return [
        node("ReduceSum", ["x"], ["s"], keepdims=0),
        node("Greater", ["s", "zero"], ["c"]),
        node("If", ["c"], ["y"], **bodies),
    ]


MODELS = (
    branch,
    both_branches,
    loop,
    loop_until,
    loop_never,
    branch_in_loop,
    scan,
    function,
    function_in_branch,
)


def by_operator(source: str, made: str) -> onnx.NodeProto:
    return node("MyShift", [source], [made], domain="my_ops", by=0.75)


def by_add(source: str, made: str) -> onnx.NodeProto:
    return node("Add", [source, "by"], [made])


def write(build: Callable[[Shift], Nodes], shift: Shift, path: Path) -> Path:
    constants = {
        "zero": np.float32(0),
        "half": np.float32(0.5),
        "limit": np.float32(4),
        "by": np.float32(0.75),
        "three": np.int64(3),
        "none": np.int64(0),
        "two": np.int64(2),
        "true": np.bool_(True),
        "first_axis": np.asarray([0]),
        "last_axis": np.asarray([-1]),
    }
    nodes = build(shift)
    text = " ".join(map(str, nodes))
    used = [constant(n, array) for n, array in constants.items() if f'"{n}"' in text or n == "by"]
    made = model(nodes, {"x": SHAPE}, {"y": SHAPE}, used, opset=17)
    own = [helper.make_opsetid("", 17), helper.make_opsetid("my_ops", 1)]
    made.opset_import.extend([own[1], helper.make_opsetid("local", 1)])
    if "local" in text:
        by = node("Constant", [], ["by"], value_float=0.75)
        inner = [node("Relu", ["p"], ["r"]), by, shift("r", "q")]
        outer = [node("Block", ["p"], ["r"], domain="local"), node("Neg", ["r"], ["q"])]
        imports = [*own, helper.make_opsetid("local", 1)]
        made.functions.append(helper.make_function("local", "Block", ["p"], ["q"], inner, imports))
        made.functions.append(helper.make_function("local", "Outer", ["p"], ["q"], outer, imports))
    return save(made, path)


@pytest.mark.parametrize("build", MODELS)
def test_it_is_as_the_same_model_with_an_add(
    project: Path, build: Callable[[Shift], Nodes]
) -> None:
    path = write(build, by_operator, project / "own.onnx")
    plain = Reference(read_onnx(write(build, by_add, project / "plain.onnx"), {}))
    source = read_onnx(path, {})
    random = np.random.default_rng(5)
    for sign in (1, -1):
        x = sign * np.abs(random.standard_normal(SHAPE).astype(np.float32))
        (wanted,) = plain.run({"x": x}).values()
        np.testing.assert_allclose(Reference(source).run({"x": x})["y"], wanted, atol=1e-6)
        parts = SourceWalk(source).tensors({"x": x})
        tensors = {name: array for part in parts for name, array in part.items()}
        np.testing.assert_allclose(tensors["y"], wanted, atol=1e-6)


def test_a_loop_of_known_length_is_written_out_for_ncnn(project: Path) -> None:
    """Where what is folded and measured on the way runs by the reference, too."""
    made = canonical(read_onnx(write(loop, by_operator, project / "m.onnx"), {}))
    types = [each.op_type for each in made.model.graph.node]
    assert types.count("MyShift") == 3 and "Loop" not in types
    assert all(made.shapes[each.output[0]] for each in made.model.graph.node)
    kept = simplified(read_onnx(write(branch, by_operator, project / "m.onnx"), {}))
    assert "If" in [each.op_type for each in kept.graph.node]


def test_where_no_reference_gets_the_way_out_is_named(project: Path) -> None:
    """A SequenceMap goes along what is no tensor."""
    body = graph([by_operator("e", "f")], {"e": SHAPE}, {"f": SHAPE})
    nodes = [
        node("SequenceConstruct", ["x", "x"], ["s"]),
        node("SequenceMap", ["s"], ["t"], "along", body=body),
        node("ConcatFromSequence", ["t"], ["y"], axis=0),
    ]
    made = model(nodes, {"x": SHAPE}, {"y": (4, 3, 4)}, opset=17)
    made.opset_import.append(helper.make_opsetid("my_ops", 1))
    path = save(made, project / "m.onnx")
    with pytest.raises(ModelError, match=r"my_shift \(node 'f'\) .* 'along' \(SequenceMap\)") as e:
        Reference(read_onnx(path, {}))
    assert "onnxruntime.cpp" in e.value.remedy


def test_an_operator_of_onnx_own_needs_no_kernel_within_a_branch(project: Path) -> None:
    """ONNX Runtime has it, whoever has a kernel of it for another runtime."""
    folder = project / "my_ops" / "my_shift"
    for name in ("symbolic.py", "reference.py"):
        (folder / name).unlink()
    facts = (folder / "op.toml").read_text(encoding="utf-8")
    facts = facts.replace('"MyShift"', '"Softplus"').replace('domain = "my_ops"', 'domain = ""')
    (folder / "op.toml").write_text(facts, encoding="utf-8")
    forget_operators()
    path = write(branch, lambda x, y: node("Softplus", [x], [y]), project / "m.onnx")
    x = np.ones(SHAPE, dtype=np.float32)
    found = Reference(read_onnx(path, {})).run({"x": x})["y"]
    np.testing.assert_allclose(found, np.log1p(np.exp(x)), rtol=1e-6)


@pytest.mark.parametrize(
    ("runtime", "remedy"),
    [
        ("onnxruntime", r"Write .*/my_ops/my_shift/onnxruntime.cpp \(docs/adding-an-op.md\)"),
        ("openvino", "cannot be built for openvino. Take --runtime ncnn. Or write it by standard"),
    ],
)
def test_int8_and_floats_are_refused_alike_without_a_kernel(
    project: Path, runtime: str, remedy: str
) -> None:
    """Before any scale is looked for."""
    made = model([by_operator("x", "y")], {"x": (1, 3, 5)}, {"y": (1, 3, 5)})
    made.opset_import.append(helper.make_opsetid("my_ops", 1))
    path = save(made, project / "m.onnx")
    random = np.random.default_rng(5)
    np.savez(project / "data.npz", x=random.standard_normal((8, 3, 5)).astype(np.float32))
    bundle = BundleOptions(runtime=runtime)
    for attempt in (
        lambda: make_bundle(path, project / "made", bundle),
        lambda: quantize(
            path, project / "data.npz", project / "made", QuantizeOptions(count=8, bundle=bundle)
        ),
    ):
        with pytest.raises(ModelError, match=f"has no kernel for {runtime}") as raised:
            attempt()
        assert re.search(remedy, raised.value.remedy)
