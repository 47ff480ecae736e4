"""Is a quantized model converted right? Layer by layer, counted in quantized steps.

Where values are rounded to steps, a difference in the last bit moves some of them to the next
step, and after a few layers two right computations differ by per cents. So limits for outputs say
little: each layer is computed again by the source, in floats, from what the model has before it
(``cut_apart``), and there is no room for more than a step or two. How far the outputs of those
layers are from the source's is then known to be rounding, and measures what outputs may differ by
where the runtime joins layers as on a board.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import IntermediateCheck, OutputCheck
from deployx_edge.comparison import TOLERANCES, LayerCheck, TensorComparison, Tolerance
from deployx_edge.differences import Differences, ratio
from deployx_edge.errors import VerificationError
from deployx_edge.runtime import find_runtime
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.cut_apart import CutApart, Form, own_values, tensors_needed
from deployx_edge.runtimes.half_steps import HalfSteps
from deployx_edge.runtimes.layerwise import KEPT, intermediate_check
from deployx_edge.runtimes.local_comparison import END_TO_END, AloneCheck, check_alone
from deployx_edge.runtimes.quantized_points import Point, find_points, rounds_to_steps
from deployx_edge.runtimes.runner import Arrays, OpenModel
from deployx_edge.sources.onnx.walk import SourceWalk, Watch, watch_nothing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deployx_edge.model import Array

# Right layers were measured at one step at most: a value on the border between two of them, a
# table in place of a function. A second one is left for processors that round twice.
_MOST_STEPS = 2.0
# How much further than the nearest step values may go, as rms in steps, all of them or a channel's.
_MOST_BEYOND = 0.02
_MOST_BEYOND_OF_SLICE = 0.05
# A softmax by a table, as ONNX Runtime has it, was measured at 0.055 and 0.13.
_SOFTMAX, _COARSER = ("LogSoftmax", "Softmax"), 5.0
_BY_TABLE = ("Erf", "Exp", "Gelu", "HardSigmoid", "Log", "Sigmoid", *_SOFTMAX, "Tanh")
# What is quantized is a whole number of steps, but for rounding in fp32.
_BESIDE = 1e-2
# Of outputs: what rounding in other places may add to what it was seen to add.
_TIMES = 4.0
# Of what half floats and joined layers were computed to change (``half_steps``), of all values and
# of a slice's: in Qualcomm's emulator right layers of int8 were at 1.2 and 2.8, of half floats at
# 0.4 and 0.8, but for what it takes from a table: three ulps of the largest value.
_TIPS, _TIPS_OF_SLICE = 2.0, 4.0
_HALVES, _TABLE = 4.0, 2.0**-8


class StepsComparison:
    """All points of a quantized source beside a converted model's, over inputs one by one."""

    def __init__(
        self,
        model: ConvertedModel,
        opened: OpenModel,
        walk: SourceWalk,
        elements: Mapping[str, NDArray[Any]],
    ) -> None:
        """``elements`` of the source's tensors on another input (see ``kept_elements``)."""
        self._opened = opened
        self._walk = walk
        self._precision = model.precision
        # Half floats hold no value of a quantized tensor to the last bit.
        self._halves = find_runtime(model.runtime).half_floats
        self._floats = "fp16" if self._halves else "fp32"
        self._elements = elements
        self._inputs: list[Arrays] = []
        points = find_points(walk)
        runner = load_runtime(model.runtime).make_runner()
        told = _tells_steps(model)
        self._producers = runner.producers(model, tuple(points)) if told else {}
        self._points = {name: points[name] for name in self._producers}
        self._outputs = [name for name in walk.source.output_names if name in self._producers]
        self._like: dict[str, Form] = {}
        self._apart: CutApart | None = None
        self._tensors: dict[str, _Steps | TensorComparison] = {}
        self._added_up: dict[str, TensorComparison] = {}
        self._half_steps: HalfSteps | None = None

    def add(self, arrays: Arrays, watch: Watch = watch_nothing) -> dict[str, Array]:
        """Run both on one input; the source's outputs. ``watch`` is shown its tensors."""
        forms: dict[str, Form] = {}

        def both(tensors: Mapping[str, Array]) -> None:
            watch(tensors)
            for name in tensors.keys() & self._points.keys():
                forms[name] = Form(shape=tensors[name].shape, dtype=str(tensors[name].dtype))

        wanted = self._walk.run(arrays, both)
        if not self._producers:  # no name survived, or steps cannot be told: outputs have to do
            return wanted
        if self._apart is None:
            self._cut(forms)
        assert self._apart is not None
        self._inputs.append(arrays)
        own = own_values(self._opened, self._producers, self._like, arrays)
        if self._half_steps is None:
            computed = self._apart.run(arrays, own)
        else:
            computed = self._half_steps.compute(self._apart, arrays, own)
        given = {**computed, **arrays, **own}
        for name, comparison in self._tensors.items():
            if isinstance(comparison, _Steps):
                # What is no tensor of a run is a constant, and as good as not known.
                exact = given.get(self._points[name].exact or "")
                comparison.add(computed[name], own[name], exact)
            else:
                comparison.add(computed[name], own[name])
        for name, each in self._added_up.items():
            each.add(wanted[name], own[name])
        return wanted

    def _cut(self, forms: Mapping[str, Form]) -> None:
        self._like = {
            name: forms[name]
            for name, point in self._points.items()
            if name in forms and (point.step is not None or forms[name].dtype == "float32")
        }
        exact = {point.exact for name, point in self._points.items() if name in self._like}
        between = sorted(n for n in exact - self._like.keys() if n in self._walk.makers)
        self._apart = CutApart(self._walk, self._like, tuple(self._like), between)
        if self._halves:
            points = {name: self._points[name] for name in self._like}
            self._half_steps = HalfSteps(self._walk, points)
        for name in self._like:
            point = self._points[name]
            is_exact = self._floats == "fp32" and self._precision in ("fp32", "int8")
            quantized = _Steps(name, point, is_exact=is_exact)
            plain = TensorComparison(name, kept=KEPT)
            self._tensors[name] = plain if point.step is None else quantized
            if name in self._elements:
                self._tensors[name].know(self._elements[name])
        self._added_up = {n: TensorComparison(n) for n in self._outputs if n in self._like}

    def _is_int8(self) -> bool:
        return self._precision == "int8"

    def check(self, remedy: str) -> IntermediateCheck:
        """What came of all points; VerificationError for the first layer that is wrong."""
        limits = TOLERANCES[self._floats if self._is_int8() else self._precision]
        checks = [
            LayerCheck(
                layer=self._points[name].maker.name or name,
                type=self._points[name].maker.op_type,
                check=self._check(name, limits),
            )
            for name in self._tensors
        ]
        differing = [item for item in checks if item.check.verdict == "differs"]
        again = self._again([item.check.output for item in differing], limits)
        for item in differing:
            found = again.get(item.check.output)
            if found is None or not found.is_right:
                raise self._failure(item, remedy)
        return intermediate_check(checks, again)

    def _check(self, name: str, limits: Tolerance) -> OutputCheck:
        each = self._tensors[name]
        if self._half_steps is None:
            return each.check(limits, with_cosine=False)
        moved = self._half_steps.of(name)
        if isinstance(each, _Steps):
            return each.check(limits, with_cosine=False, moved=moved)
        check = each.check(limits, with_cosine=False)
        by_table = self._points[name].maker.op_type in _BY_TABLE
        ulp = _TABLE * self._half_steps.largest(name) if by_table else 0.0
        is_right = rounds_only(each.sums, moved, ulp)
        # What is right may still prove nothing.
        verdict = "unproven" if check.verdict == "unproven" else "same"
        return replace(check, verdict=verdict if is_right else "differs")

    def output_limits(self, checks: Sequence[OutputCheck]) -> dict[str, Tolerance]:
        """By output, what it may differ by: what rounding alone was seen to add up to.

        ``checks`` are those of the outputs, which say how much they vary.
        """
        limits = TOLERANCES["int8"]
        found = {}
        for check in checks:
            each = self._added_up.get(check.output)
            if each is None:
                continue
            here = each.check(limits, with_cosine=False)
            added = ratio(each.sums.error, check.variation)
            found[check.output] = replace(
                limits,
                relative=max(TOLERANCES["fp16"].relative, _TIMES * added),
                slice=max(limits.slice, min(_TIMES * here.slice_error, END_TO_END.slice)),
            )
        return found

    def _again(self, names: Sequence[str], limits: Tolerance) -> dict[str, AloneCheck]:
        """Those that may differ by more than a step, held against what rounding does to them.

        They are no quantized values, or others are rounded to steps on the way to them.
        """
        suspects = [name for name in names if self._may_add_up(name)]
        producers = {name: self._producers[name] for name in self._like}
        return check_alone(
            self._opened, self._walk, producers, suspects, self._inputs, self._floats, limits
        )

    def _may_add_up(self, name: str) -> bool:
        point = self._points[name]
        needed = tensors_needed(self._walk, self._like, [name])
        rounding = {id(self._walk.makers[n]) for n in needed if self._rounds(n)}
        # Of half floats it is known by how much.
        return len(rounding) > 1 or (point.step is None and not self._halves)

    def _rounds(self, name: str) -> bool:
        return rounds_to_steps(self._walk.makers[name])

    def _failure(self, item: LayerCheck, remedy: str) -> VerificationError:
        compared = self._tensors[item.check.output]
        off = (
            compared.describe()
            if isinstance(compared, _Steps)
            else f"is off by {item.check.relative_error:.2g} times its variation"
        )
        return VerificationError(
            f"The layer '{item.layer}' ({item.type}) does not compute what its scales say: "
            f"computed alone from what the model has before it, '{item.check.output}' {off}.",
            remedy=remedy,
        )


