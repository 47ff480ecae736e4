"""Is a converted model right, its outputs and all that is between? One pass over the inputs.

Outputs are held against the source's, and so is every tensor inside that both sides have. What
is beyond the limits is not wrong yet: in trained networks tensors are tiny, or what is left of
sums that cancel, and differ by rounding. Each such tensor is computed again by its layer alone
(``local_comparison.check_alone``), and only where that differs is it wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import OutputCheck, Verification
from deployx_edge.comparison import LEAST_INPUTS, TOLERANCES, LayerCheck, Tolerance, coarser
from deployx_edge.errors import UsageError, VerificationError
from deployx_edge.operator_facts import find_operator, operator_of_layer
from deployx_edge.runtimes.converter import ConvertedModel, HalfOverflows
from deployx_edge.runtimes.layerwise import (
    LayersComparison,
    find_producers,
    intermediate_check,
    source_side,
)
from deployx_edge.runtimes.local_comparison import ROUNDING_ONLY, AloneCheck, check_alone
from deployx_edge.runtimes.quantized_proof import StepsComparison
from deployx_edge.runtimes.runner import Arrays, OpenModel, open_for_proof
from deployx_edge.runtimes.verification import SKIP, OutputsComparison
from deployx_edge.sources.onnx.walk import SourceWalk, Watch, watch_nothing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deployx_edge.model import Array
    from deployx_edge.runtimes.runner import Producer

# An output of layers that are all right may be beyond its limit by so much: rounding adds up.
_ADDED_UP = 10.0


@dataclass(frozen=True, kw_only=True)
class ProofRequest:
    """What a model is proven on.

    ``inner`` are the places of those ``inputs`` on which all that is inside is compared too, and
    ``telling`` of those on which is looked for what half floats cannot hold.
    ``known`` are outputs of the source that are known already, by place; ``elements`` those of its
    tensors inside that were kept then (see ``kept_elements``). ``watch`` is shown the
    source's tensors, ``progress`` how many of the inputs are done. ``doubts`` see ``verify``.
    ``layer_remedy`` is what to do about a quantized layer that is wrong.
    """

    inputs: Sequence[Arrays]
    inner: Collection[int]
    telling: Collection[int]
    known: Mapping[int, Mapping[str, Array]]
    elements: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    watch: Watch = watch_nothing
    progress: Callable[[int], None] = lambda done: None
    accept_unproven: bool = False
    doubts: Sequence[str] = ()
    layer_remedy: str = SKIP


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is written down, and what half floats could not hold (None: nobody looked)."""

    verification: Verification
    overflows: HalfOverflows | None


def prove(model: ConvertedModel, walk: SourceWalk, request: ProofRequest) -> Proof:
    """Compare the model with its source; VerificationError where it is not right.

    A source that rounds to quantized values is held against it layer by layer, in steps.
    """
    made = _QuantizedComparison if walk.rounds_to == "int8" else _Comparison
    with open_for_proof(model) as opened:
        verification = made(model, opened, walk, request).verification()
        return Proof(verification=verification, overflows=opened.overflows)


class _Comparison:
    def __init__(
        self, model: ConvertedModel, opened: OpenModel, walk: SourceWalk, request: ProofRequest
    ) -> None:
        self._model = model
        self._opened = opened
        self._walk = walk
        self._request = request
        self._precision = coarser(model.rounds_to, walk.rounds_to)
        self._limits = TOLERANCES[self._precision]
        least = min(LEAST_INPUTS, len(request.inputs))  # of huge models there are two
        self._outputs = OutputsComparison(model, self._limits, least=least)
        self._producers = self._find_producers()
        self._layers = LayersComparison(self._producers)
        self._layers.know(request.elements)

    def verification(self) -> Verification:
        for place, arrays in enumerate(self._request.inputs):
            self._request.progress(place)
            self._take(place, arrays)
        outputs = self._outputs.checks()
        layers = self._layers.checks(self._limits, with_cosine=False)
        alone = self._alone(_differing(item.check for item in layers), self._limits)
        outputs = self._judge_outputs(outputs)
        try:
            verification = self._outputs.verification(
                outputs,
                accept_unproven=self._request.accept_unproven,
                doubts=self._request.doubts,
            )
        except VerificationError as error:
            raise _with_first_layer(error, layers, alone) from error
        for item in layers:
            if item.check.verdict == "differs" and not _is_right(alone, item.check.output):
                raise _wrong_inside(item, alone.get(item.check.output), self._limits)
        return replace(verification, intermediates=intermediate_check(layers, alone))

    def _find_producers(self) -> dict[str, Producer]:
        try:
            return find_producers(self._model, source_side(self._walk.source, self._walk))
        except UsageError:  # names are lost, or several samples at once: outputs have to do
            return {}

    def _take(self, place: int, arrays: Arrays) -> None:
        measure = place in self._request.telling
        if self._producers and place in self._request.inner:
            wanted: dict[str, Array] = {}
            tensors = self._watched(arrays, wanted)
            found = self._layers.add(tensors, self._opened, arrays, measure=measure)
            self._outputs.add(wanted, lambda: found)
            return
        known = self._request.known.get(place) or self._walk.run(arrays, self._request.watch)
        self._outputs.add(known, lambda: self._opened.run(arrays, measure=measure))

    def _watched(self, arrays: Arrays, outputs: dict[str, Array]) -> Iterator[Mapping[str, Array]]:
        for part in self._walk.tensors(arrays):
            self._request.watch(part)
            names = self._walk.source.output_names
            outputs.update({name: part[name] for name in names if name in part})
            shown = [part]
            del part  # large tensors are held by whoever takes them, and by nobody else
            yield shown.pop()

    def _alone(self, suspects: Collection[str], limits: Tolerance) -> dict[str, AloneCheck]:
        known = [name for name in self._producers if name in suspects]
        return check_alone(
            self._opened,
            self._walk,
            self._producers,
            known,
            self._request.inputs,
            self._precision,
            limits,
        )

    def _judge_outputs(self, checks: Sequence[OutputCheck]) -> tuple[OutputCheck, ...]:
        """The same checks; those near their limits are right where rounding alone has added up.

        That is so where no layer adds anything else. Only fp32 can tell.
        """
        differing = [check for check in checks if check.verdict == "differs"]
        near = all(each.relative_error <= _ADDED_UP * self._limits.relative for each in differing)
        known = all(each.output in self._producers for each in differing)
        if not differing or not near or not known or self._precision != "fp32":
            return tuple(checks)
        alone = self._alone(self._producers, ROUNDING_ONLY)
        if not all(check.is_right for check in alone.values()):
            return tuple(checks)
        return tuple(
            replace(each, verdict="same") if each in differing and each.output in alone else each
            for each in checks
        )


