"""Constants of other ranks and sizes: right or refused by name, never an error within."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import ModelError
from deployx_edge.runtimes.converter import ConversionRequest
from deployx_edge.runtimes.ncnn.native.converter import NativeConverter
from deployx_edge.runtimes.ncnn.native.emit import UNFORESEEN
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.workflows.convert.conversion import source_outputs
from tests.integration.models.operand_cases import operand_cases
from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operator_runner import check
from tests.integration.models.operators.case import Case
from tests.sampling import sampled

_SAMPLED = 120
_SAMPLED_BATCHES = 60
# What came up when all of them were run.
_REMEMBERED = (
    "activation/PRelu-channel@c1-longer",
    "activation/PRelu-channel-4d@c1-empty",
    "binary/Where-grows@c0-empty",
    "conv/1d-depthwise-stride@c1-empty",
    "gather/5d-list@c1-empty",
    "gather/ND-grid-4d@c1-empty",
    "gather/ND-one-4d@c1-empty",
    "gemm/1-01-left@c0-empty",
)


def batched(case: Case) -> Iterator[onnx.ModelProto]:
    """The case for three samples, its constants as they are or, each in turn, three times."""
    made = onnx.ModelProto.FromString(case.model.SerializeToString())
    for value in made.graph.input:
        dims = value.type.tensor_type.shape.dim
        if len(dims) > 1 and dims[0].dim_value == 1:
            dims[0].dim_value = 3
    yield made
    for index, tensor in enumerate(made.graph.initializer):
        if tensor.dims and tensor.dims[0] == 1:
            other = onnx.ModelProto.FromString(made.SerializeToString())
            values = numpy_helper.to_array(tensor)
            several = np.concatenate([values, values * 2, values * 3]).astype(values.dtype)
            other.graph.initializer[index].CopyFrom(numpy_helper.from_array(several, tensor.name))
            yield other


def refusals(model: onnx.ModelProto, path: Path) -> list[str] | None:
    """Why ncnn cannot have it, as ``convert`` asks; None where ONNX Runtime cannot either."""
    onnx.save(model, path)
    try:
        source = read_onnx(path, {})
        given = Reference(source).run(structured_inputs(source.inputs)[-1])
        outputs = source_outputs(source, given)
    except ModelError:
        return None
    request = ConversionRequest(outputs=outputs, precision="fp32", folder=path.parent)
    found = NativeConverter().examine(source, request).emitted.refusals
    return [item.reason for item in found]


def test_constants_of_every_shape(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    cases = operand_cases()
    assert len(cases) > 10_000
    named = [case for case in cases if case.name in _REMEMBERED]
    assert len(named) == len(_REMEMBERED)
    valid = 0
    wrong = []
    for case in [*named, *sampled(cases, pytestconfig, _SAMPLED)]:
        reasons = refusals(case.model, tmp_path / "m.onnx")
        if reasons is None:
            continue
        valid += 1
        outcome = check(case, tmp_path)
        if outcome.verdict not in ("right", "refused") or UNFORESEEN in outcome.detail:
            wrong.append((case.name, outcome))
        if bool(reasons) != (outcome.verdict == "refused"):
            wrong.append((case.name, outcome))
    assert not wrong
    assert valid > len(_REMEMBERED)


def test_constants_that_name_samples(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """A model that is converted for one of its samples has constants that are for all of them."""
    cases = [case for case in all_cases() if case.model.graph.initializer]
    named = [case for case in cases if case.name.startswith(("gather/ND", "gemm", "activation/PR"))]
    found = [
        (case.name, reason)
        for case in [*named[::3], *sampled(cases, pytestconfig, _SAMPLED_BATCHES)]
        for model in batched(case)
        for reason in refusals(model, tmp_path / "m.onnx") or ()
    ]
    assert not [reason for reason in found if UNFORESEEN in reason[1]]
