"""Where do a converted model and its source part ways? Tensor by tensor, by their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.bundle import IntermediateCheck
from deployx_edge.comparison import TOLERANCES, LayerCheck, TensorComparison, Tolerance
from deployx_edge.differences import Values, WholeValues, kept_shape
from deployx_edge.errors import UsageError
from deployx_edge.model import TensorSpec
from deployx_edge.runtimes import load_runtime
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.runner import Arrays, OpenModel, Producer, open_converted
from deployx_edge.sources.onnx.file import OnnxSource
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deployx_edge.model import Array

# Elements of a tensor that are kept of each input: of 500 tensors 32 MB.
KEPT = 2**14


@dataclass(frozen=True, kw_only=True)
class ReferenceSide:
    """What a converted model is compared with: tensors by name, and how to have their values.

    ``tensors`` gives those of one run in portions, as they come. ``matched`` finds producers where
    no name survived; it is asked only then.
    """

    names: tuple[str, ...]
    tensors: Callable[[Arrays], Iterator[Mapping[str, Array]]]
    matched: Callable[[ConvertedModel], Mapping[str, Producer]]


def source_side(source: OnnxSource, walk: SourceWalk | None = None) -> ReferenceSide:
    """The source in ONNX Runtime; ``walk`` where it is opened already."""
    opened = walk or SourceWalk(source)

    def matched(model: ConvertedModel) -> Mapping[str, Producer]:
        return load_runtime(model.runtime).make_runner().matched(model, source)

    return ReferenceSide(names=opened.names, tensors=opened.tensors, matched=matched)


def find_producers(model: ConvertedModel, reference: ReferenceSide) -> dict[str, Producer]:
    """By tensor of the reference, what makes it in the model; in the order of the layers.

    Raises UsageError where no tensor matches, or the model takes several samples at once.
    """
    if any(_takes_several(spec) for spec in model.inputs):
        raise UsageError(
            "Layers can only be compared for a single sample: convert the model for 1."
        )
    producers = load_runtime(model.runtime).make_runner().producers(
        model, reference.names
    ) or reference.matched(model)
    if not producers:
        raise UsageError("No tensor of the source kept its name in the converted model.")
    return dict(producers)


class LayersComparison:
    """All tensors that both sides have, over inputs that come one by one.

    Both sides run beside each other: as soon as the model has made a tensor, it is compared
    with the reference's and both are let go. Tensors whose sizes depend on values (what a
    NonMaxSuppression leaves) have no mean over the inputs, and are left out.
    """

    def __init__(self, producers: Mapping[str, Producer]) -> None:
        self._producers = producers
        self._tensors = {name: TensorComparison(name, kept=KEPT) for name in producers}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._sized_by_values: set[str] = set()
        self._names: dict[str, list[str]] = {}
        for name, producer in producers.items():
            self._names.setdefault(producer.runtime_name, []).append(name)

    def know(self, kept: Mapping[str, NDArray[Any]]) -> None:
        """Take in elements of the reference's tensors on an input that is not compared.

        See ``kept_elements``, with ``KEPT``.
        """
        for name in kept.keys() & self._tensors.keys():
            if self._has_one_size(name, kept[name].shape):
                self._tensors[name].know(kept[name])

    def _has_one_size(self, name: str, shape: tuple[int, ...]) -> bool:
        """Whether what is kept of the tensor had this shape on all inputs so far."""
        if self._shapes.setdefault(name, shape) != shape:
            self._sized_by_values.add(name)
        return name not in self._sized_by_values

    def add(
        self,
        tensors: Iterator[Mapping[str, Array]],
        model: OpenModel,
        arrays: Arrays,
        *,
        measure: bool = False,
    ) -> dict[str, Array]:
        """Run both on one input; the model's outputs. ``tensors`` is taken to its end.

        ``measure`` see ``OpenModel``.
        """
        waiting: dict[str, Array] = {}

        def wanted(name: str) -> Array:
            while name not in waiting:
                part = next(tensors)
                waiting.update({key: part[key] for key in part if key in self._producers})
            return waiting.pop(name)

        def take(runtime_name: str, found: Values) -> None:
            names = self._names[runtime_name]
            array = found.whole() if len(names) > 1 else None
            for name in names:
                right = wanted(name)
                if self._has_one_size(name, kept_shape(right, KEPT)):
                    values = found if array is None else WholeValues(array)
                    self._tensors[name].add_flat(right, values)
                elif array is None:
                    found.whole()  # goes by

        outputs = model.run(arrays, tuple(self._names), take, measure=measure)
        for _ in tensors:
            pass
        return outputs

    def checks(self, limits: Tolerance, *, with_cosine: bool = True) -> tuple[LayerCheck, ...]:
        """What came of each tensor, in the order of the layers."""
        return tuple(
            LayerCheck(
                layer=producer.layer,
                type=producer.type,
                check=self._tensors[name].check(limits, with_cosine=with_cosine),
            )
            for name, producer in self._producers.items()
            if name not in self._sized_by_values
        )


def compare_layers(
    model: ConvertedModel,
    reference: ReferenceSide,
    inputs: Sequence[Arrays],
    *,
    opened: OpenModel | None = None,
    precision: str | None = None,
    inside: bool = True,
) -> tuple[LayerCheck, ...]:
    """Compare every tensor that both sides have, in the order of the layers.

    Tensors are matched by name, else by ``reference.matched``. ``opened`` is the model elsewhere
    than on this computer, in ``precision`` where that is not the model's own; without ``inside``
    only its outputs are compared. The limits are those of outputs. Raises UsageError as
    ``find_producers`` does.
    """
    producers = find_producers(model, reference)
    if not inside:
        outputs = {spec.runtime_name for spec in model.outputs}
        producers = {n: each for n, each in producers.items() if each.runtime_name in outputs}
    comparison = LayersComparison(producers)
    with nullcontext(opened) if opened else open_converted(model) as runner:
        for arrays in inputs:
            comparison.add(reference.tensors(arrays), runner, arrays)
    return comparison.checks(TOLERANCES[precision or model.rounds_to])


def intermediate_check(
    checks: Sequence[LayerCheck], alone: Collection[str] = ()
) -> IntermediateCheck:
    """What comparisons found, in short; those that differ were found right ``alone``."""
    proven = [item.check for item in checks if item.check.verdict in ("same", "rounded")]
    worst = max(proven, key=lambda check: check.relative_error, default=None)
    return IntermediateCheck(
        compared=len(checks),
        unproven=sum(item.check.verdict == "unproven" for item in checks),
        worst="" if worst is None else worst.output,
        worst_error=0.0 if worst is None else worst.relative_error,
        judged_alone=len(alone),
    )


def _takes_several(spec: TensorSpec) -> bool:
    return spec.batch_axis is not None and spec.shape[spec.batch_axis] > 1
