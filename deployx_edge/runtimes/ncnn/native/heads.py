"""SDPA with its projections as one MultiHeadAttention.

    q ─ Gemm ─ Reshape ─ Permute ─┐
    k ─ Gemm ─ Reshape ─ Permute ─ SDPA ─ Permute ─ Reshape ─ Gemm ─ y
    v ─ Gemm ─ Reshape ─ Permute ─┘
    ⇒
    q, k, v ─ MultiHeadAttention ─ y

It spares the copies of what the heads are cut from. Of layers and not of ONNX nodes, so that
each Gemm stays for itself where it is int8, or fp32 in a network of 16 bits. Left alone: many
rows, for which ncnn's SDPA is the faster one on x86; heads whose values are wider or narrower
than their keys; keys that several heads share; what is also read elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deployx_edge.runtimes.ncnn.files import Layer, format_float
from deployx_edge.runtimes.ncnn.native.graph_builder import BuiltLayer, Weight

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Measured: at 64 rows 2 to 13 percent are spared, at 256 up to 3 percent are lost.
_MOST_ROWS = 128
_EXCHANGED = {0: "2"}  # Permute's order that exchanges heads and rows
_MULTIPLIED = {0: "2", 1: "1"}  # BinaryOp with a number
# Gemm of rows by constant weights (outputs, inputs), with a bias a column or none.
_GEMM = {2: "0", 3: "1", 4: "0", 5: "1", 6: "1", 7: "0"}
_OUTPUTS, _INPUTS, _BIAS = 8, 9, 10
_BIASES = ("4", "-1")
_MASKED, _SCALE = 5, 6  # of both layers of attention


@dataclass(frozen=True, kw_only=True)
class _Projection:
    """What a Gemm makes of a blob, and how many heads and rows that is counted by."""

    gemm: BuiltLayer
    layers: tuple[BuiltLayer, ...]
    heads: int = 0
    rows: int = 0

    @property
    def source(self) -> str:
        return self.gemm.layer.bottoms[0]

    @property
    def outputs(self) -> int:
        return int(dict(self.gemm.layer.params)[_OUTPUTS])

    @property
    def inputs(self) -> int:
        return int(dict(self.gemm.layer.params)[_INPUTS])

    def weights(self) -> tuple[Weight, Weight]:
        """The matrix and the bias, zeros where there is none."""
        import numpy as np

        weight, *bias = self.gemm.weights
        values: NDArray[Any] = bias[0].values if bias else np.zeros(self.outputs, np.float32)
        return Weight(values=weight.values, tagged=True), Weight(values=values)


def joined_heads(layers: Sequence[BuiltLayer], outputs: Iterable[str]) -> list[BuiltLayer]:
    """With one layer for each attention whose projections can be in it.

    REQUIRES: no Split yet, so that several layers may read a blob.
    """
    chain = _Chain(layers, outputs)
    gone: set[int] = set()
    joined: dict[int, BuiltLayer] = {}
    for entry in layers:
        found = _joined(chain, entry) if entry.layer.type == "SDPA" else None
        if found is None:
            continue
        made, last, parts = found
        numbers = {id(part) for part in parts}
        # What one attention gives may be what the next one cuts into heads.
        if not {id(last), *numbers} & (gone | joined.keys()):
            joined[id(last)] = made
            gone |= numbers
    kept = (joined.get(id(entry), entry) for entry in layers if id(entry) not in gone)
    return list(kept)


class _Chain:
    """Who makes a blob, and who alone reads it."""

    def __init__(self, layers: Sequence[BuiltLayer], outputs: Iterable[str]) -> None:
        self._makers = {blob: entry for entry in layers for blob in entry.layer.tops}
        self._readers: dict[str, list[BuiltLayer]] = {}
        for entry in layers:
            for blob in entry.layer.bottoms:
                self._readers.setdefault(blob, []).append(entry)
        self._visible = set(outputs)

    def before(self, blob: str, type: str, fixed: Mapping[int, str]) -> BuiltLayer | None:
        """The layer of that type, with these parameters, that makes the blob for one reader."""
        entry = self._makers.get(blob)
        if len(self._readers.get(blob, ())) != 1 or blob in self._visible:
            return None
        return entry if entry is not None and _is(entry, type, fixed) else None

    def behind(self, entry: BuiltLayer, type: str, fixed: Mapping[int, str]) -> BuiltLayer | None:
        """The layer of that type, with these parameters, that alone reads what a layer makes."""
        (blob,) = entry.layer.tops
        readers = self._readers.get(blob, ())
        if len(readers) != 1 or blob in self._visible:
            return None
        return readers[0] if _is(readers[0], type, fixed) else None


def _is(entry: BuiltLayer, type: str, fixed: Mapping[int, str]) -> bool:
    params = dict(entry.layer.params)
    same = all(params.get(key) == value for key, value in fixed.items())
    return entry.layer.type == type and same and not entry.float32


def _joined(
    chain: _Chain, entry: BuiltLayer
) -> tuple[BuiltLayer, BuiltLayer, tuple[BuiltLayer, ...]] | None:
    """The layer for all, the last one that it stands for, and the others."""
    queries, *rest = entry.layer.bottoms
    params = dict(entry.layer.params)
    scale = float(params.get(_SCALE, "0"))
    factor = chain.before(queries, "BinaryOp", _MULTIPLIED)
    if factor is not None:
        scale *= float(dict(factor.layer.params)[2])
        queries = factor.layer.bottoms[0]
    found = [_projection(chain, blob) for blob in (queries, *rest[:2])]
    last = _output(chain, entry)
    projections = [each for each in found if each is not None]
    if entry.float32 or scale == 0.0 or last is None or len(projections) != len(found):
        return None
    if not _fits(projections, last):
        return None
    masks = rest[2:]
    query = projections[0]
    layer = Layer(
        type="MultiHeadAttention",
        name=last.gemm.layer.name,
        bottoms=(*_sources(projections), *masks),
        tops=last.gemm.layer.tops,
        params=(
            (0, str(query.outputs)),
            (1, str(query.heads)),
            (2, str(query.outputs * query.inputs)),
            (3, str(projections[1].inputs)),
            (4, str(projections[2].inputs)),
            (_MASKED, str(len(masks))),
            (_SCALE, format_float(scale)),
        ),
    )
    weights = tuple(weight for each in (*projections, last) for weight in each.weights())
    parts = tuple(part for each in (*projections, last) for part in each.layers)
    made = replace(last.gemm, layer=layer, weights=weights)
    scaled = () if factor is None else (factor,)
    return made, last.gemm, (entry, *scaled, *parts)


def _projection(chain: _Chain, blob: str) -> _Projection | None:
    """The Gemm whose result comes as heads in the blob, where nothing else sees it."""
    turn = chain.before(blob, "Permute", _EXCHANGED)
    view = None if turn is None else chain.before(turn.layer.bottoms[0], "Reshape", {})
    gemm = None if view is None else chain.before(view.layer.bottoms[0], "Gemm", _GEMM)
    if turn is None or view is None or gemm is None or not _is_plain(gemm):
        return None
    sizes = {key: int(value) for key, value in view.layer.params}
    found = _Projection(
        gemm=gemm, layers=(turn, view, gemm), heads=sizes.get(1, 0), rows=sizes.get(2, 0)
    )
    is_split = sizes.keys() == {0, 1, 2} and sizes[0] * sizes[1] == found.outputs
    return found if is_split else None


def _output(chain: _Chain, entry: BuiltLayer) -> _Projection | None:
    """The Gemm that alone reads the heads' results beside each other."""
    turn = chain.behind(entry, "Permute", _EXCHANGED)
    view = None if turn is None else chain.behind(turn, "Reshape", {})
    gemm = None if view is None else chain.behind(view, "Gemm", _GEMM)
    if turn is None or view is None or gemm is None or not _is_plain(gemm):
        return None
    return _Projection(gemm=gemm, layers=(turn, view))


def _is_plain(gemm: BuiltLayer) -> bool:
    """Whether its parameters are those of floats, and its matrix is one of the weights."""
    params = dict(gemm.layer.params)
    return params.keys() == {*_GEMM, _OUTPUTS, _INPUTS, _BIAS} and params[_BIAS] in _BIASES


def _fits(projections: Sequence[_Projection], last: _Projection) -> bool:
    """Whether all have as many and as wide heads, few rows, and give what they were given."""
    query = projections[0]
    return (
        all(each.heads == query.heads for each in projections)
        and all(each.rows <= _MOST_ROWS for each in projections)
        and all(each.outputs == query.outputs for each in projections)
        and last.inputs == query.outputs
        and last.outputs == query.inputs
    )


def _sources(projections: Sequence[_Projection]) -> tuple[str, ...]:
    """One blob where all three come of it, two where keys and values do."""
    queries, keys, values = (each.source for each in projections)
    if queries == keys == values:
        return (queries,)
    return (queries, keys) if keys == values else (queries, keys, values)
