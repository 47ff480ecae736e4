"""How large the values inside a model become: what 16-bit floats cannot hold is found here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.comparison import FP16_LARGEST
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What stays in the processor's cache between two looks at it: 1 MiB of float32.
_BLOCK = 2**18


@dataclass(frozen=True, kw_only=True)
class WideTensor:
    """A tensor whose largest absolute value in the runs, ``largest``, is beyond fp16's 65504."""

    tensor: str
    operator: str
    node: str
    largest: float


class ValueRanges:
    """The largest absolute value of every float32 tensor, over all runs that it is shown.

    Infinite and NaN values count for themselves, not as large.
    """

    def __init__(self) -> None:
        self.largest: dict[str, float] = {}

    def take(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        """Take in tensors of one run."""
        for name, array in tensors.items():
            if array.dtype == "float32" and array.size:
                self.largest[name] = max(self.largest.get(name, 0.0), _peak(array))

    def wide(self, walk: SourceWalk) -> tuple[WideTensor, ...]:
        """Those beyond fp16's range, in the order of the model's nodes."""
        return tuple(
            WideTensor(
                tensor=name,
                operator=node.op_type,
                node=node.name or name,
                largest=self.largest[name],
            )
            for name, node in walk.makers.items()
            if self.largest.get(name, 0.0) > FP16_LARGEST
        )


def wide_tensors(
    source: OnnxSource, inputs: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[WideTensor, ...]:
    """The tensors beyond fp16's range that runs of the model on ``inputs`` find.

    Raises ModelError where the model does not run.
    """
    walk, ranges = SourceWalk(source), ValueRanges()
    for arrays in inputs:
        walk.run(arrays, ranges.take)
    return ranges.wide(walk)


def _peak(array: NDArray[Any]) -> float:
    """Of all that is finite; block by block, each of which is then read from memory once."""
    row = array.reshape(-1)
    return max(_block_peak(row[at : at + _BLOCK]) for at in range(0, row.size, _BLOCK))


def _block_peak(array: NDArray[Any]) -> float:
    import numpy as np

    peak = max(float(array.max()), -float(array.min()))
    if np.isfinite(peak):
        return peak
    return float(np.nanmax(np.abs(array), initial=0.0, where=np.isfinite(array)))
