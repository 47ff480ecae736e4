"""What half floats cannot hold inside an ncnn model, tensor by tensor and sum by sum.

A tensor may stay far below fp16's 65504 where what its layer adds up on the way does not: +200
times 300, then -200 times 300, is infinity and not 0. Which layers add in half floats was read in
ncnn's sources for ARM and RISC-V: convolutions (also by Winograd's way), products of matrices,
scores of attention, average pools with a window, recurrent layers, softmax, instance norms; all
other sums are made in fp32 (layer and group norms, global pools, reductions).

The model runs layer by layer, where it is proven in the same run (``hosts``), else for this
alone. For each layer a bound is found that holds for every order in which the terms can be
added: first from the largest value that goes in and the sum of absolute weights; where that is
beyond half floats, from the layer itself with absolute weights on absolute inputs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.operator_facts import operator_of_layer
from deployx_edge.runtimes.converter import HalfOverflows, StoredLayer
from deployx_edge.runtimes.ncnn.files import Layer, encode_weights, format_param
from deployx_edge.runtimes.ncnn.native.graph_builder import sizes_of
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, NcnnProcess, is_large
from deployx_edge.runtimes.runner_process import RuntimeDiedError

if TYPE_CHECKING:
    from deployx_edge.model import Array
    from deployx_edge.runtimes.ncnn.native.graph_builder import BuiltLayer

_FLOAT = 4  # bytes


def half_overflows(
    layers: Sequence[BuiltLayer], runs: Sequence[Mapping[str, Array]]
) -> HalfOverflows:
    """What these layers of an fp32 network would overflow in half floats.

    Every blob is read by one layer at most. Each of ``runs`` maps all input blobs to arrays in
    ncnn's dimensions. Layers of our own are no part of it: what they make is found in a run of the
    whole and given. Raises ModelError where ncnn cannot run the network.
    """
    if any(operator_of_layer(entry.layer.type) for entry in layers):
        layers, runs = _without_own(layers, runs)
    with tempfile.TemporaryDirectory(prefix="deployx-edge-halves-") as name:
        model = _written(layers, runs, Path(name))
        try:
            with NcnnProcess(model) as process:
                for arrays in runs:
                    given = {blob: (array, False) for blob, array in arrays.items()}
                    for _ in process.run(given, (), measure=True):
                        pass
                return process.overflows
        except RuntimeDiedError:
            # It dies of the network: it will again, where that is told with its phase.
            return HalfOverflows()
        except ModelError as error:
            raise ModelError(
                f"The largest sums inside the model cannot be measured: {error.message}"
            ) from error


def _written(
    layers: Sequence[BuiltLayer], runs: Sequence[Mapping[str, Array]], folder: Path
) -> NcnnModel:
    model = NcnnModel(
        param=folder / "model.param",
        bin=folder / "model.bin",
        precision="fp32",
        is_large=any(is_large(sum(a.size for a in arrays.values())) for arrays in runs),
        layers=stored_layers(layers),
    )
    model.param.write_text(format_param([entry.layer for entry in layers]), encoding="utf-8")
    with model.bin.open("wb") as stream:
        for entry in layers:
            for weight in entry.weights:
                stream.write(encode_weights(weight.values, "fp32", tagged=weight.tagged))
    return model


def _without_own(
    layers: Sequence[BuiltLayer], runs: Sequence[Mapping[str, Array]]
) -> tuple[list[BuiltLayer], list[Mapping[str, Array]]]:
    """The layers with inputs in the place of those of our own, and the runs with their values."""
    own = [entry for entry in layers if operator_of_layer(entry.layer.type)]
    tops = [top for entry in own for top in entry.layer.tops]
    given: list[Mapping[str, Array]] = []
    with (
        tempfile.TemporaryDirectory(prefix="deployx-edge-halves-") as name,
        NcnnProcess(_written(layers, runs, Path(name))) as process,
    ):
        for arrays in runs:
            ready = {blob: (array, False) for blob, array in arrays.items()}
            made = {blob: values.whole() for blob, values in process.run(ready, tops)}
            given.append({**arrays, **made})
    shapes = {top: given[0][top].shape for top in tops}
    left: list[BuiltLayer] = []
    for entry in layers:
        if entry not in own:
            left.append(entry)
            continue
        for top in entry.layer.tops:
            sizes = sizes_of(tuple(shapes[top]))
            params = tuple((key, str(value)) for key, value in sorted(sizes.items()))
            layer = Layer(type="Input", name=top, bottoms=(), tops=(top,), params=params)
            left.append(replace(entry, layer=layer))
    return left, given


def stored_layers(layers: Sequence[BuiltLayer]) -> tuple[StoredLayer, ...]:
    """Where the weights of each lie in a file of fp32 that holds them one after the other."""
    found = []
    position = 0
    for entry in layers:
        begin, places = position, []
        for weight in entry.weights:
            size = _FLOAT * weight.values.size
            position += size + (_FLOAT if weight.tagged else 0)
            places.append((position - size, position))
        layer = entry.layer
        found.append(
            StoredLayer(
                name=layer.name,
                type=layer.type,
                bottoms=layer.bottoms,
                tops=layer.tops,
                params=layer.params,
                begin=begin,
                end=position,
                weights=tuple(places),
            )
        )
    return tuple(found)
