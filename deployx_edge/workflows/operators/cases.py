"""Cases of an operator, as the ``test_*.py`` of its folder writes them.

A case is a node in a model. Whole numbers and truth values that are computed come in as floats and
are cast within the model, and go out likewise, as not every runtime has them at its borders. Where
an input has more axes than that, it comes in flat and the outputs go out flat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from deployx_edge.operator_file import OperatorFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IR_VERSION = 10
_DEFAULT_OPSET = 19
_MOST_AXES = 4  # that every runtime takes at a model's borders, besides the batch


@dataclass(frozen=True, kw_only=True)
class Fed:
    """An input that is computed: these values come in when the model runs.

    The model holds them ``within`` two bounds, numbers or what broadcasts, where some are given:
    indices need that, as a conversion runs models on noise too.
    """

    values: NDArray[Any]
    within: tuple[Any, Any] | None = None


# A shape stands for normally distributed floats of that shape, which are fed; an array is a
# constant of the model; None is left out.
Operand = tuple[int, ...] | Fed | Any | None


@dataclass(frozen=True, kw_only=True)
class Case:
    """One node: its ``inputs`` in order, its ``attributes``, and which of its names it has.

    ``operator`` is "" for the first name of op.toml, ``outputs`` 0 for all of them. ``tolerance``
    is how far a value may be off, as a share of the output's largest. Where how many rows an output
    has depends on values, it is cut or filled up, with -1, to the shape ``filled``.
    """

    name: str
    inputs: tuple[Operand, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    operator: str = ""
    opset: int = _DEFAULT_OPSET
    outputs: int = 0
    tolerance: float = 1e-5
    filled: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BuiltCase:
    """A case's part of a model: what its inputs are ``fed`` with by name, the names of its
    ``outputs``, and the ``values`` of its node's inputs, by which a reference is called."""

    case: Case
    fed: Mapping[str, NDArray[Any]]
    outputs: tuple[str, ...]
    values: tuple[NDArray[Any] | None, ...]


def build_cases(
    facts: OperatorFacts, cases: Sequence[Case]
) -> tuple[onnx.ModelProto, tuple[BuiltCase, ...]]:
    """One model of the cases, which are of one opset; operands are seeded by the case's name."""
    from onnx import TensorProto, helper

    parts = [_Part(facts, case, f"case{index}_") for index, case in enumerate(cases)]
    inputs = {name: array for part in parts for name, array in part.fed.items()}
    graph = helper.make_graph(
        [node for part in parts for node in part.nodes],
        "cases",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, a.shape) for n, a in inputs.items()],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            for part in parts
            for name in part.outputs
        ],
        [tensor for part in parts for tensor in part.constants],
    )
    domains = sorted({node.domain for node in graph.node} - {""})
    imports = [helper.make_opsetid("", cases[0].opset)]
    imports += [helper.make_opsetid(domain, 1) for domain in domains]
    model = helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)
    built = tuple(
        BuiltCase(case=case, fed=part.fed, outputs=part.outputs, values=tuple(part.values))
        for case, part in zip(cases, parts, strict=True)
    )
    return model, built


class _Part:
    """The nodes of one case; all its names begin with ``prefix``."""

    def __init__(self, facts: OperatorFacts, case: Case, prefix: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.fed: dict[str, NDArray[Any]] = {}
        self.values: list[NDArray[Any] | None] = []
        self._prefix = prefix
        random = np.random.default_rng(list(f"{facts.name}/{case.name}".encode()))
        names = [self._enter(place, each, random) for place, each in enumerate(case.inputs)]
        count = case.outputs or len(facts.outputs)
        made = [f"{prefix}made{place}" for place in range(count)]
        domain, operator = _name(facts, case)
        node = f"{prefix}{operator}"
        attributes = dict(case.attributes)
        self.nodes.append(
            helper.make_node(operator, names, made, node, domain=domain, **attributes)
        )
        self.outputs = tuple(f"{prefix}y{place}" for place in range(count))
        is_flat = any(each is not None and each.ndim > _MOST_AXES for each in self.values)
        for source, output in zip(made, self.outputs, strict=True):
            last = f"{output}_floats" if case.filled or is_flat else output
            self.nodes.append(self._cast(source, last, np.dtype(np.float32)))
            if case.filled:
                self._fill(last, output, case.filled)
            elif is_flat:
                self._reshape(last, output, (1, -1))

    def _fill(self, source: str, made: str, shape: tuple[int, ...]) -> None:
        constants: dict[str, NDArray[Any]] = {
            "rest": np.full(shape, -1, dtype=np.float32),
            "begin": np.zeros(1, dtype=np.int64),
            "end": np.asarray(shape[:1]),
        }
        names = {key: f"{made}_{key}" for key in constants}
        self.constants += [numpy_helper.from_array(constants[key], names[key]) for key in constants]
        longer = f"{made}_longer"
        self.nodes += [
            helper.make_node("Concat", [source, names["rest"]], [longer], longer, axis=0),
            helper.make_node("Slice", [longer, names["begin"], names["end"]], [made], made),
        ]

    def _enter(self, place: int, operand: Operand, random: np.random.Generator) -> str:
        """The name of that input of the node."""
        name = f"{self._prefix}x{place}"
        if operand is None:
            self.values.append(None)
            return ""
        if isinstance(operand, tuple):
            operand = Fed(values=random.standard_normal(operand).astype(np.float32))
        if not isinstance(operand, Fed):
            array = np.asarray(operand)
            self.values.append(array)
            self.constants.append(numpy_helper.from_array(array, name))
            return name
        given = np.asarray(operand.values)
        self.values.append(given)
        values = np.asarray(given, dtype=np.float32)
        self.fed[name] = values
        entered = name
        if values.ndim - (values.shape[:1] == (1,)) > _MOST_AXES:
            self.fed[name] = values.reshape(1, -1)
            entered = f"{name}_shaped"
            self._reshape(name, entered, values.shape)
        if operand.within is not None:
            entered = self._hold(entered, operand.within)
        if given.dtype == np.float32:
            return entered
        self.nodes.append(self._cast(entered, f"{name}_cast", given.dtype))
        return f"{name}_cast"

    def _hold(self, source: str, within: tuple[Any, Any]) -> str:
        for operator, bound in zip(("Max", "Min"), within, strict=True):
            made = f"{source}_{operator}"
            array = np.asarray(bound, dtype=np.float32)
            self.constants.append(numpy_helper.from_array(array, f"{made}_bound"))
            self.nodes.append(helper.make_node(operator, [source, f"{made}_bound"], [made], made))
            source = made
        return source

    def _reshape(self, source: str, made: str, shape: tuple[int, ...]) -> None:
        wanted = numpy_helper.from_array(np.asarray(shape), f"{made}_shape")
        self.constants.append(wanted)
        self.nodes.append(helper.make_node("Reshape", [source, wanted.name], [made], made))

    @staticmethod
    def _cast(source: str, made: str, dtype: np.dtype[Any]) -> onnx.NodeProto:
        to = helper.np_dtype_to_tensor_dtype(dtype)
        return helper.make_node("Cast", [source], [made], f"{made}/cast", to=to)


def fill(array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array as ``Case.filled`` has it in the model."""
    rest = np.full(shape, -1, dtype=array.dtype)
    return np.concatenate([array, rest])[: shape[0]] if shape else array


def _name(facts: OperatorFacts, case: Case) -> tuple[str, str]:
    if not case.operator:
        return facts.names[0]
    domain, _, operator = case.operator.rpartition("::")
    return domain, operator
