"""Is each layer right for what it was given? Errors of earlier layers do not count.

Where values are rounded to 8 bits, a difference in the last bit tips some over to the next
quantized value, and after a few layers two right computations differ by per cents. So each tensor
is compared with what the reference makes of the tensors before it AS THE MODEL HAS THEM: all
tensors that kept their names become inputs of the reference, and what it computes from them
is what it gives.

    a ── f ── b ── g ── c      ⇒      a ── f ── b'      b ── g ── c'
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import IntermediateCheck
from deployx_edge.comparison import (
    SEED,
    TOLERANCES,
    LayerCheck,
    TensorComparison,
    Tolerance,
)
from deployx_edge.differences import BEYOND, Differences, ratio
from deployx_edge.errors import UsageError, VerificationError
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.cut_apart import CutApart, Form, own_values, tensor_forms
from deployx_edge.runtimes.layerwise import intermediate_check
from deployx_edge.runtimes.runner import (
    Arrays,
    OpenModel,
    Producer,
    open_converted,
)
from deployx_edge.sources.onnx.file import OnnxSource, tensor_names
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    import numpy as np

    from deployx_edge.model import Array

# One quantized value more or less where a value lies on the border: right layers were measured at
# 0 to 2e-7, but for depthwise ones on x86, whose reciprocal of the scale has 12 bits
# (``_mm_rcp_ps`` in ``convolutiondepthwise_x86.cpp``), at 4e-3 where they hand on quantized
# values. A scale of one channel of 16 that is off by 10 % is at 2e-2.
_LIMITS = Tolerance(relative=1e-2, slice=5e-2, rounding=1e-4, slice_rounding=2e-3, proof=1e-2)
# Layers that quantize inside, at each step, are given bf16's.
# Elements of a tensor that are kept of each input, and of all that is computed at once.
_KEPT = 2**16
_MOST_ELEMENTS = 2**24
# The unit of what a precision rounds to.
_UNITS = {"fp32": 2.0**-23, "fp16": 2.0**-10, "bf16": 2.0**-7, "int8": 2.0**-7}
# A right layer may be off by so many times what one rounding of its input changes: it rounds at
# every operation, in another order of sums, and Winograd's transforms lose one to two digits.
_ROUNDINGS = 32.0
# Of layers in fp32, where outputs are beyond their limits: none of them may add to that but by
# rounding. Right ones were measured at 4e-7 to 1e-5.
ROUNDING_ONLY = Tolerance(relative=2e-5, slice=2e-4, rounding=3e-7, slice_rounding=1e-5, proof=1e-4)
# Of outputs, once every layer was found right: what is left is how values that tip over add up.
END_TO_END = Tolerance(relative=1.0, slice=4.0, rounding=1e-2, slice_rounding=1e-1, proof=1e-2)


def compare_locally(
    model: ConvertedModel, source: OnnxSource, inputs: Sequence[Arrays]
) -> tuple[LayerCheck, ...]:
    """Compare every tensor that kept its name with what the source makes of those before it.

    Raises UsageError where no tensor kept its name.
    """
    runner = load_runtime(model.runtime).make_runner()
    producers = runner.producers(model, tensor_names(source))
    if not producers:
        raise UsageError("No tensor of the source kept its name in the converted model.")
    walk = SourceWalk(source)
    like = tensor_forms(walk, producers, inputs[0])
    apart = CutApart(walk, like, tuple(like))
    comparisons = {name: TensorComparison(name) for name in like}
    with open_converted(model) as opened:
        for arrays in inputs:
            own = own_values(opened, producers, like, arrays)
            computed = runner.as_handed_on(model, apart.run(arrays, own))
            for name, comparison in comparisons.items():
                comparison.add(computed[name], own[name])
    return tuple(
        LayerCheck(
            layer=producers[name].layer,
            type=producers[name].type,
            check=comparison.check(
                TOLERANCES["bf16"] if producers[name].type in runner.step_quantized else _LIMITS,
            ),
        )
        for name, comparison in comparisons.items()
    )


@dataclass(frozen=True, kw_only=True)
class AloneCheck:
    """A tensor computed again by its layer alone.

    ``error`` and ``variation`` as in ``OutputCheck``, ``by_rounding`` what a rounding of all that
    goes in changes in it (rms). ``excess``: the error / what is allowed, of the whole or of the
    slice where that is worst; right up to 1.
    """

    error: float
    variation: float
    by_rounding: float
    excess: float

    @property
    def is_right(self) -> bool:
        """Whether the layer makes of its input what the source makes of it."""
        return self.excess <= 1.0


def check_alone(
    model: OpenModel,
    walk: SourceWalk,
    producers: Mapping[str, Producer],
    suspects: Sequence[str],
    inputs: Sequence[Arrays],
    precision: str,
    limits: Tolerance,
) -> dict[str, AloneCheck]:
    """Are the ``suspects`` right for what the model has before them? By their names, in order.

    Each is computed by the source's nodes from the model's own tensors before it, and once more
    from those with a random error in their last bit: a sum whose terms cancel, or a tiny tensor,
    differs by that much from itself, whatever the ``limits`` are. ``producers`` are those of
    ``find_producers``. Suspects of other element types than float32 are not computed, and missing
    in the answer, as are those after a portion of them that holds one that is wrong.
    """
    found: dict[str, AloneCheck] = {}
    like = tensor_forms(walk, producers, inputs[0]) if suspects else {}
    for names in _portions([name for name in suspects if name in like], like):
        apart = CutApart(walk, like, names)
        found.update(_check_portion(model, apart, producers, inputs, precision, limits))
        if not all(check.is_right for check in found.values()):
            break
    return found


def _portions(names: Sequence[str], like: Mapping[str, Form]) -> Iterator[tuple[str, ...]]:
    """The names in portions whose tensors fit into memory for all that is done with them."""
    portion: list[str] = []
    for name in names:
        elements = sum(math.prod(like[each].shape) for each in (*portion, name))
        if portion and elements > _MOST_ELEMENTS:
            yield tuple(portion)
            portion = []
        portion.append(name)
    if portion:
        yield tuple(portion)


def _check_portion(
    model: OpenModel,
    apart: CutApart,
    producers: Mapping[str, Producer],
    inputs: Sequence[Arrays],
    precision: str,
    limits: Tolerance,
) -> dict[str, AloneCheck]:
    import numpy as np

    random = np.random.default_rng(SEED)
    unit = _UNITS[precision]
    errors = {name: Differences(kept=_KEPT) for name in apart.wanted}
    shaken = {name: Differences(kept=0) for name in apart.wanted}
    for arrays in inputs:
        own = own_values(model, producers, apart.like, arrays)
        computed = apart.run(arrays, own)
        moved = apart.run(_shaken(arrays, unit, random), _shaken(own, unit, random))
        for name in apart.wanted:
            errors[name].add(computed[name], own[name])
            shaken[name].add(computed[name], moved[name])
    return {name: _judged(errors[name], shaken[name], limits) for name in apart.wanted}


def _judged(errors: Differences, shaken: Differences, limits: Tolerance) -> AloneCheck:
    import numpy as np

    def allowed(share: float, variation: Any, rounding: float, by_rounding: Any) -> Any:
        usual = share * variation + rounding * errors.magnitude
        return np.maximum(usual, _ROUNDINGS * by_rounding)

    whole = allowed(limits.relative, errors.variation, limits.rounding, shaken.error)
    slices = allowed(
        limits.slice, errors.slice_variations(), limits.slice_rounding, shaken.slice_errors()
    )
    excesses = [
        ratio(float(error), float(most))
        for error, most in (
            (errors.error, whole),
            *zip(errors.slice_errors(), slices, strict=True),
        )
    ]
    return AloneCheck(
        error=errors.error,
        variation=errors.variation,
        by_rounding=shaken.error,
        excess=max(excesses) if errors.is_finite else BEYOND,
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


def _shaken(arrays: Arrays, unit: float, random: np.random.Generator) -> dict[str, Array]:
    """The values with a random error of at most one unit in their last place."""
    return {
        name: array * (1 + random.uniform(-unit, unit, array.shape)).astype("float32")
        if array.dtype == "float32"
        else array
        for name, array in arrays.items()
    }
