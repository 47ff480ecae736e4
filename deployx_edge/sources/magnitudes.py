"""How large the values inside a model become: what 16-bit floats cannot hold is found here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.comparison import FP16_LARGEST
from deployx_edge.errors import ModelError
from deployx_edge.sources.onnx_file import OnnxSource, tensor_names, with_outputs
from deployx_edge.sources.onnx_runtime import open_model, plain_reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class WideTensor:
    """A tensor whose largest absolute value in the runs, ``largest``, is beyond fp16's 65504."""

    tensor: str
    operator: str
    node: str
    largest: float


def wide_tensors(
    source: OnnxSource, inputs: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[WideTensor, ...]:
    """The tensors beyond fp16's range that runs of the model on ``inputs`` find.

    Infinite and NaN values count for themselves, not as wide. Raises ModelError where
    the model does not run.
    """
    import numpy as np

    names = tensor_names(source)
    model = with_outputs(source, names)
    makers = {name: node for node in model.graph.node for name in node.output if name in names}
    largest = dict.fromkeys(makers, 0.0)
    try:
        session = open_model(model.SerializeToString(), folder=source.data_folder)
        for arrays in inputs:
            for name, array in zip(makers, session.run(list(makers), dict(arrays)), strict=True):
                if isinstance(array, np.ndarray) and array.dtype == np.float32 and array.size:
                    peak = float(np.nanmax(np.abs(array), initial=0.0, where=np.isfinite(array)))
                    largest[name] = max(largest[name], peak)
    except Exception as error:  # ONNX Runtime's exceptions share no base
        raise ModelError(
            f"{source.path.name} does not run in ONNX Runtime: {plain_reason(error)}."
        ) from error
    return tuple(
        WideTensor(
            tensor=name,
            operator=makers[name].op_type,
            node=makers[name].name or name,
            largest=value,
        )
        for name, value in largest.items()
        if value > FP16_LARGEST
    )
