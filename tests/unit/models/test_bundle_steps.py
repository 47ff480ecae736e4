"""Pre- and post-processing in a manifest."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from deployx_edge.bundle import load_bundle, write_bundle
from deployx_edge.errors import BundleError
from deployx_edge.model import (
    AreaDecoding,
    BoxDecoding,
    MaskDecoding,
    PostProcessing,
    PreProcessing,
    TextDecoding,
)
from tests.unit.models.bundles import bundle_value, sources


def test_every_kind_of_step_comes_back(tmp_path: Path) -> None:
    files = sources(tmp_path / "sources")
    value = replace(
        bundle_value(tmp_path, files),
        preprocessing=(
            PreProcessing(
                input="image",
                width=6,
                height=8,
                fit="letterbox",
                fill=3,
                place="corner",
                range=(-40.5, 4095.0),
                pad=-0.5,
                rounding="down",
            ),
            PreProcessing(
                input="image",
                width=6,
                height=8,
                fit="multiple",
                side=736,
                limit="max",
                multiple=32,
                rounding="up",
            ),
        ),
        postprocessing=(
            PostProcessing(
                output="scores",
                kind="detection",
                labels=("a",),
                boxes=BoxDecoding(format="ssd", scores="scores", priors="scores", score=0.25),
            ),
            PostProcessing(
                output="scores",
                kind="segmentation",
                masks=MaskDecoding(layout="NHWC", threshold=0.0),
            ),
            PostProcessing(
                output="scores",
                kind="detection",
                boxes=BoxDecoding(
                    format="yolo", best=True, agnostic=True, points=17, point_values=2
                ),
            ),
            PostProcessing(
                output="scores",
                kind="detection",
                boxes=BoxDecoding(format="yolox", strides=(4, 8)),
            ),
            PostProcessing(
                output="scores",
                kind="detection",
                boxes=BoxDecoding(format="lists", scores="scores", classes="scores"),
            ),
            PostProcessing(
                output="scores",
                kind="detection",
                boxes=BoxDecoding(
                    format="centres", sizes="scores", offsets="scores", landmarks="scores"
                ),
            ),
            PostProcessing(
                output="scores",
                kind="text",
                labels=("a", "|", "é"),
                text=TextDecoding(layout="TNC", blank="last", softmax=True),
            ),
            PostProcessing(
                output="scores",
                kind="text-boxes",
                areas=AreaDecoding(shape="polygon", dilate=True, sigmoid=True, unclip=2.0),
            ),
        ),
    )
    made = write_bundle(value, files, tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle") == made
    assert made.postprocessing == value.postprocessing


def test_a_range_is_written_only_where_there_is_one(tmp_path: Path) -> None:
    """Bundles of before have none, and keep their digest."""
    files = sources(tmp_path / "sources")
    step = PreProcessing(input="image", width=6, height=8)
    plain = write_bundle(
        replace(bundle_value(tmp_path, files), preprocessing=(step,)), files, tmp_path / "bundle"
    )
    path = plain.folder / "bundle.json"
    document = json.loads(path.read_text())
    assert "range" not in document["preprocessing"][0]
    assert load_bundle(plain.folder).preprocessing[0].range is None
    for value in (None, [1.0], [2.0, 1.0], [1.0, 1.0], [0.0, 1.0, 2.0], "0/1", ["0", "1"]):
        document["preprocessing"][0]["range"] = value
        path.write_text(json.dumps(document))
        with pytest.raises(BundleError, match="range"):
            load_bundle(plain.folder)
