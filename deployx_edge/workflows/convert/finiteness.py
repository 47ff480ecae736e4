"""NaN and infinity in what a device gives, where the model itself gives none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy

from deployx_edge.bundle import Bundle
from deployx_edge.comparison import is_finite
from deployx_edge.errors import DeployxError, NotFiniteError

Arrays = Mapping[str, numpy.ndarray]

REMEDY = (
    "Where half floats are used: convert with --samples like these inputs, so that layers whose "
    "sums overflow stay fp32, name such layers (--keep-float LAYER), or run with --precision fp32."
)


@dataclass(frozen=True, kw_only=True)
class NotFinite:
    """``count`` of an output's ``size`` values are NaN or infinite, and the model's own are not."""

    output: str
    count: int
    size: int

    def __str__(self) -> str:
        return f"{self.count} of {self.size} values of '{self.output}' are NaN or infinite"


def broken_outputs(
    bundle: Bundle,
    inputs: Arrays,
    found: Arrays,
    run_here: Callable[[], Arrays] | None = None,
) -> tuple[NotFinite, ...]:
    """Those outputs in ``found`` with NaN or infinity that the bundle does not give for ``inputs``.

    Only where there is any the bundle runs on this computer, in fp32 (by ``run_here`` where that
    is more than one run). One that cannot be run here counts as finite.
    """
    names = [spec.name for spec in bundle.outputs if not is_finite([found[spec.name]])]
    if not names:
        return ()
    here = run_here() if run_here else _outputs_here(bundle, inputs)
    result = []
    for name in names:
        broken = ~numpy.isfinite(found[name])
        own = here.get(name)
        if own is not None and own.size == broken.size:
            broken &= numpy.isfinite(own).reshape(broken.shape)
        if broken.any():
            result.append(NotFinite(output=name, count=int(broken.sum()), size=broken.size))
    return tuple(result)


def is_finite_here(bundle: Bundle, inputs: Arrays) -> bool:
    """Whether the bundle gives only finite outputs for ``inputs``, as far as it runs here."""
    return is_finite(_outputs_here(bundle, inputs).values())


def _outputs_here(bundle: Bundle, inputs: Arrays) -> Arrays:
    """The outputs of the bundle in fp32 on this computer; none where it cannot be run here."""
    from deployx_edge.runtimes.runner import run_converted
    from deployx_edge.workflows.convert.conversion import read_converted

    try:
        (here,) = run_converted(replace(read_converted(bundle), precision="fp32"), [inputs])
    except DeployxError:
        return {}
    return here


def not_finite_sentence(broken: Sequence[NotFinite], device: str) -> str:
    """What is wrong, in a sentence."""
    values = "; ".join(map(str, broken))
    return f"On {device} {values}; computed in fp32 on this computer they are finite."


def samples_sentence(count: int, device: str) -> str:
    """The same of the samples of a data set."""
    return (
        f"{device}: the outputs of {count} samples hold NaN or infinity where the model's own are "
        "finite."
    )


def refuse_not_finite(sentences: Sequence[str]) -> None:
    """NotFiniteError where anything was found."""
    if sentences:
        raise NotFiniteError(" ".join(sentences), remedy=REMEDY)
