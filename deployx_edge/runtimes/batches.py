"""Whether a model's first axis counts samples."""

from __future__ import annotations

from collections.abc import Sequence

from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor


def takes_batches(source: OnnxSource, outputs: Sequence[SourceTensor]) -> bool:
    """Whether axis 0 of all inputs and outputs counts samples that do not see each other.

    Tried out: other samples beside the first must not change what comes of the first, nor
    others beside the last what comes of the last (a sequence that is read forwards keeps its
    first step).
    """
    import numpy as np

    tensors = (*source.inputs, *outputs)
    sizes = {tensor.shape[0] for tensor in tensors if len(tensor.shape) > 1}
    if any(len(tensor.shape) < 2 for tensor in tensors) or len(sizes) != 1 or 1 in sizes:
        return False
    random = np.random.default_rng(0)
    once = {t.name: random.random(t.shape, dtype=np.float32) for t in source.inputs}
    again = {name: random.random(array.shape, dtype=np.float32) for name, array in once.items()}
    for name, array in again.items():
        array[0] = once[name][0]
    others = {name: random.random(array.shape, dtype=np.float32) for name, array in once.items()}
    for name, array in others.items():
        array[-1] = once[name][-1]
    reference = Reference(source)
    first, second, third = (reference.run(arrays) for arrays in (once, again, others))
    return all(
        np.allclose(first[name][0], second[name][0], rtol=1e-4)
        and np.allclose(first[name][-1], third[name][-1], rtol=1e-4)
        for name in first
    )
