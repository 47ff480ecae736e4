"""Whether a model's first axis counts samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import ModelError
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor

if TYPE_CHECKING:
    from deployx_edge.model import Array

_MOST_TRIED = 8  # samples, spread evenly from the first to the last


def takes_batches(source: OnnxSource, outputs: Sequence[SourceTensor]) -> bool:
    """Whether axis 0 of all inputs and outputs counts samples, and a model for one gives the same.

    Tried out: each of several samples must give alone what it gives beside the others. So no
    sample sees another one, and nothing depends on a sample's place (a constant of its own, a
    diagonal) or on how many there are.
    """
    import numpy as np

    tensors = (*source.inputs, *outputs)
    sizes = {tensor.shape[0] for tensor in tensors if len(tensor.shape) > 1}
    if any(len(tensor.shape) < 2 for tensor in tensors) or len(sizes) != 1 or 1 in sizes:
        return False
    (count,) = sizes
    (arrays,) = structured_inputs(source.inputs, places=[0])
    together = Reference(source).run(arrays)
    places = np.unique(np.linspace(0, count - 1, _MOST_TRIED).astype(int))
    try:
        alone = Reference(for_one_sample(source))
        return all(
            _is_same(alone.run(_sample(arrays, place)), _sample(together, place))
            for place in places
        )
    except ModelError:  # a constant of the model fixes how many there are
        return False


def for_one_sample(source: OnnxSource) -> OnnxSource:
    """The model whose inputs have one sample each."""
    inputs = tuple(replace(tensor, shape=(1, *tensor.shape[1:])) for tensor in source.inputs)
    return replace(source, inputs=inputs, output_shapes={}, as_filed=False)


def _sample(arrays: Mapping[str, Array], place: int) -> dict[str, Array]:
    return {name: array[[place]] for name, array in arrays.items()}


def _is_same(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> bool:
    """Up to what another order of sums rounds otherwise."""
    import numpy as np

    return all(
        found[name].shape == array.shape
        and np.allclose(
            found[name],
            array,
            rtol=1e-4,
            atol=1e-5 * float(np.abs(array).max(initial=0.0)),
            equal_nan=True,
        )
        for name, array in wanted.items()
    )
