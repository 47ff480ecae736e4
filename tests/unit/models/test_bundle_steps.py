"""Pre- and post-processing in a manifest."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deployx_edge.bundle import load_bundle, write_bundle
from deployx_edge.model import BoxDecoding, MaskDecoding, PostProcessing, PreProcessing
from tests.unit.models.bundles import bundle_value, sources


def test_every_kind_of_step_comes_back(tmp_path: Path) -> None:
    files = sources(tmp_path / "sources")
    value = replace(
        bundle_value(tmp_path, files),
        preprocessing=(
            PreProcessing(
                input="image", width=6, height=8, fit="letterbox", fill=3, place="corner"
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
        ),
    )
    made = write_bundle(value, files, tmp_path / "bundle")
    assert load_bundle(tmp_path / "bundle") == made
    assert made.postprocessing == value.postprocessing
