"""Does a converted model compute what its source computes? Numbers decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deployx_edge.bundle import OutputCheck, Verification
from deployx_edge.comparison import (
    LEAST_INPUTS,
    LIMITS,
    Limits,
    compare_output,
    describe_difference,
    finite_inputs,
)
from deployx_edge.errors import UsageError, VerificationError
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.hosts import run_converted
from deployx_edge.runtimes.reference import Reference

if TYPE_CHECKING:
    from deployx_edge.model import Array

_NAMED_DOUBTS = 3
_SKIP = "--no-verify makes the bundle all the same, and says so in it."


def verify(
    model: ConvertedModel,
    reference: Reference,
    inputs: Sequence[Mapping[str, Array]],
    *,
    accept_unproven: bool = False,
    doubts: Sequence[str] = (),
    limits: Limits | None = None,
) -> Verification:
    """Compare the converted model with its source on ``inputs`` (at least three sets).

    ``doubts`` are operators to suspect first, named in the error where it differs.
    ``limits`` None are those of the model's precision.

    Raises VerificationError where an output differs, or where one hardly depends on the
    inputs and ``accept_unproven`` does not say that this is known.
    """
    if len(inputs) < LEAST_INPUTS:
        raise UsageError(f"A comparison needs at least {LEAST_INPUTS} inputs, not {len(inputs)}.")
    references = [reference.run(arrays) for arrays in inputs]
    for spec in model.outputs:
        if len({outputs[spec.name].shape for outputs in references}) > 1:
            raise VerificationError(
                f"The shape of the output '{spec.name}' depends on the input's values"
                + ("; ncnn's shapes are fixed." if model.runtime == "ncnn" else ", as none may."),
                remedy="Move what decides on it (often NonMaxSuppression) out of the model, for "
                "instance by --partition, or keep a fixed number of its results.",
            )
    usable = finite_inputs(references)
    if len(usable) < LEAST_INPUTS:
        raise VerificationError(
            f"The source model gives NaN or infinite values for {len(inputs) - len(usable)} of "
            f"{len(inputs)} test inputs, so that it cannot be compared with.",
            remedy="Say what its input looks like with --preprocess. " + _SKIP,
        )
    wanted = [references[index] for index in usable]
    found = run_converted(model, [inputs[index] for index in usable])
    limits = limits or LIMITS[model.precision]
    checks = []
    for spec in model.outputs:
        pair = [outputs[spec.name] for outputs in wanted], [outputs[spec.name] for outputs in found]
        check = compare_output(spec.name, *pair, limits)
        if check.verdict == "differs" or (check.verdict == "unproven" and not accept_unproven):
            raise _failure(check, describe_difference(check, *pair), model.precision, doubts)
        checks.append(check)
    unproven = any(check.verdict == "unproven" for check in checks)
    return Verification(
        status="accepted" if unproven else "passed",
        reference=reference.version(),
        inputs=len(usable),
        outputs=tuple(checks),
    )


def _failure(
    check: OutputCheck, what: str, precision: str, doubts: Sequence[str]
) -> VerificationError:
    if check.verdict == "unproven":
        return VerificationError(
            f"The converted model cannot be verified: {what}.",
            remedy="Compare an output before the saturation (the scores before a softmax), or "
            f"accept it with --accept-unproven. {_SKIP}",
        )
    if precision == "fp16":
        remedy = "Try --precision fp32; where that passes, half precision is too coarse here."
    elif doubts:
        more = f" and {len(doubts) - _NAMED_DOUBTS} more" if len(doubts) > _NAMED_DOUBTS else ""
        remedy = (
            f"The converter often gets these wrong: {', '.join(doubts[:_NAMED_DOUBTS])}{more}. "
            "Export the model without them."
        )
    else:
        remedy = "Simplify the model or export it with another opset: the converter got it wrong."
    return VerificationError(
        f"The converted model ({precision}) computes something else than its source: {what}.",
        remedy=f"{remedy} {_SKIP}",
    )
