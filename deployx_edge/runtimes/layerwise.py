"""Where do a converted model and its source part ways? Tensor by tensor, by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deployx_edge.bundle import IntermediateCheck
from deployx_edge.comparison import (
    LIMITS,
    LayerCheck,
    compare_output,
    finite_inputs,
    first_difference,
)
from deployx_edge.errors import UsageError, VerificationError
from deployx_edge.ncnn_format import read_param
from deployx_edge.runtimes.converter import ConvertedModel
from deployx_edge.runtimes.hosts import HOSTS, Arrays, Maker
from deployx_edge.runtimes.matching import match_by_weights
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.canonical import canonical
from deployx_edge.sources.onnx_file import OnnxSource, tensor_names

if TYPE_CHECKING:
    from deployx_edge.model import Array

# All tensors of a run are held twice at once, for every input: 256 MiB are 10 million values.
_MOST_BYTES = 2**28


@dataclass(frozen=True, kw_only=True)
class ReferenceSide:
    """What a converted model is compared with: tensors by name, and how to have their values.

    ``matched`` finds makers where no name survived; it is asked only then.
    """

    names: tuple[str, ...]
    run: Callable[[Sequence[Arrays], Sequence[str]], Sequence[Arrays]]
    matched: Callable[[ConvertedModel], Mapping[str, Maker]]


# Values of blobs for each set of inputs.
BlobRunner = Callable[[Sequence[Arrays], Sequence[str]], Sequence[Arrays]]


def source_side(source: OnnxSource) -> ReferenceSide:
    """The source in ONNX Runtime."""

    def run_source(inputs: Sequence[Arrays], names: Sequence[str]) -> list[dict[str, Array]]:
        reference = Reference(source, tensors=names)
        return [reference.run(arrays) for arrays in inputs]

    def matched(model: ConvertedModel) -> Mapping[str, Maker]:
        if model.runtime != "ncnn":
            return {}
        return match_by_weights(read_param(model.path("param")), canonical(source).model)

    return ReferenceSide(names=tensor_names(source), run=run_source, matched=matched)


def compare_layers(
    model: ConvertedModel,
    reference: ReferenceSide,
    inputs: Sequence[Arrays],
    *,
    run: BlobRunner | None = None,
    precision: str | None = None,
) -> tuple[LayerCheck, ...]:
    """Compare every tensor that both sides have, in the order of the layers.

    Tensors are matched by name, else by ``reference.matched``. ``run`` runs the model elsewhere
    than on this computer, in ``precision`` where that is not the model's own. The limits are
    those of outputs. Raises UsageError where no tensor matches, or the model takes several
    samples at once.
    """
    if any(
        spec.batch_axis is not None and spec.shape[spec.batch_axis] > 1 for spec in model.inputs
    ):
        raise UsageError(
            "Layers can only be compared for a single sample: convert the model for 1."
        )
    host = HOSTS[model.runtime]
    makers = host.makers(model, reference.names) or reference.matched(model)
    if not makers:
        raise UsageError("No tensor of the source kept its name in the converted model.")
    limits = LIMITS[precision or model.precision]
    checks = []
    for names in _portions(reference, inputs[0], tuple(makers), len(inputs)):
        expected = reference.run(inputs, names)
        usable = finite_inputs(expected) or range(len(expected))
        chosen = [inputs[index] for index in usable]
        blobs = tuple(dict.fromkeys(makers[name].blob for name in names))
        found = run(chosen, blobs) if run else host.tensors(model, chosen, blobs)
        for name in names:
            maker = makers[name]
            wanted = [expected[index][name] for index in usable]
            got = [
                array.reshape(one.shape) if array.size == one.size else array
                for array, one in zip((each[maker.blob] for each in found), wanted, strict=True)
            ]
            check = compare_output(name, wanted, got, limits)
            checks.append(LayerCheck(layer=maker.layer, type=maker.type, check=check))
    return tuple(checks)


def verify_layers(
    model: ConvertedModel, source: OnnxSource, inputs: Sequence[Arrays]
) -> IntermediateCheck:
    """Compare all that is between inputs and outputs; VerificationError where a tensor differs.

    A model whose tensors lost their names, or that takes several samples at once, has none to
    compare.
    """
    try:
        checks = compare_layers(model, source_side(source), inputs)
    except UsageError:
        return IntermediateCheck(compared=0, unproven=0, worst="", worst_error=0.0)
    first = first_difference(checks)
    if first is not None:
        raise VerificationError(
            f"The outputs agree, but '{first.check.output}' of the layer '{first.layer}' "
            f"({first.type}) is off by {first.check.relative_error:.1%} of its variation.",
            remedy="--no-verify makes the bundle all the same, and says so in it.",
        )
    return intermediate_check(checks)


def intermediate_check(checks: Sequence[LayerCheck]) -> IntermediateCheck:
    """What comparisons found, in short; none of them differs."""
    proven = [item.check for item in checks if item.check.verdict in ("same", "rounded")]
    worst = max(proven, key=lambda check: check.relative_error, default=None)
    return IntermediateCheck(
        compared=len(checks),
        unproven=len(checks) - len(proven),
        worst="" if worst is None else worst.output,
        worst_error=0.0 if worst is None else worst.relative_error,
    )


def _portions(
    reference: ReferenceSide, arrays: Arrays, names: tuple[str, ...], runs: int
) -> Iterator[tuple[str, ...]]:
    """The names, in their order, in portions whose values fit into memory for all runs."""
    sizes = {name: array.nbytes for name, array in reference.run([arrays], names)[0].items()}
    portion: list[str] = []
    total = 0
    for name in names:
        if portion and (total + sizes[name]) * runs > _MOST_BYTES:
            yield tuple(portion)
            portion, total = [], 0
        portion.append(name)
        total += sizes[name]
    yield tuple(portion)
