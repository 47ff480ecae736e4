"""How far two results of one model differ, and the inputs that bring differences out.

The error is measured against how much an output varies BETWEEN inputs. A cosine or a
relative error of the raw outputs says nothing: a network whose last bias outweighs its
weights gives nearly the same numbers for every input, right or wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import OutputCheck
from deployx_edge.differences import BEYOND, Differences, Values, ratio
from deployx_edge.model import NamedShape, PreProcessing, format_shape, same_but_for_ones

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deployx_edge.model import Array

# Sets of inputs that show how large what is inside becomes.
_TELLING = 3

SEED = 20261121
# The largest number of IEEE 754's binary16.
FP16_LARGEST = 65504.0
LEAST_INPUTS = 3
# Elements of an output that are kept of each input to know its variation.
WHOLE_OUTPUTS = 2**20


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """What still counts as the same.

    ``relative``: rms error of a whole output / rms deviation of the reference between
    inputs. ``slice``: the same ratio for each slice along the first axis of a sample (a
    channel), so that a wrong channel does not drown among large ones. What rounding
    alone may add comes on top, as a part of the output's magnitude: ``rounding`` for the
    whole, ``slice_rounding`` for a slice, which may hardly vary itself. ``proof``: an
    output that varies by less than this part of its magnitude proves nothing.
    """

    relative: float
    slice: float
    rounding: float
    slice_rounding: float
    proof: float


# fp32: both sides round to 2^-24 (6e-8) at every operation, in another order of sums and
# by Winograd's transforms, which lose one to two digits. Right conversions were measured
# at 4e-7 to 6e-5; the mildest wrong one of tests/integration/models (one filter of eight
# off by 10 %) at 5e-2. 1e-3 lies between them with a decade on each side. The last
# addition alone (a large bias) rounds by up to 6e-8 of the magnitude; with a few of them,
# 3e-7. Where the variation is below 1e-4 of the magnitude, that rounding would pass for
# 0.3 % of it: nothing can be told apart.
#
# fp16: weights and activations round to 2^-11 (5e-4). Right conversions were measured at
# 6e-4 to 9e-4 for networks of 8 to 21 layers where only storage is half; half arithmetic
# and depth cost up to a decade more. 2e-2 leaves room for that and refuses what is wrong.
# Half precision resolves no variation below 1e-2 of the magnitude.
#
# int8 stands for what quantization may cost. Whether a runtime's int8 layers compute what their
# scales say is found out layer by layer (``runtimes/local_comparison.py``, ``quantized_proof.py``).
# "same" is never said of more than half floats may cost (2e-2 are 34 dB): what is further off and
# within coarser limits is "rounded".
TOLERANCES = {
    "fp32": Tolerance(relative=1e-3, slice=1e-2, rounding=3e-7, slice_rounding=1e-5, proof=1e-4),
    "fp16": Tolerance(relative=2e-2, slice=1e-1, rounding=1e-4, slice_rounding=2e-3, proof=1e-2),
    "bf16": Tolerance(relative=1e-1, slice=4e-1, rounding=8e-4, slice_rounding=1.6e-2, proof=5e-2),
    "int8": Tolerance(relative=3e-1, slice=1.0, rounding=4e-3, slice_rounding=3e-2, proof=1e-2),
}


def coarser(*precisions: str) -> str:
    """The one of them with the widest limits."""
    return max(precisions, key=tuple(TOLERANCES).index)


@dataclass(frozen=True, kw_only=True)
class LayerCheck:
    """How far a tensor is from the source's of the same name, and the layer that makes it."""

    layer: str
    type: str
    check: OutputCheck


def first_difference(checks: Sequence[LayerCheck]) -> LayerCheck | None:
    """The first tensor that differs; None where none does."""
    return next((item for item in checks if item.check.verdict == "differs"), None)


def structured_inputs(
    specs: Sequence[NamedShape],
    preprocessing: Sequence[PreProcessing] = (),
    *,
    places: Sequence[int] = range(6),
    series: int = 0,
) -> tuple[dict[str, Array], ...]:
    """Six seeded sets of inputs, or those at these ``places``; each maps input names to arrays.

    Another ``series`` has other values of the same kinds.

    Uniform noise, normal noise, a gradient with another slope along every axis, a
    checkerboard with impulses, smooth noise, and something like an image. No two axes
    look alike, so that swapped axes show. Where ``preprocessing`` is known for an input,
    the values are those that an image of 0 … 255 leads to; else they lie in 0 … 1, but
    for the two noises that are centred on 0. Whole numbers lie in 0 … 7.
    """
    steps = {step.input: step for step in preprocessing}
    makers = (_uniform, _normal, _gradient, _board, _smooth, _image)
    sets = []
    for index in places:
        make, arrays = makers[index], {}
        for position, spec in enumerate(specs):
            generator = _generator(index, position, *([series] if series else []))
            values = make(generator, spec.shape)
            step = steps.get(spec.name)
            scaled = values if step is None else _scaled(values, step)
            arrays[spec.name] = _as_type(scaled, spec.dtype)
        sets.append(arrays)
    return tuple(sets)


