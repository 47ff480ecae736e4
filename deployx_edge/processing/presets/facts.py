"""What a preset looks at: names, shapes, metadata, and what the outputs hold in one run."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import UsageError
from deployx_edge.model import NamedShape, format_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What rounding may add to a probability, and to a sum of many.
_SLACK = 1e-3
_LONGEST_METADATA = 1 << 20


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of a model.

    ``metadata`` is that of its file; ``values`` what its outputs hold for some input, where it was
    run. Both may be empty.
    """

    inputs: Sequence[NamedShape]
    outputs: Sequence[NamedShape] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def told(spec: NamedShape) -> str:
    """A tensor as messages name it."""
    return f"'{spec.name}' is {format_shape(spec.shape)}"


def all_told(specs: Sequence[NamedShape]) -> str:
    """Tensors as messages list them."""
    return ", ".join(f"'{spec.name}' {format_shape(spec.shape)}" for spec in specs) or "none"


def image_input(facts: ModelFacts) -> NamedShape:
    """The only input that an image can become; UsageError where there are none or several."""
    found = [spec for spec in facts.inputs if len(spec.shape) in (3, 4) and _channels(spec)]
    if len(found) != 1:
        raise UsageError(
            f"one image of 1 or 3 channels is expected as input; there are {all_told(facts.inputs)}"
        )
    return found[0]


def image_size(spec: NamedShape) -> tuple[int, int, int]:
    """Channels, height and width of an image's input."""
    first, second, third = spec.shape[-3:]
    return (first, second, third) if first in (1, 3) else (third, first, second)


def has_open_sides(spec: NamedShape) -> bool:
    """Whether height and width of an image's input N x C x H x W are open."""
    open_axes = {entry.axis for entry in getattr(spec, "ranges", ())}
    return open_axes.issuperset((2, 3))


def _channels(spec: NamedShape) -> int | None:
    return next((spec.shape[axis] for axis in (-3, -1) if spec.shape[axis] in (1, 3)), None)


def only_output(facts: ModelFacts, wanted: str) -> NamedShape:
    """The only output; UsageError where there are several."""
    if len(facts.outputs) != 1:
        raise UsageError(f"one output, {wanted}, is expected; there are {all_told(facts.outputs)}")
    return facts.outputs[0]


def in_unit(facts: ModelFacts, name: str) -> bool | None:
    """Whether all values of an output lie in 0 … 1; None where it was not run."""
    values = facts.values.get(name)
    if values is None or not values.size:
        return None
    return bool(values.min() >= -_SLACK and values.max() <= 1 + _SLACK)


def is_distribution(facts: ModelFacts, name: str) -> bool | None:
    """Whether an output's last axis holds probabilities that sum up to 1; None if not run."""
    inside = in_unit(facts, name)
    if not inside:
        return inside
    sums = facts.values[name].astype("float64").sum(axis=-1)
    return bool((abs(sums - 1.0) <= _SLACK * 10).all())


def literal(facts: ModelFacts, key: str) -> Any:
    """A value that the metadata holds as Python writes it, as Ultralytics' do; None if none."""
    text = facts.metadata.get(key)
    if text is None or len(text) > _LONGEST_METADATA:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def class_names(facts: ModelFacts) -> tuple[str, ...]:
    """Ultralytics' ``names``: a mapping from 0 on, or a list; none where it is neither."""
    names = literal(facts, "names")
    if isinstance(names, dict) and sorted(map(str, names)) == sorted(map(str, range(len(names)))):
        names = [
            names[index] if index in names else names[str(index)] for index in range(len(names))
        ]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return ()
    # As the names of tensors: no line breaks, nor what acts on a terminal.
    return tuple("".join(c if c.isprintable() else "_" for c in name) for name in names)
