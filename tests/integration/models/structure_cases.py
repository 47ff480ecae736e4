"""Graphs that look as if ncnn could not have them until they are simplified, and some that stay so.

Branches, loops, sequences, optional values, functions and operators over constants: generated
from lists of forms, all over the same few operators with seeded weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, FunctionProto, NodeProto, TensorProto, helper, numpy_helper

node = helper.make_node
_SHAPE = (1, 6, 8, 8)
_SEEN = node("Identity", ["x"], ["seen"])


@dataclass(frozen=True, kw_only=True)
class Structure:
    """A model; where ncnn cannot have it, the operator and the node that are the cause."""

    name: str
    model: onnx.ModelProto
    refused: str = ""
    node: str = ""


def all_structures() -> list[Structure]:
    """Every case; names are unique."""
    made = [case for family in FAMILIES for case in family()]
    assert len({case.name for case in made}) == len(made)
    return made


def branches() -> Iterator[Structure]:
    """If, over conditions that folding tells, and over one that it does not."""
    conditions: dict[str, tuple[list[NodeProto], dict[str, Any]]] = {
        "constant": ([node("Identity", ["yes"], ["cond"])], {"yes": np.asarray(True)}),
        "shape": (
            [
                node("Shape", ["x"], ["sizes"]),
                node("Gather", ["sizes", "last"], ["width"], axis=0),
                node("Equal", ["width", "eight"], ["cond"]),
            ],
            {"last": np.asarray(3), "eight": np.asarray(8)},
        ),
        "rank-one": (
            [
                node("Size", ["x"], ["count"]),
                node("Greater", ["count", "many"], ["more"]),
                node("Reshape", ["more", "one"], ["cond"]),
            ],
            {"many": np.asarray(1000), "one": np.asarray([1])},
        ),
    }
    for name, (before, constants) in conditions.items():
        for nested in (False, True):
            choice = _choice("cond", "seen", "y", nested=nested)
            title = f"if/{name}{'-nested' if nested else ''}"
            yield Structure(name=title, model=_model([_SEEN, *before, choice], constants))
    computed = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["cond"]),
        _choice("cond", "x", "y"),
    ]
    yield Structure(
        name="if/computed",
        model=_model(computed, {"zero": np.float32(0)}),
        refused="If",
        node="choice_y",
    )


def loops() -> Iterator[Structure]:
    """Loop with a count that folding tells, a sum that is carried, rows that are stacked."""
    for count in (0, 1, 3):
        for rows in (False, True):
            if rows and not count:
                continue
            constants = {"count": np.asarray(count), "yes": np.asarray(True)}
            ends = ["last", "rows"] if rows else ["last"]
            nodes = [
                node("Loop", ["count", "yes", "x"], ends, name="loop", body=_rounds(rows=rows)),
                node("ReduceMax", ["rows"], ["top"], axes=[0], keepdims=0)
                if rows
                else node("Identity", ["x"], ["top"]),
                node("Add", ["last", "top"], ["y"]),
            ]
            title = f"loop/{count}{'-rows' if rows else ''}"
            yield Structure(name=title, model=_model(nodes, constants))
    computed = [
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "zero"], ["once"]),
        node("Cast", ["once"], ["count"], to=TensorProto.INT64),
        node("Loop", ["count", "", "x"], ["y"], name="loop", body=_rounds(rows=False)),
    ]
    made = _model(computed, {"zero": np.float32(0)})
    yield Structure(name="loop/computed", model=made, refused="Loop", node="loop")


def folded() -> Iterator[Structure]:
    """Operators that ncnn does not have, over constants or read by nobody."""
    mask = np.asarray([0, 1, 0, 1, 1, 0])
    forms: dict[str, tuple[list[NodeProto], dict[str, Any]]] = {
        "NonZero": (
            [
                node("NonZero", ["mask"], ["where"]),
                node("Squeeze", ["where", "first"], ["which"]),
                node("Gather", ["x", "which"], ["y"], axis=1),
            ],
            {"mask": mask, "first": np.asarray([0])},
        ),
        "Unique": (
            [
                node("Unique", ["values"], ["which", "", "", "counts"]),
                node("Gather", ["x", "which"], ["y"], axis=1),
            ],
            {"values": np.asarray([4, 1, 1, 3])},
        ),
        "Compress": (
            [
                node("Compress", ["scale", "mask"], ["some"], axis=0),
                node("ReduceMean", ["some"], ["factor"], keepdims=0),
                node("Mul", ["x", "factor"], ["y"]),
            ],
            {"scale": np.arange(1, 7, dtype=np.float32), "mask": mask.astype(bool)},
        ),
        "sequence": (
            [
                node("SplitToSequence", ["weights"], ["parts"], axis=0),
                node("SequenceAt", ["parts", "second"], ["part"]),
                node("Mul", ["x", "part"], ["y"]),
            ],
            {"weights": np.arange(1, 4, dtype=np.float32), "second": np.asarray(1)},
        ),
        "unread": (
            [
                node("NonZero", ["x"], ["where"]),
                node("Unique", ["x"], ["values"]),
                node("Relu", ["x"], ["y"]),
            ],
            {},
        ),
        "quantized-weight": (
            [
                node("DequantizeLinear", ["codes", "steps", "zeros"], ["w"], axis=0),
                node("Conv", ["x", "w"], ["y"]),
            ],
            {
                "codes": np.random.default_rng(0).integers(-99, 99, (4, 6, 1, 1)).astype(np.int8),
                "steps": np.asarray([0.01, 0.02, 0.03, 0.04], dtype=np.float32),
                "zeros": np.asarray([0, 1, 2, 3], dtype=np.int8),
            },
        ),
        "rounded-weight": (
            [
                node("QuantizeLinear", ["floats", "step", "zero"], ["codes"]),
                node("DequantizeLinear", ["codes", "step", "zero"], ["w"]),
                node("Conv", ["x", "w"], ["y"]),
            ],
            {
                "floats": np.random.default_rng(1).standard_normal((4, 6, 1, 1), dtype=np.float32),
                "step": np.float32(0.05),
                "zero": np.asarray(3, dtype=np.int8),
            },
        ),
    }
    for name, (nodes, constants) in forms.items():
        yield Structure(name=f"folded/{name}", model=_model(nodes, constants))
    where = [
        node("NonZero", ["x"], ["where"], name="find"),
        node("Cast", ["where"], ["y"], to=TensorProto.FLOAT),
    ]
    yield Structure(
        name="folded/NonZero-computed", model=_model(where, {}), refused="NonZero", node="find"
    )


def sequences() -> Iterator[Structure]:
    """Sequences made in every way, and read in every way."""
    split = {"sizes": np.asarray([1, 3, 2]), "two": np.asarray(2), "zero": np.asarray(0)}
    makers: dict[str, list[NodeProto]] = {
        "sizes": [node("SplitToSequence", ["x", "sizes"], ["s"], axis=1)],
        "chunks": [node("SplitToSequence", ["x", "two"], ["s"], axis=-3)],
        "single": [node("SplitToSequence", ["x"], ["s"], axis=1)],
        "squeezed": [node("SplitToSequence", ["x"], ["s"], axis=1, keepdims=0)],
        "construct": [
            node("Relu", ["x"], ["a"]),
            node("Neg", ["x"], ["b"]),
            node("SequenceConstruct", ["a", "b", "x"], ["s"]),
        ],
        "insert": [
            node("SequenceEmpty", [], ["s0"]),
            node("SequenceInsert", ["s0", "x"], ["s1"]),
            node("Neg", ["x"], ["b"]),
            node("SequenceInsert", ["s1", "b", "zero"], ["s2"]),
            node("SequenceInsert", ["s2", "x"], ["s"]),
        ],
        "erase": [
            node("SplitToSequence", ["x", "sizes"], ["s0"], axis=1),
            node("SequenceErase", ["s0", "zero"], ["s1"]),
            node("Identity", ["s1"], ["s"]),
        ],
        "map": [
            node("SplitToSequence", ["x", "two"], ["s0"], axis=1),
            node("SequenceMap", ["s0", "x"], ["s"], body=_member()),
        ],
    }
    readers: dict[str, list[NodeProto]] = {
        "at": [node("SequenceAt", ["s", "last"], ["t"]), node("Relu", ["t"], ["y"])],
        "concat": [node("ConcatFromSequence", ["s"], ["y"], axis=1)],
        "length": [
            node("SequenceLength", ["s"], ["count"]),
            node("Cast", ["count"], ["factor"], to=TensorProto.FLOAT),
            node("Mul", ["x", "factor"], ["y"]),
        ],
    }
    constants = {**split, "last": np.asarray(-1)}
    for made, first in makers.items():
        for read, second in readers.items():
            yield Structure(
                name=f"sequence/{made}-{read}", model=_model([*first, *second], constants, 17)
            )
    stacked = [
        *makers["construct"],
        node("ConcatFromSequence", ["s"], ["u"], axis=0, new_axis=1),
        node("ReduceMax", ["u"], ["y"], axes=[0], keepdims=0),
    ]
    yield Structure(name="sequence/construct-stacked", model=_model(stacked, constants, 17))
    computed = [
        *makers["construct"],
        node("ReduceSum", ["x"], ["sum"], keepdims=0),
        node("Greater", ["sum", "none"], ["more"]),
        node("Cast", ["more"], ["which"], to=TensorProto.INT64),
        node("SequenceAt", ["s", "which"], ["y"], name="pick"),
    ]
    yield Structure(
        name="sequence/construct-computed",
        model=_model(computed, {"none": np.float32(0)}, 17),
        refused="SequenceConstruct",
        node="s",
    )


def optionals() -> Iterator[Structure]:
    """Optional values that hold something, or nothing."""
    choice = [
        _SEEN,
        node("OptionalHasElement", ["o"], ["cond"]),
        _choice("cond", "seen", "y"),
    ]
    kind = helper.make_tensor_type_proto(TensorProto.FLOAT, list(_SHAPE))
    makers = {
        "full": [node("Optional", ["x"], ["o"])],
        "empty": [node("Optional", [], ["o"], type=kind)],
    }
    for name, first in makers.items():
        yield Structure(name=f"optional/{name}-has", model=_model([*first, *choice], {}, 18))
    taken = [
        *makers["full"],
        node("OptionalGetElement", ["o"], ["t"]),
        node("Relu", ["t"], ["y"]),
    ]
    yield Structure(name="optional/full-get", model=_model(taken, {}, 18))


def functions() -> Iterator[Structure]:
    """Local functions that call each other, with attributes given, left at defaults, left out."""
    for default in (None, 0.3):
        for given in (None, 0.1):
            for passed in (True, False):
                title = f"function/{_word(default)}-{_word(given)}{'' if passed else '-own'}"
                inner = _function("Inner", [_refer("LeakyRelu", "a", "b", "alpha", "slope")], 0.4)
                call = (
                    _refer("Inner", "a", "b", "slope", "slope", domain="own")
                    if passed
                    else node("Inner", ["a"], ["b"], domain="own")
                )
                outer = _function("Outer", [call], default)
                attributes = {} if given is None else {"slope": given}
                nodes = [node("Outer", ["x"], ["y"], name="call", domain="own", **attributes)]
                yield Structure(name=title, model=_model(nodes, {}, 18, [inner, outer]))


FAMILIES = (branches, loops, folded, sequences, optionals, functions)


def _model(
    nodes: Sequence[NodeProto],
    constants: dict[str, Any],
    opset: int = 13,
    functions: Sequence[FunctionProto] = (),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "structure",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, _SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("own", 1)]
    opsets = opsets if functions else opsets[:1]
    made = helper.make_model(graph, opset_imports=opsets, functions=list(functions))
    made.ir_version = 9 if functions else 8
    return made


def _choice(condition: str, source: str, result: str, *, nested: bool = False) -> NodeProto:
    """Relu or, with a constant of its own, Add; both read a tensor of the graph around them."""
    one = numpy_helper.from_array(np.float32(1.5), "inner")
    first = [node("Relu", [source], ["inner_r"], name="relu")]
    second = [node("Add", [source, "inner"], ["inner_r"], name="add")]
    if nested:
        first = [_choice(condition, source, "inner_r")]
    graphs = {
        "then_branch": helper.make_graph(first, "then", [], [_free("inner_r")]),
        "else_branch": helper.make_graph(second, "else", [], [_free("inner_r")], [one]),
    }
    return node("If", [condition], [result], name=f"choice_{result}", **graphs)


def _rounds(*, rows: bool) -> onnx.GraphProto:
    """carried → Relu(carried) · (round + 1) − 0.25, which is a row as well."""
    nodes = [
        node("Relu", ["carried"], ["positive"]),
        node("Cast", ["round"], ["number"], to=TensorProto.FLOAT),
        node("Add", ["number", "unit"], ["factor"]),
        node("Mul", ["positive", "factor"], ["product"]),
        node("Sub", ["product", "quarter"], ["next"]),
        node("Identity", ["go"], ["on"]),
        *([node("Abs", ["next"], ["row"])] if rows else []),
    ]
    return helper.make_graph(
        nodes,
        "round",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, _SHAPE),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            _free("next"),
            *([_free("row")] if rows else []),
        ],
        [
            numpy_helper.from_array(np.float32(1), "unit"),
            numpy_helper.from_array(np.float32(0.25), "quarter"),
        ],
    )


def _member() -> onnx.GraphProto:
    """A member → its double, plus the mean of the other input."""
    nodes = [
        node("Add", ["member", "member"], ["double"]),
        node("ReduceMean", ["other"], ["mean"]),
        node("Add", ["double", "mean"], ["mapped"]),
    ]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("member", "other")
    ]
    return helper.make_graph(nodes, "member", inputs, [_free("mapped")])


def _function(name: str, nodes: Sequence[NodeProto], default: float | None) -> FunctionProto:
    return helper.make_function(
        "own",
        name,
        ["a"],
        ["b"],
        list(nodes),
        [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)],
        attributes=["slope"] if default is None else [],
        attribute_protos=[] if default is None else [helper.make_attribute("slope", default)],
    )


def _refer(
    operator: str, source: str, result: str, attribute: str, outer: str, *, domain: str = ""
) -> NodeProto:
    """A node one of whose attributes is that of the function around it."""
    made = node(operator, [source], [result], domain=domain)
    entry = AttributeProto(name=attribute, ref_attr_name=outer, type=AttributeProto.FLOAT)
    made.attribute.append(entry)
    return made


def _free(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


def _word(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"
