"""Which precision and which unit layers ran in, and the sentences where that was not asked for."""

from __future__ import annotations

from collections.abc import Iterable

from deployx_edge.measurement.values import LayerProfile, PrecisionCount, UnitCount

# The option of a run, as (name, value), by which workers leave nodes to the processor.
ALLOW_FALLBACK = ("allow_fallback", "on")
_MOST_NAMED = 5
# The unit of a layer, of a runtime that has several.
_PROCESSOR = "CPU"


def precision_that_ran(counts: tuple[PrecisionCount, ...]) -> str | None:
    """One word where all layers agree, else each precision with its number of layers.

    None where the runtime does not tell.
    """
    present = sorted((c for c in counts if c.layers), key=lambda c: -c.layers)
    if not present:
        return None
    if len(present) == 1:
        return present[0].precision
    return " + ".join(f"{c.precision} ({c.layers})" for c in present)


def precision_warning(asked: str, stored: str, counts: tuple[PrecisionCount, ...]) -> str | None:
    """A sentence where not one layer, or only some, ran in the precision asked for.

    Of a model that is ``stored`` in int8 that is asked of the rest; its int8 layers must be such.
    None where the runtime does not tell what ran.
    """
    if not any(count.layers for count in counts):
        return None
    if "int8" in (asked, stored):
        rest = tuple(count for count in counts if count.precision != "int8")
        if rest == counts:
            return (
                "int8 was asked for, but no layer ran in it: the figures are those of "
                f"{precision_that_ran(counts)}."
            )
        if asked == "int8":
            return None
        counts = rest
    total = sum(c.layers for c in counts)
    matching = sum(c.layers for c in counts if c.precision == asked)
    if matching == total:
        return None
    if matching == 0:
        return (
            f"{asked} was asked for, but no layer ran in it: "
            f"the figures are those of {precision_that_ran(counts)}."
        )
    if matching * 2 >= total:
        return None
    return f"{asked} was asked for, but only {matching} of {total} layers ran in it."


def units_that_ran(counts: tuple[UnitCount, ...]) -> str | None:
    """Each unit with its number of layers, the busiest first; None where that is not told."""
    present = sorted((c for c in counts if c.layers), key=lambda c: -c.layers)
    return " + ".join(f"{c.unit} ({c.layers})" for c in present) or None


def fallback_warnings(
    asked: str,
    stored: str,
    counts: tuple[PrecisionCount, ...],
    left: tuple[str, ...],
    units: tuple[UnitCount, ...] = (),
) -> tuple[str, ...]:
    """Sentences where layers ran in another precision than was asked for (``precision_warning``),
    and where an accelerator ``left`` layers to another of the ``units``, mostly the processor."""
    precision = precision_warning(asked, stored, counts)
    return tuple(filter(None, (precision, left_sentence(left, units))))


def left_sentence(left: tuple[str, ...], units: tuple[UnitCount, ...] = ()) -> str | None:
    """A sentence that names layers which an accelerator ``left`` to another of the ``units``."""
    if not left:
        return None
    more = f" and {len(left) - _MOST_NAMED} more" if len(left) > _MOST_NAMED else ""
    named = ", ".join(left[:_MOST_NAMED])
    took = [unit.unit for unit in units if unit.fell_back]
    who = " and ".join("processor" if unit == _PROCESSOR else unit for unit in took) or "processor"
    return f"The {who}, not the accelerator, ran {named}{more}."


def allows_fallback(named: Iterable[tuple[str, str]]) -> bool:
    """Whether options of a run let an accelerator leave nodes to the processor."""
    return ALLOW_FALLBACK in named


def profile_fallback(asked: str, stored: str, layers: tuple[LayerProfile, ...]) -> str | None:
    """Like ``fallback_warnings``, of a profile: one text, None where nothing fell back.

    Of precisions those of layers count that multiply, where any is known to.
    """
    counts: dict[str, int] = {}
    for layer in [each for each in layers if each.macs] or layers:
        if layer.precision is not None:
            counts[layer.precision] = counts.get(layer.precision, 0) + 1
    ran = tuple(PrecisionCount(precision=p, layers=count) for p, count in counts.items())
    left = [layer for layer in layers if layer.fell_back]
    units = tuple(UnitCount(unit=unit, layers=0, fell_back=1) for unit in _units_of(left))
    named = tuple(layer.name for layer in left)
    return " ".join(fallback_warnings(asked, stored, ran, named, units)) or None


def _units_of(layers: list[LayerProfile]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(layer.unit for layer in layers if layer.unit))