def _tells_steps(model: ConvertedModel) -> bool:
    """Whether its runtime has the quantized tensors of a source, and not only scales of its own."""
    makers = load_runtime(model.runtime).converters().values()
    return any("fp32" in make().precisions for make in makers)


class _Steps:
    """A quantized tensor on both sides, counted in steps.

    A value may come out a step further only where it was close to the border between two steps
    before it was rounded: how much too far it went is what counts.
    """

    def __init__(self, name: str, point: Point, *, is_exact: bool) -> None:
        self._point = point
        self._is_exact = is_exact
        self._comparison = TensorComparison(name, kept=KEPT)
        self._beyond = Differences(kept=0)
        self._beside = self._unrounded = 0.0

    def know(self, kept: NDArray[Any]) -> None:
        """See ``TensorComparison``; only of tensors with one step."""
        assert self._point.step is not None
        if self._point.step.size == 1:
            self._comparison.know(kept / self._point.step)

    def add(self, wanted: Array, found: Array, exact: Array | None) -> None:
        """Take in what one input gives on both sides; ``exact`` is what was to be rounded."""
        import numpy as np

        first, second = self._point.steps(wanted), self._point.steps(found)
        self._beside = max(self._beside, float(abs(second - np.rint(second)).max(initial=0.0)))
        off = away = abs(second - first)
        if exact is not None:
            away = abs(second - self._point.steps(exact))
            off = np.minimum(off, np.maximum(away - 0.5, 0.0))
        self._unrounded = max(self._unrounded, float(away.max(initial=0.0)))
        self._beyond.add(np.zeros_like(off), off)
        self._comparison.add(first.astype(np.float32), second.astype(np.float32))

    def check(
        self, limits: Tolerance, *, with_cosine: bool = True, moved: Differences | None = None
    ) -> OutputCheck:
        """What came of it; ``limits`` say where it proves nothing, ``moved`` (see ``HalfSteps``) by
        how much half floats may be further off."""
        check = self._comparison.check(limits, with_cosine=with_cosine)
        if not self._is_right(check, moved):
            return replace(check, verdict="differs")
        return replace(check, verdict="unproven" if check.verdict == "unproven" else "same")

    def _is_right(self, check: OutputCheck, moved: Differences | None) -> bool:
        if not self._point.is_rounded:
            return self._comparison.sums.is_finite and check.max_abs_error <= 0.5 + _BESIDE
        coarser = _COARSER if self._point.maker.op_type in _SOFTMAX else 1.0
        on_steps = not self._is_exact or self._beside <= _BESIDE
        largest = 0.0 if moved is None else _TIPS * moved.largest_error
        return (
            self._comparison.sums.is_finite
            and check.max_abs_error <= _MOST_STEPS + _BESIDE + largest
            and self._is_near(coarser, moved)
            # To round nothing where the source does is no mistake.
            and (on_steps or self._unrounded <= _BESIDE)
        )

    def _is_near(self, coarser: float, moved: Differences | None) -> bool:
        """Whether values went no further than steps explain, all of them and each slice's."""
        import numpy as np

        beyond = self._beyond
        whole, slices = coarser * _MOST_BEYOND, np.array(coarser * _MOST_BEYOND_OF_SLICE)
        if moved is not None:
            whole = max(whole, _TIPS * moved.error)
            slices = np.maximum(slices, _TIPS_OF_SLICE * moved.slice_errors())
        return beyond.error <= whole and bool((beyond.slice_errors() <= slices).all())

    def describe(self) -> str:
        """What is wrong, as the end of a sentence."""
        sums = self._comparison.sums
        if not sums.is_finite:
            return "is not finite where it should be, or the other way round"
        if sums.largest_error <= _MOST_STEPS and self._beside > _BESIDE:
            return f"holds values between its quantized steps of {_shown(self._point.step)}"
        return (
            f"is off by up to {sums.largest_error:.2g} quantized steps of "
            f"{_shown(self._point.step)}, {sums.error:.2g} on average (rms)"
        )


def rounds_only(errors: Differences, moved: Differences, ulp: float) -> bool:
    """Whether a tensor of half floats is off by rounding alone, and each slice of it.

    ``ulp`` is what each value may be off by in any case.
    """
    import numpy as np

    limits = TOLERANCES["fp16"]
    whole = max(_HALVES * moved.error, limits.rounding * errors.magnitude, ulp)
    least = max(limits.slice_rounding * errors.magnitude, ulp)
    slices = np.maximum(_HALVES * moved.slice_errors(), least)
    near = errors.error <= whole and bool((errors.slice_errors() <= slices).all())
    return near and errors.is_finite


def _shown(step: NDArray[np.float64] | None) -> str:
    return "1" if step is None else f"{float(step.max()):.3g}"