class TensorComparison:
    """One tensor of a model beside the reference's, over test inputs that come one by one.

    ``kept``: see ``Differences``; the default keeps all of most outputs.
    """

    def __init__(self, name: str, *, kept: int = WHOLE_OUTPUTS) -> None:
        self.name = name
        self._differences = Differences(kept=kept)
        self._shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    @property
    def sums(self) -> Differences:
        """What was added up so far."""
        return self._differences

    def know(self, kept: NDArray[Any]) -> None:
        """See ``Differences.know``."""
        self._differences.know(kept)

    def add(self, wanted: Array, found: Array) -> None:
        """Take in what one input gives on both sides; the batch axis is a part of the tensors.

        Shapes must agree but for axes of size 1.
        """
        if not same_but_for_ones(wanted.shape, found.shape):
            self._shapes = self._shapes or (wanted.shape, found.shape)
            found = wanted
        self._differences.add(wanted, found)

    def add_flat(self, wanted: Array, found: Values) -> None:
        """The same of a tensor that may be counted in other dimensions on the other side."""
        if math.prod(found.shape) == wanted.size:
            self._differences.add(wanted, found)
        else:
            self.add(wanted, found.whole())

    def check(self, limits: Tolerance, *, with_cosine: bool = True) -> OutputCheck:
        """How far the two are apart, and whether that is within the limits (``OutputCheck``).

        Nothing is decided by the cosine, which costs as much as all else.
        """
        sums = self._differences
        variation, magnitude = sums.variation, sums.magnitude
        if self._shapes is not None or not sums.is_finite:
            return _hopeless(self.name, variation, magnitude)
        slice_error = sums.slice_error(limits.slice_rounding * magnitude)
        if variation <= limits.proof * magnitude:
            # Against the magnitude at least: wrong by more than that is wrong in any case.
            same = sums.error <= limits.relative * magnitude
            verdict = "unproven" if same else "differs"
        elif _within(limits, sums.error, slice_error, variation, magnitude):
            same = _within(TOLERANCES["fp16"], sums.error, slice_error, variation, magnitude)
            verdict = (
                "same" if same or limits.relative <= TOLERANCES["fp16"].relative else "rounded"
            )
        else:
            verdict = "differs"
        check = OutputCheck(
            output=self.name,
            verdict=verdict,
            relative_error=ratio(sums.error, variation),
            slice_error=slice_error,
            max_abs_error=sums.largest_error,
            snr_db=_snr_db(sums.error, variation),
            cosine=sums.cosine if with_cosine else math.nan,
            variation=variation,
            magnitude=magnitude,
        )
        sums.forget_deviation()
        return check

    def describe(self, check: OutputCheck, limits: Tolerance) -> str:
        """What is wrong where the verdict is not "same", in one clause with what decided."""
        what = f"output '{self.name}'"
        if self._shapes is not None:
            wanted, found = self._shapes
            return f"{what} has the shape {format_shape(found)} instead of {format_shape(wanted)}"
        if not self._differences.is_finite:
            return f"{what} holds NaN or infinite values"
        if check.verdict == "unproven":
            return (
                f"{what} proves nothing: between inputs it varies by {check.variation:.1e}, "
                f"its magnitude is {check.magnitude:.1e}"
            )
        return (
            f"{what} is off by {_share(check.relative_error)} its variation between inputs "
            f"(limit {limits.relative:.1%}), its worst slice by {_share(check.slice_error)} its "
            f"own (limit {limits.slice:.0%}); largest error {check.max_abs_error:.3g}, "
            f"cosine {check.cosine:.4f}"
        )


def _within(
    limits: Tolerance, error: float, slice_error: float, variation: float, magnitude: float
) -> bool:
    allowed = limits.relative * variation + limits.rounding * magnitude
    return error <= allowed and slice_error <= limits.slice


