"""A profile as a table: which layers or types the time goes to, alone or beside another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import LayerProfile, ProfileResult
from deployx_edge.report.bench import EMULATED
from deployx_edge.units import NOT_TOLD, duration

VIEWS = ("layer", "type")
_BAR_WIDTH = 20
_UNKNOWN = "unknown"
_UNMATCHED = "unmatched"
_NOTHING = "–"


@dataclass(frozen=True, kw_only=True)
class ProfileRow:
    """A layer, or all layers of a type: median time in nanoseconds, its share of the sum, and its
    multiply-accumulates, None where they are not known. Of what is told in ``cycles``, ``ns`` is
    None and the share is of all cycles."""

    name: str
    type: str
    layers: int
    ns: float | None
    share: float
    macs: int | None
    layer: LayerProfile | None = None
    cycles: float | None = None

    @property
    def match(self) -> str:
        """What tells the same row of another runtime."""
        return self.layer.node or self.name if self.layer and self.name != self.type else self.name

    @property
    def rate(self) -> float | None:
        """Giga multiply-accumulates a second; None where that is not known, or nothing to tell."""
        return self.macs / self.ns if self.macs and self.ns else None


def check_view(by: str | None) -> None:
    """UsageError for a view that there is not."""
    if by not in (None, *VIEWS):
        raise UsageError(f"--by {by} is not known.", remedy=f"Known: {', '.join(VIEWS)}.")


def profile_report(
    result: ProfileResult, by: str | None = None, top: int | None = None
) -> RenderableType:
    """Layers in the order in which they run; ``by`` layer or type, what takes longest first.

    ``top`` rows at most.
    """
    rows = profile_rows(result, by)
    shown = rows if top is None else rows[:top]
    what = "Types of layers" if by == "type" else "Layers"
    table = Table(title=f"{what} of {result.model.name} on {result.device.name} (medians)")
    counted = any(row.cycles is not None for row in rows)
    _add_columns(table, by, counted)
    for row in shown:
        table.add_row(*_cells(row, by, counted))
    lines = [Text(_left_out(rows[len(shown) :]))] if len(shown) < len(rows) else []
    lines.append(Text(_sum(result)))
    return Group(table, *lines, *_emulated([result]))


def profiles_report(
    results: Sequence[ProfileResult], by: str | None = None, top: int | None = None
) -> RenderableType:
    """Two or more profiles side by side, what takes longest in the first of them first.

    Layers match by the node of the source that they are, types by name. What a runtime made of
    several nodes and calls as it likes has no counterpart, and is shown as unmatched.
    """
    sides = [_by_match(profile_rows(each, by or "layer")) for each in results]
    names = dict.fromkeys(name for side in sides for name in side)
    kept = list(names)[:top]
    table = Table(title=f"{' and '.join(_titles(results))} side by side (medians)")
    table.add_column("type" if by == "type" else "layer", overflow="fold")
    for title in _titles(results):
        table.add_column(title, justify="right")
        table.add_column("share")
        table.add_column("GMAC/s", justify="right")
    if len(results) == 2:
        table.add_column("second / first", justify="right")
    for name in kept:
        rows = [side.get(name) for side in sides]
        table.add_row(name, *(cell for row in rows for cell in _side_cells(row)), *_ratio(rows))
    lines = [Text(f"{t}: {_sum(each)}") for t, each in zip(_titles(results), results, strict=True)]
    if len(kept) < len(names):
        lines.insert(0, Text(f"{len(names) - len(kept)} more rows"))
    matched = sum(all(name in side for side in sides) for name in names)
    lines.append(Text(f"{matched} of {len(names)} rows are in all of them"))
    return Group(table, *lines, *_emulated(results))


def profile_rows(result: ProfileResult, by: str | None = None) -> list[ProfileRow]:
    """The rows of a profile: of ``by`` None one a layer in their order, else the longest first.

    What is told in cycles follows what is told in times.
    """
    layers = result.profile.layers
    totals = {
        counted: sum(_taken(layer) for layer in layers if bool(layer.samples_cycles) is counted)
        for counted in (False, True)
    }
    rows = [_row([layer], _name(layer), totals) for layer in layers]
    if by == "type":
        kinds: dict[tuple[str, bool], list[LayerProfile]] = {}
        for layer in layers:
            kinds.setdefault((layer.type, bool(layer.samples_cycles)), []).append(layer)
        rows = [_row(those, kind or NOT_TOLD, totals) for (kind, _), those in kinds.items()]
    return sorted(rows, key=lambda row: (row.ns is None, -_amount(row))) if by else rows


def _taken(layer: LayerProfile) -> float:
    """The median of what it took, in the unit that it is told in."""
    return median(layer.samples_cycles or layer.samples_ns)


def _name(layer: LayerProfile) -> str:
    """Of a part of a layer the node that it is, which the unit calls otherwise."""
    return layer.node if layer.samples_cycles and layer.node else layer.name


def _amount(row: ProfileRow) -> float:
    return (row.cycles if row.ns is None else row.ns) or 0.0


def _by_match(rows: Sequence[ProfileRow]) -> dict[str, ProfileRow]:
    """By what tells the same row of another runtime; of several with the same, each by a number."""
    found: dict[str, ProfileRow] = {}
    for row in rows:
        name, count = row.match, 1
        while name in found:
            count += 1
            name = f"{row.match} ({count})"
        found[name] = row
    return found


def _row(layers: Sequence[LayerProfile], name: str, totals: Mapping[bool, float]) -> ProfileRow:
    """A row of layers that are all told in times or all in cycles."""
    counted = bool(layers[0].samples_cycles)
    taken = sum(map(_taken, layers))
    macs = [layer.macs for layer in layers]
    return ProfileRow(
        name=name,
        type=layers[0].type or NOT_TOLD,
        layers=len(layers),
        ns=None if counted else taken,
        share=taken / totals[counted] if totals[counted] else 0.0,
        macs=None if None in macs else sum(count or 0 for count in macs),
        layer=layers[0] if len(layers) == 1 else None,
        cycles=taken if counted else None,
    )


def _add_columns(table: Table, by: str | None, counted: bool) -> None:
    words = ("type", "layers") if by == "type" else ("#", "layer", "type", "output", "precision")
    for heading in words:
        table.add_column(heading)
    table.add_column("time", justify="right")
    table.add_column("share")
    if counted:
        table.add_column("cycles", justify="right")
        table.add_column("share of cycles")
    for heading in ("MACs", "GMAC/s"):
        table.add_column(heading, justify="right")


def _cells(row: ProfileRow, by: str | None, counted: bool) -> list[str]:
    time = [_NOTHING, ""] if row.ns is None else [duration(row.ns), _bar(row.share)]
    cycles = [_NOTHING, ""] if row.cycles is None else [f"{row.cycles:,.0f}", _bar(row.share)]
    work = [*time, *(cycles if counted else ()), _macs(row), _rate(row)]
    if by == "type":
        return [row.type, str(row.layers), *work]
    layer = row.layer
    assert layer is not None  # a row of a layer has it
    dims = "x".join(map(str, layer.dims))
    return [str(layer.index), row.name, row.type, dims, _elements(layer), *work]


def _side_cells(row: ProfileRow | None) -> list[str]:
    if row is None:
        return [_UNMATCHED, "", ""]
    taken = f"{row.cycles:,.0f} cycles" if row.ns is None else duration(row.ns)
    return [taken, _bar(row.share), _rate(row)]


def _ratio(rows: Sequence[ProfileRow | None]) -> list[str]:
    """Of two rows that are told in the same unit."""
    if len(rows) != 2:
        return []
    first, second = rows
    if first is None or second is None or (first.ns is None) != (second.ns is None):
        return [_NOTHING]
    amount = _amount(first)
    return [f"{_amount(second) / amount:.2f}" if amount else _NOTHING]


def _bar(share: float) -> str:
    return f"{share:6.1%} {'█' * round(_BAR_WIDTH * share)}"


def _macs(row: ProfileRow) -> str:
    if row.macs is None:
        return _UNKNOWN
    return f"{row.macs:,}" if row.macs else _NOTHING


def _rate(row: ProfileRow) -> str:
    if row.macs is None:
        return _UNKNOWN
    return _NOTHING if row.rate is None else f"{row.rate:.3g}"


def _titles(results: Sequence[ProfileResult]) -> list[str]:
    """What tells the profiles apart: runtime and precision, else the model, else numbers."""
    runtimes = [each.model.runtime for each in results]
    names = [each.model.name for each in results]
    if len({each.options.precision for each in results}) > 1:
        runtimes = [f"{each.model.runtime} {each.options.precision}" for each in results]
    if len(set(runtimes)) == len(runtimes):
        return runtimes
    if len(set(names)) == len(names):
        return names
    return [f"{name} {index}" for index, name in enumerate(names, 1)]


def _left_out(rows: Sequence[ProfileRow]) -> str:
    shares = {
        what: [row.share for row in rows if (row.ns is None) is counted]
        for what, counted in (("time", False), ("cycles", True))
    }
    told = [f"{sum(each):.1%} of the {what}" for what, each in shares.items() if each]
    return f"{len(rows)} more rows, {' and '.join(told)}"


def _emulated(results: Iterable[ProfileResult]) -> list[Text]:
    emulated = [result for result in results if result.device.board.emulated]
    counting = {
        result.device.board.emulated_reason or "the emulator"
        for result in emulated
        if any(layer.samples_cycles for layer in result.profile.layers)
    }
    texts = [EMULATED] if emulated else []
    if counting:
        texts.append(f"cycles are those that {' and '.join(sorted(counting))} counts, no NPU's")
    return [Text(text, style="yellow") for text in texts]


def _elements(layer: LayerProfile) -> str:
    """What the layer's elements were, and what computed them, as far as the runtime tells."""
    unit = f" on {layer.unit}" if layer.unit else ""
    if layer.fell_back:
        unit += " (fell back)"
    if layer.element_bits is None:
        return (layer.precision or NOT_TOLD) + unit
    packing = "" if layer.packing is None else f" x {layer.packing}"
    return f"{layer.precision or NOT_TOLD} ({layer.element_bits} bits{packing}){unit}"


def _sum(result: ProfileResult) -> str:
    whole = median(result.profile.whole_ns)
    timed = [layer for layer in result.profile.layers if not layer.samples_cycles]
    counted = [layer for layer in result.profile.layers if layer.samples_cycles]
    if not timed:
        return f"layers {NOT_TOLD} by the runtime, undivided run {duration(whole)}"
    layers = sum(map(_taken, timed))
    cycles = f", {sum(map(_taken, counted)):,.0f} cycles in their parts" if counted else ""
    return (
        f"sum of the layers {duration(layers)}, undivided run {duration(whole)} "
        f"(ratio {layers / whole:.3f}){cycles}"
    )