class _QuantizedComparison:
    """See ``quantized_proof``: every layer first, then the outputs by what that has shown."""

    def __init__(
        self, model: ConvertedModel, opened: OpenModel, walk: SourceWalk, request: ProofRequest
    ) -> None:
        self._opened = opened
        self._walk = walk
        self._request = request
        least = min(LEAST_INPUTS, len(request.inputs))
        self._outputs = OutputsComparison(model, TOLERANCES["int8"], least=least)
        self._steps = StepsComparison(model, opened, walk, request.elements)

    def verification(self) -> Verification:
        request = self._request
        for place, arrays in enumerate(request.inputs):
            request.progress(place)
            wanted = self._wanted(place, arrays)
            measure = place in request.telling
            self._outputs.add(wanted, partial(self._opened.run, arrays, measure=measure))
        inside = self._steps.check(request.layer_remedy)
        outputs = self._judged()
        if _differing(outputs):  # what rounding adds up to was seen on some of the inputs only
            for place in {*range(len(request.inputs))} - {*request.inner}:
                self._steps.add(request.inputs[place])
            inside = self._steps.check(request.layer_remedy)
            outputs = self._judged()
        verification = self._outputs.verification(
            outputs, accept_unproven=request.accept_unproven, doubts=request.doubts
        )
        return replace(verification, intermediates=inside)

    def _judged(self) -> tuple[OutputCheck, ...]:
        return self._outputs.checks(self._steps.output_limits(self._outputs.checks()))

    def _wanted(self, place: int, arrays: Arrays) -> Mapping[str, Array]:
        request = self._request
        if place in request.inner:
            return self._steps.add(arrays, request.watch)
        return request.known.get(place) or self._walk.run(arrays, request.watch)


def _differing(checks: Iterable[OutputCheck]) -> list[str]:
    return [check.output for check in checks if check.verdict == "differs"]


def _is_right(alone: Mapping[str, AloneCheck], name: str) -> bool:
    return name in alone and alone[name].is_right


def _with_first_layer(
    error: VerificationError, layers: Sequence[LayerCheck], alone: Mapping[str, AloneCheck]
) -> VerificationError:
    """The error, with the first layer that is wrong, or at least differs, where one does."""
    differing = [item for item in layers if item.check.verdict == "differs"]
    wrong = [item for item in differing if not _is_right(alone, item.check.output)]
    if not differing:
        return error
    first = (wrong or differing)[0]
    where = f"The first to differ is '{first.check.output}' of the layer '{first.layer}'"
    remedy = _kernel_remedy(first.type) or error.remedy
    return VerificationError(f"{error.message} {where} ({first.type}).", remedy=remedy)


def _kernel_remedy(layer_type: str) -> str:
    """What to do where the layer is an operator of our own, else ""."""
    domain, _, operator = layer_type.rpartition("::")
    own = find_operator(domain, operator) if domain else None
    name = own.name if own is not None else operator_of_layer(layer_type)
    if not name:
        return ""
    return (
        f"The layer is the operator {name}: `deployx-edge op test {name}` holds its kernel against "
        f"its reference, case by case. {SKIP}"
    )


def _wrong_inside(
    item: LayerCheck, alone: AloneCheck | None, limits: Tolerance
) -> VerificationError:
    check = item.check
    what = f"'{check.output}' of the layer '{item.layer}' ({item.type})"
    if alone is None:
        found = f"is off by {check.relative_error:.2g} times its variation"
    else:
        share = alone.error / alone.variation if alone.variation > 0.0 else alone.error
        found = (
            f"is off by {share:.2g} times its variation when it is computed alone, "
            f"{alone.excess:.2g} times what is allowed"
        )
    return VerificationError(
        f"The outputs agree, but {what} {found} (limit {limits.relative:.2g}, of a slice "
        f"{limits.slice:.2g}).",
        remedy=_kernel_remedy(item.type) or SKIP,
    )
