"""Does a converted model compute what its source computes? Numbers decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from deployx_edge.bundle import OutputCheck, Verification
from deployx_edge.comparison import LEAST_INPUTS, TOLERANCES, TensorComparison, Tolerance, is_finite
from deployx_edge.errors import UsageError, VerificationError
from deployx_edge.runtime import RUNTIMES
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.reference import Reference
from deployx_edge.runtimes.runner import Arrays, open_for_proof

if TYPE_CHECKING:
    from deployx_edge.model import Array

_NAMED_DOUBTS = 3
SKIP = "--no-verify makes the bundle all the same, and says so in it."


class Runs(Protocol):
    """What gives the right outputs."""

    def run(self, arrays: Arrays) -> Mapping[str, Array]:
        """The outputs by name."""
        ...


class OutputsComparison:
    """The outputs of a converted model beside the source's, over inputs that come one by one."""

    def __init__(
        self, model: ConvertedModel, limits: Tolerance | None = None, *, least: int = LEAST_INPUTS
    ) -> None:
        """``limits`` None are those of what it rounds to; ``least`` how many inputs count."""
        self._least = least
        self.limits = limits or TOLERANCES[model.rounds_to]
        self._model = model
        self._outputs = {spec.name: TensorComparison(spec.name) for spec in model.outputs}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._limits_of: Mapping[str, Tolerance] = {}
        self._given = self._usable = 0

    def add(self, wanted: Mapping[str, Array], found: Callable[[], Mapping[str, Array]]) -> None:
        """Take in one input; ``found`` is only asked where the source's outputs are finite.

        Raises VerificationError where a shape depends on the input's values.
        """
        for name in self._outputs:
            if self._shapes.setdefault(name, wanted[name].shape) != wanted[name].shape:
                raise _open_shape(name, self._model.runtime)
        self._given += 1
        if not is_finite(wanted.values()):
            return
        self._usable += 1
        arrays = found()
        for name, comparison in self._outputs.items():
            comparison.add(wanted[name], arrays[name])

    def checks(self, limits: Mapping[str, Tolerance] | None = None) -> tuple[OutputCheck, ...]:
        """What came of each output; VerificationError where too few inputs could be used.

        ``limits`` are those of single outputs where they have their own.
        """
        self._limits_of = limits or {}
        if self._usable < self._least:
            raise VerificationError(
                f"The source model gives NaN or infinite values for {self._given - self._usable} "
                f"of {self._given} test inputs, so that it cannot be compared with.",
                remedy="Say what its input looks like with --preprocess. " + SKIP,
            )
        return tuple(each.check(self._limits(name)) for name, each in self._outputs.items())

    def _limits(self, output: str) -> Tolerance:
        return self._limits_of.get(output, self.limits)

    def failure(self, check: OutputCheck, doubts: Sequence[str] = ()) -> VerificationError:
        """The error for an output that differs or proves nothing.

        ``doubts`` are operators to suspect first, named in it.
        """
        what = self._outputs[check.output].describe(check, self._limits(check.output))
        if check.verdict == "unproven":
            return VerificationError(
                f"The converted model cannot be verified: {what}.",
                remedy="Compare an output before the saturation (the scores before a softmax), or "
                f"accept it with --accept-unproven. {SKIP}",
            )
        return VerificationError(
            f"The outputs of the converted model ({self._model.precision}) differ from its "
            f"source's: {what}.",
            remedy=f"{_advice(self._model.precision, doubts)} {SKIP}",
        )

    def verification(
        self, checks: Sequence[OutputCheck], *, accept_unproven: bool, doubts: Sequence[str] = ()
    ) -> Verification:
        """What is written down; VerificationError for the first output that is not right."""
        for check in checks:
            if check.verdict == "differs" or (check.verdict == "unproven" and not accept_unproven):
                raise self.failure(check, doubts)
        unproven = any(check.verdict == "unproven" for check in checks)
        return Verification(
            status="accepted" if unproven else "passed",
            reference=Reference.version(),
            inputs=self._usable,
            outputs=tuple(checks),
        )


def verify(
    model: ConvertedModel,
    reference: Runs,
    inputs: Sequence[Mapping[str, Array]],
    *,
    accept_unproven: bool = False,
    doubts: Sequence[str] = (),
    limits: Tolerance | None = None,
) -> Verification:
    """Compare the converted model's outputs with its source's on ``inputs`` (at least three sets).

    ``doubts`` are operators to suspect first, named in the error where it differs.
    ``limits`` None are those of the model's precision.

    Raises VerificationError where an output differs, or where one hardly depends on the
    inputs and ``accept_unproven`` does not say that this is known.
    """
    check_inputs(inputs)
    outputs = OutputsComparison(model, limits)
    with open_for_proof(model) as opened:
        for arrays in inputs:
            outputs.add(reference.run(arrays), partial(opened.run, arrays))
    return outputs.verification(outputs.checks(), accept_unproven=accept_unproven, doubts=doubts)


def check_inputs(inputs: Sequence[Arrays]) -> None:
    """UsageError where there are too few inputs for a comparison."""
    if len(inputs) < LEAST_INPUTS:
        raise UsageError(f"A comparison needs at least {LEAST_INPUTS} inputs, not {len(inputs)}.")


def _open_shape(output: str, runtime: str) -> VerificationError:
    facts = RUNTIMES[runtime]
    return VerificationError(
        f"The shape of the output '{output}' depends on the input's values"
        + (f"; shapes in {facts.title} are fixed." if facts.fixed_shapes else ", as none may."),
        remedy="Move what decides on it (often NonMaxSuppression) out of the model, for "
        "instance by --partition, or keep a fixed number of its results.",
    )


def _advice(precision: str, doubts: Sequence[str]) -> str:
    if precision in ("fp16", "bf16"):
        return "Try --precision fp32; where that passes, this precision is too coarse here."
    if doubts:
        more = f" and {len(doubts) - _NAMED_DOUBTS} more" if len(doubts) > _NAMED_DOUBTS else ""
        return (
            f"The converter often gets these wrong: {', '.join(doubts[:_NAMED_DOUBTS])}{more}. "
            "Export the model without them."
        )
    return "Simplify the model or export it with another opset: the converter got it wrong."
