"""Is each layer right for what it was given? Errors of earlier layers do not count.

Where values are rounded to few codes, a difference in the last bit tips some over to the next
code, and after a few layers two right computations differ by per cents. So each tensor is
compared with what the reference makes of the tensors before it AS THE MODEL HAS THEM: all
tensors that kept their names become inputs of the reference, and what it computes from them
is what it gives.

    a ── f ── b ── g ── c      ⇒      a ── f ── b'      b ── g ── c'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deployx_edge.bundle import IntermediateCheck
from deployx_edge.comparison import LIMITS, LayerCheck, Limits, compare_output
from deployx_edge.errors import UsageError, VerificationError
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.emitter.quantized import RECURRENT
from deployx_edge.runtimes.hosts import HOSTS, Arrays
from deployx_edge.runtimes.layerwise import intermediate_check
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.requantized import code_scales, rounded
from deployx_edge.sources.onnx_file import OnnxSource, prepared, tensor_names
from deployx_edge.sources.onnx_runtime import open_model

if TYPE_CHECKING:
    from deployx_edge.model import Array

_COMPUTED = "deployx-computed/"
# A code more or less where a value lies on the border: right layers were measured at 0 to 2e-7, but
# for depthwise ones on x86, whose reciprocal of the scale has 12 bits (``_mm_rcp_ps`` in
# ``convolutiondepthwise_x86.cpp``), at 4e-3 where they hand on codes. A scale of one channel of 16
# that is off by 10 % is at 2e-2.
_LIMITS = Limits(relative=1e-2, slice=5e-2, rounding=1e-4, slice_rounding=2e-3, proof=1e-2)
# Layers that quantize inside, at each step, are given bf16's.
#
# Of outputs, once every layer was found right: what is left is how codes that tip over add up.
END_TO_END = Limits(relative=1.0, slice=4.0, rounding=1e-2, slice_rounding=1e-1, proof=1e-2)


def compare_locally(
    model: ConvertedModel, source: OnnxSource, inputs: Sequence[Arrays]
) -> tuple[LayerCheck, ...]:
    """Compare every tensor that kept its name with what the source makes of those before it.

    Raises UsageError where no tensor kept its name.
    """
    host = HOSTS[model.runtime]
    makers = host.makers(model, tensor_names(source))
    if not makers:
        raise UsageError("No tensor of the source kept its name in the converted model.")
    seen = Reference(source, tensors=tuple(makers)).run(inputs[0])
    like = {name: array for name, array in seen.items() if array.dtype == "float32" and array.ndim}
    session = open_model(_cut_apart(source, like), folder=source.data_folder)
    blobs = tuple(dict.fromkeys(makers[name].blob for name in like))
    scales = code_scales(model)
    computed, found = [], []
    for arrays, given in zip(inputs, host.tensors(model, inputs, blobs), strict=True):
        own = {name: given[makers[name].blob].reshape(one.shape) for name, one in like.items()}
        results = session.run([f"{_COMPUTED}{name}" for name in like], {**arrays, **own})
        computed.append(rounded(scales, dict(zip(like, results, strict=True))))
        found.append(own)
    return tuple(
        LayerCheck(
            layer=makers[name].layer,
            type=makers[name].type,
            check=compare_output(
                name,
                [each[name] for each in computed],
                [each[name] for each in found],
                LIMITS["bf16"] if makers[name].type in RECURRENT else _LIMITS,
            ),
        )
        for name in like
    )


def verify_locally(
    model: ConvertedModel, source: OnnxSource, inputs: Sequence[Arrays]
) -> IntermediateCheck:
    """VerificationError where a layer does not make of its input what the source makes of it."""
    checks = compare_locally(model, source, inputs)
    wrong = [item for item in checks if item.check.verdict == "differs"]
    if wrong:
        check = wrong[0].check
        raise VerificationError(
            f"The layer '{wrong[0].layer}' ({wrong[0].type}) does not compute what its scales say: "
            f"'{check.output}' is off by {check.relative_error:.1%} of its variation.",
            remedy=f"Keep it in float: --keep-float {wrong[0].layer}",
        )
    return intermediate_check(checks)


def _cut_apart(source: OnnxSource, like: Mapping[str, Array]) -> bytes:
    """The model in which those tensors are read from inputs, and computed under other names."""
    from onnx import helper

    model = prepared(source)
    graph = model.graph
    for node in graph.node:
        for index, name in enumerate(node.output):
            if name in like:
                node.output[index] = f"{_COMPUTED}{name}"
    del graph.output[:]
    graph.output.extend(helper.make_empty_tensor_value_info(f"{_COMPUTED}{n}") for n in like)
    graph.input.extend(
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in like.items()
    )
    del graph.value_info[:]
    return bytes(model.SerializeToString())
