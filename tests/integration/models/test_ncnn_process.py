"""What comes out of ncnn's process, whole and in pieces."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from deployx_edge.model import to_runtime_arrays
from deployx_edge.runtimes.ncnn.wheel import NcnnModel, NcnnProcess
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from tests.integration.models.onnx_models import model, save, weights


@pytest.mark.parametrize("is_large", [False, True])
def test_tensors_come_in_pieces_as_they_come_whole(tmp_path: Path, is_large: bool) -> None:
    """Channels of 7x9 do not follow each other at once in ncnn's memory."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "conv", pads=[1] * 4),
        helper.make_node("Sigmoid", ["a"], ["b"], "sigmoid"),
        helper.make_node("Conv", ["b", "v"], ["y"], "last", pads=[1] * 4),
    ]
    made = model(
        nodes,
        {"x": (1, 3, 7, 9)},
        {"y": (1, 5, 7, 9)},
        [weights("w", 20, 3, 3, 3), weights("v", 5, 20, 3, 3)],
    )
    options = BundleOptions(verify=False)
    bundle = make_bundle(save(made, tmp_path / "m.onnx"), tmp_path / "bundle", options)
    values = np.random.default_rng(3).standard_normal((1, 3, 7, 9)).astype(np.float32)
    given = to_runtime_arrays(bundle.inputs, {"x": values})
    files = NcnnModel(
        param=bundle.path("param"), bin=bundle.path("bin"), precision="fp32", is_large=is_large
    )
    with NcnnProcess(files) as process:
        whole = {blob: each.whole() for blob, each in process.run(given, ["b", "y"])}
        pieces: dict[str, list[np.ndarray]] = {}
        for blob, each in process.run(given, ["b", "y"]):
            assert each.shape == whole[blob].shape
            pieces[blob] = [each.next(100).copy()]
            if blob == "y":  # what is left of the other is not taken by anyone
                pieces[blob] += [each.next(count).copy() for count in (1, 5 * 7 * 9 - 101)]
    assert whole["b"].shape == (20, 7, 9)
    assert np.array_equal(pieces["b"][0], whole["b"].reshape(-1)[:100])
    assert np.array_equal(np.concatenate(pieces["y"]), whole["y"].reshape(-1))
    assert np.ptp(whole["b"]) > 0.0


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-5), ("fp16", 2e-2)])
def test_where_memory_counts_values_are_the_same(
    tmp_path: Path, precision: str, most: float
) -> None:
    """Blobs of 1, 4, 8 and 16 channels side by side, asked for and not, one run after the other."""
    sizes = (3, 16, 8, 12, 5)
    nodes, given = [], []
    for index, (before, behind) in enumerate(pairwise(sizes)):
        read, name = ("x", "a0", "a1", "a2", "y")[index : index + 2]
        nodes.append(helper.make_node("Conv", [read, f"w{index}"], [name], name, pads=[1] * 4))
        given.append(weights(f"w{index}", behind, before, 3, 3))
    made = model(nodes, {"x": (1, 3, 40, 50)}, {"y": (1, 5, 40, 50)}, given)
    path = save(made, tmp_path / "m.onnx")
    bundle = make_bundle(
        path, tmp_path / "bundle", BundleOptions(verify=False, precision=precision)
    )
    random = np.random.default_rng(4)
    inputs = [random.standard_normal((1, 3, 40, 50)).astype(np.float32) for _ in range(2)]
    found = []
    for is_large in (False, True):
        files = NcnnModel(
            param=bundle.path("param"),
            bin=bundle.path("bin"),
            precision=precision,
            is_large=is_large,
        )
        with NcnnProcess(files) as process:
            ready = [to_runtime_arrays(bundle.inputs, {"x": values}) for values in inputs]
            found.append(
                [
                    {blob: each.whole() for blob, each in process.run(arrays, blobs)}
                    for arrays in ready
                    for blobs in (["y"], ["a0", "a2", "y"])
                ]
            )
    for plain, saving in zip(*found, strict=True):
        assert plain.keys() == saving.keys()
        for blob, wanted in plain.items():
            np.testing.assert_allclose(saving[blob], wanted, atol=most * float(np.ptp(wanted)))