def is_finite(arrays: Iterable[Array]) -> bool:
    """Whether there is neither NaN nor infinity in any of them."""
    import numpy as np

    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in arrays)


def _share(ratio: float) -> str:
    return f"{ratio:.1%} of" if ratio < 10.0 else f"{ratio:.2g} times"


def _hopeless(name: str, variation: float, magnitude: float) -> OutputCheck:
    return OutputCheck(
        output=name,
        verdict="differs",
        relative_error=BEYOND,
        slice_error=BEYOND,
        max_abs_error=BEYOND,
        snr_db=-180.0,
        cosine=0.0,
        variation=variation,
        magnitude=magnitude,
    )


def _snr_db(error: float, signal: float) -> float | None:
    if error == 0.0:
        return None
    return 20.0 * math.log10(max(signal, 1e-30) / error)


def _generator(*key: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng([SEED, *key])


def _as_type(values: NDArray[Any], dtype: str) -> Array:
    """Values as the input takes them; whole numbers are 0 … 7, as they often are indices."""
    import numpy as np

    if np.dtype(dtype).kind != "f":
        values = np.rint(np.clip(values, 0.0, 1.0) * (1 if dtype == "bool" else 7))
    return np.ascontiguousarray(values, dtype=dtype).reshape(values.shape)


def _scaled(values: NDArray[Any], step: PreProcessing) -> NDArray[Any]:
    """Values of 0 … 1 (clipped) as the pre-processing makes them of an image's 0 … 255."""
    import numpy as np

    shape = [1] * values.ndim
    shape[step.layout.index("C") - len(step.layout)] = step.channels
    pixels = np.rint(np.clip(values, 0.0, 1.0) * 255.0) * step.scale
    scaled: NDArray[Any] = np.divide(
        pixels - np.reshape(step.mean, shape), np.reshape(step.std, shape)
    )
    return scaled


def _uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    return generator.random(shape)


def _normal(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    return generator.standard_normal(shape)


def _gradient(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """A plane with another slope along every axis, folded into 0 … 1."""
    import numpy as np

    slopes = generator.uniform(0.5, 1.5, len(shape)) * (1.0 + np.arange(len(shape)))
    total = np.zeros(shape)
    for axis, (size, slope) in enumerate(zip(shape, slopes, strict=True)):
        ramp = np.arange(size) / max(size, 2) * slope
        total += ramp.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    folded: NDArray[Any] = np.abs(np.mod(total, 2.0) - 1.0)
    return folded


def _board(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """A checkerboard of contrast 0.5 with a few impulses of 1 at random places."""
    import numpy as np

    parity = np.indices(shape, sparse=True)
    board = 0.25 + 0.5 * (sum(parity, np.zeros(shape)) % 2)
    impulses = max(1, board.size // 50)
    board.reshape(-1)[generator.integers(0, board.size, impulses)] = 1.0
    return board


def _smooth(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """Noise of an eighth of the resolution (at least three values), interpolated, around 0."""
    import numpy as np

    values = generator.standard_normal([max(min(size, 3), (size + 7) // 8) for size in shape])
    for axis, size in enumerate(shape):
        last = values.shape[axis] - 1
        places = np.linspace(0, last, size)
        left = np.floor(places).astype(int)
        share = (places - left).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        values = values.take(left, axis) * (1 - share) + share * values.take(
            np.minimum(left + 1, last), axis
        )
    return values


def _image(generator: np.random.Generator, shape: tuple[int, ...]) -> NDArray[Any]:
    """A soft background with a few flat boxes and a little noise, in 0 … 1."""
    import numpy as np

    scene = np.asarray(0.3 + 0.2 * _gradient(generator, shape))
    for _ in range(5):
        corner = [int(generator.integers(0, size)) for size in shape]
        box = tuple(
            slice(start, start + max(1, size // 3))
            for start, size in zip(corner, shape, strict=True)
        )
        scene[box] = generator.random()
    return np.clip(scene + 0.02 * generator.standard_normal(shape), 0.0, 1.0)


def telling_inputs(
    inputs: Sequence[Mapping[str, Array]], count: int = _TELLING
) -> Sequence[Mapping[str, Array]]:
    """The ``count`` sets of inputs with the largest values: with them sums become largest."""
    import numpy as np

    def energy(arrays: Mapping[str, Array]) -> float:
        return sum(float(np.square(each, dtype=np.float64).mean()) for each in arrays.values())

    return sorted(inputs, key=energy, reverse=True)[:count]
