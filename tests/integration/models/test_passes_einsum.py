"""Einsum of any equation is products, sums and diagonals, as NumPy has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from deployx_edge.errors import ModelError
from deployx_edge.graph.passes import decompose_einsum
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.models.onnx_models import model, save
from tests.integration.models.operator_runner import check
from tests.integration.models.operators.case import Case
from tests.integration.models.test_passes import shapes_of

SIZES = {"b": 2, "h": 3, "i": 4, "j": 5, "k": 6, "d": 7}
_SEEDS = 60


def einsum(
    equation: str,
    result: tuple[int, ...],
    *operands: tuple[int, ...],
    opset: int = 13,
    name: str = "einsum",
) -> onnx.ModelProto:
    names = [f"x{index}" for index in range(len(operands))]
    return model(
        [
            helper.make_node("Einsum", names, ["e"], equation=equation, name=name),
            helper.make_node("Relu", ["e"], ["y"], name="relu"),
        ],
        dict(zip(names, operands, strict=True)),
        {"y": result},
        opset=opset,
    )


def check_as_numpy(equation: str, *operands: tuple[int, ...], opset: int = 13) -> onnx.ModelProto:
    """What stands for it gives what NumPy gives; the model that has it."""
    random = np.random.default_rng([len(operands), *equation.encode()])
    arrays = {
        f"x{index}": random.standard_normal(shape).astype(np.float32)
        for index, shape in enumerate(operands)
    }
    wanted = np.maximum(np.einsum(equation, *arrays.values()), 0)
    made = einsum(equation, wanted.shape, *operands, opset=opset)
    assert decompose_einsum(made, shapes_of(made)) == 1
    assert "Einsum" not in {node.op_type for node in made.graph.node}
    onnx.checker.check_model(made)
    # The node's name and its tensor's survive.
    (kept,) = [node for node in made.graph.node if "e" in node.output]
    assert kept.name == "einsum"
    assert decompose_einsum(made, shapes_of(made)) == 0
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(["y"], arrays)
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    return made


def dims(indices: str) -> tuple[int, ...]:
    return tuple(SIZES[index] for index in indices)


@pytest.mark.parametrize(
    "equation",
    [
        "ij,jk->ik",
        "bij,bkj->bik",
        "bhid,bhjd->bhij",
        "bihd,bjhd->bhij",
        "bij,jk->kbi",
        "i,j->ij",
        "bi,bi->b",
        "bi,bi->bi",
        "bhij,bih->jbhi",
        "ij,jk",
        "bij->jbi",
        "ij->ij",
        "ii->i",
        "ii",
        "iii->i",
        "bii->b",
        "biji->jb",
        "bii,ij->bj",
        "iijj,ij->ji",
        "ij->i",
        "ij->",
        "ij,k->i",
        "bij,bkh->bk",
        "ij,jk,kd->id",
        "i,i,i->i",
        "i,j,k->kji",
        "bi,bij,bj->b",
        ",i->i",
        ",->",
        "b,bi,,ij->j",
    ],
)
@pytest.mark.parametrize("opset", [12, 13])
def test_einsum_computes_the_same(equation: str, opset: int) -> None:
    operands = [dims(indices) for indices in equation.partition("->")[0].split(",")]
    check_as_numpy(equation, *operands, opset=opset)


def drawn(seed: int, letters: str, most_axes: int, largest: int) -> tuple[str, list[tuple]]:
    """An equation and the shapes of its operands; an index may be of size 1 in some of them."""
    random = np.random.default_rng(seed)
    sizes = {index: int(random.integers(1, largest + 1)) for index in letters}
    operands = [
        "".join(random.choice(list(letters), int(random.integers(0, most_axes + 1))))
        for _ in range(random.integers(1, 5))
    ]
    left = ",".join(operands)
    used = sorted(set(left) - {","})
    count = int(random.integers(0, min(len(used), most_axes) + 1))
    arrow = "->" + "".join(random.permutation(used)[:count]) if random.random() < 0.75 else ""
    shapes = []
    for operand in operands:
        ones = {index for index in operand if random.random() < 0.15}
        shapes.append(tuple(1 if index in ones else sizes[index] for index in operand))
    return left + arrow, shapes


@pytest.mark.parametrize("seed", range(_SEEDS))
def test_any_equation_is_as_numpy_has_it(seed: int) -> None:
    equation, shapes = drawn(seed, "abcdef", 4, 4)
    check_as_numpy(equation, *shapes)


def test_any_equation_is_right_in_ncnn(tmp_path: Path) -> None:
    """Also with more axes than ncnn has."""
    for seed in range(_SEEDS):
        equation, shapes = drawn(seed, "abcdefg", 6, 3)
        result = np.einsum(equation, *map(np.ones, shapes)).shape
        case = Case(name=f"einsum/{seed}", model=einsum(equation, result, *shapes))
        outcome = check(case, tmp_path)
        assert outcome.verdict == "right", (equation, shapes, outcome.detail)


@pytest.mark.parametrize(
    ("equation", "operands"),
    [
        ("...i,...i->...", ["bi", "bi"]),
        ("...ij,...jk->...ik", ["bhij", "bhjk"]),
        ("...ij,jk->...ik", ["bhij", "jk"]),
        ("...ij,...jk", ["bij", "bjk"]),
        ("...i,...k->k...i", ["bhi", "bhk"]),
        ("i...->...i", ["ibh"]),
        ("...,i...->i...", ["bh", "ibh"]),
        ("...ii->...i", ["bhii"]),
        ("i...i", ["ibhi"]),
        ("...ij,...jk->...ik", ["bhij", "hjk"]),
    ],
)
def test_an_ellipsis_stands_for_indices_of_its_own(equation: str, operands: list[str]) -> None:
    check_as_numpy(equation, *(dims(operand) for operand in operands))


@pytest.mark.parametrize(
    ("equation", "operands", "result"),
    [
        ("i->ii", ["i"], "ii"),
        ("i->j", ["i"], "j"),
        ("...i,...i->i", ["bi", "bi"], "i"),
    ],
)
def test_what_is_not_defined_is_left_alone(equation: str, operands: list[str], result: str) -> None:
    made = einsum(equation, dims(result), *(dims(operand) for operand in operands))
    before = made.SerializeToString()
    assert decompose_einsum(made, shapes_of(made)) == 0
    assert made.SerializeToString() == before


def test_sizes_that_do_not_fit_are_left_alone() -> None:
    made = einsum("bij,bjk->bik", (2, 4, 6), (2, 5, 7), (2, 4, 7))
    assert decompose_einsum(made, shapes_of(made)) == 0


def test_two_of_one_name_keep_apart() -> None:
    made = model(
        [
            helper.make_node("Einsum", ["x"], ["a"], equation="ii->i", name="same"),
            helper.make_node("Einsum", ["x"], ["b"], equation="ij->j", name="same"),
            helper.make_node("Add", ["a", "b"], ["y"]),
        ],
        {"x": (3, 3)},
        {"y": (3,)},
    )
    assert decompose_einsum(made, shapes_of(made)) == 2
    onnx.checker.check_model(made)


def test_a_result_of_more_axes_than_ncnn_has_is_named_with_the_way_out(tmp_path: Path) -> None:
    made = einsum("ijk,lmn->ijlmkn", (2, 3, 5, 6, 4, 7), (2, 3, 4), (5, 6, 7))
    with pytest.raises(ModelError, match=r"'y' of m.onnx is 2x3x5x6x4x7; ncnn has at most 4") as e:
        make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "bundle")
    assert "when-an-operator-is-missing" in e.value.remedy
