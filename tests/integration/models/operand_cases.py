"""The matrix of operators with each constant in other shapes: ranks, broadcasts, single elements.

Whether a variant is a valid model is for ONNX Runtime to say; whoever runs them leaves out what
it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from tests.integration.models.operator_cases import all_cases
from tests.integration.models.operators.case import Case


def operand_cases() -> list[Case]:
    """Every constant of every case of the matrix, in every other shape; names are unique."""
    return [varied for case in all_cases() for varied in _varied(case)]


def _varied(case: Case) -> Iterator[Case]:
    for index, tensor in enumerate(case.model.graph.initializer):
        values = numpy_helper.to_array(tensor)
        seen = {values.shape}
        for word, other in _forms(values):
            if other.shape in seen:
                continue
            seen.add(other.shape)
            made = onnx.ModelProto()
            made.CopyFrom(case.model)
            other = np.ascontiguousarray(other).reshape(other.shape)
            made.graph.initializer[index].CopyFrom(numpy_helper.from_array(other, tensor.name))
            name = f"{case.name}@{tensor.name}-{word}"
            yield Case(name=name, model=made, interval=case.interval)


def _forms(values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    yield "higher", values[np.newaxis]
    yield "longer", values[..., np.newaxis]
    yield "flat", values.reshape(-1)
    yield "squeezed", values.squeeze()
    if values.ndim and values.shape[0] == 1:
        yield "lower", values[0]
    if values.size:
        yield "single", values.reshape(-1)[:1]
        yield "scalar", values.reshape(-1)[0]
    if values.ndim:
        yield "first", values[:1]
        yield "last", values[..., :1]
        yield "middle", values[:, :1] if values.ndim > 1 else values[:1]
        yield "twice", np.repeat(values, 2, axis=0)
        yield "empty", values[:0]
